#include "gateway/message_properties.h"

#include "proto/api/data.pb.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::gateway {
namespace {

using namespace std::string_literals;

Result<std::string> properties_of(const api::PublishRequest& request) {
  return forwarded_properties(request, broker::BrokerOptions());
}

TEST_CASE("what MQTT cannot carry as a text is refused before it becomes a packet") {
  const std::string text =
      GENERATE("a\0b"s, "\xFF"s, "\xC0\x80"s, "\xED\xA0\x80"s, std::string(65'536, 'x'));
  CHECK_FALSE(check_property_text("name", text));
  api::PublishRequest request;
  request.set_content_type(text);
  CHECK(properties_of(request).error().code() == Errc::kInvalidRequest);
}

TEST_CASE("user properties are texts, too") {
  std::string block;
  CHECK(append_user_properties(block, R"([{"a":"1"},{"a":"\u00e9"},{"":""}])"));
  const std::string whole = block;
  for (const char* wrong : {R"([{"a\u0000":"1"}])", R"([{"a":"\u0000"}])", R"([{"a":1}])", "{}"}) {
    CAPTURE(wrong);
    CHECK_FALSE(append_user_properties(block, wrong));
  }
  CHECK(block == whole);
  const std::string longest = R"([{"a":")" + std::string(65'535, 'x') + R"("}])";
  CHECK(append_user_properties(block, longest));
  CHECK_FALSE(append_user_properties(block, R"([{"a":"x)" + longest.substr(7)));
}

TEST_CASE("properties of a request are held against the limits of messages") {
  api::PublishRequest request;
  request.set_correlation_data(std::string(65'535, '\xFF'));
  request.set_content_type("text/plain");
  CHECK(properties_of(request));
  request.set_correlation_data(std::string(65'536, '\xFF'));
  CHECK_FALSE(properties_of(request));
  request.set_correlation_data(std::string(10, 'x'));
  broker::BrokerOptions options;
  options.correlation_data_bytes_max = 10;
  CHECK(forwarded_properties(request, options));
  options.correlation_data_bytes_max = 9;
  CHECK_FALSE(forwarded_properties(request, options));
}

}  // namespace
}  // namespace iotcore::gateway
