#include "server/sqs_protocol.h"

#include <catch2/catch.hpp>

namespace iotcore::server {
namespace {

bool is_taken(const std::string& target, const std::string& type, const std::string& body) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = target;
  request.headers.set("Content-Type", type);
  request.body = body;
  return is_sqs_request(request);
}

TEST_CASE("a form is a call of SQS's only where queues are") {
  constexpr const char* kForm = "application/x-www-form-urlencoded";
  constexpr const char* kCall = "Action=ReceiveMessage&Version=2012-11-05";
  CHECK(is_taken("/", kForm, kCall));
  CHECK(is_taken("/123456789012/queue", kForm, kCall));
  CHECK(is_taken("/123456789012/queue/", kForm, kCall));
  CHECK_FALSE(is_taken("/", "application/json", kCall));
  CHECK_FALSE(is_taken("/", kForm, "nothing"));
  // What curl posts by default, to a topic of MQTT's.
  CHECK_FALSE(is_taken("/topics/orders?qos=1", kForm, kCall));
  CHECK_FALSE(is_taken("/things/t/shadow", kForm, R"({"state":{"desired":{"q":"Action=1"}}})"));
  CHECK_FALSE(is_taken("/12345678901x/queue", kForm, kCall));
}

}  // namespace
}  // namespace iotcore::server
