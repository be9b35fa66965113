#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

namespace iotcore::gateway {
namespace {

std::string routed(
    std::string_view method, std::string_view path, const RouteScope& scope = {"iot"}
) {
  const auto match = api_table().route(method, path, scope);
  if (!match) {
    return std::string(match.error().name());
  }
  std::string out = match->operation->name;
  for (const std::string_view label : match->labels) {
    out += ' ';
    out += label;
  }
  return out;
}

const RouteScope kData{.signing_service = "iotdata"};
const RouteScope kDevice{.signing_service = "", .device = true};
const RouteScope kUnsigned{};

TEST_CASE("paths are split before they are decoded") {
  CHECK(routed("POST", "/things/t%2F1") == "CreateThing t%2F1");
  CHECK(
      routed("POST", "/attached-policies/arn%3Aaws%3Aiot%3Ar%3Aa%3Acert%2Fabc") ==
      "ListAttachedPolicies arn%3Aaws%3Aiot%3Ar%3Aa%3Acert%2Fabc"
  );
  CHECK(routed("POST", "/things/a/b") == "unknown_operation");
  CHECK(routed("GET", "/policies/p/version/3") == "GetPolicyVersion p 3");
  CHECK(routed("GET", "/policies/p/version") == "ListPolicyVersions p");
}

TEST_CASE("a trailing slash does not count") {
  CHECK(routed("GET", "/things/") == "ListThings");
  CHECK(routed("GET", "/things/t/") == "DescribeThing t");
  CHECK(routed("GET", "/things//") == "unknown_operation");
  CHECK(routed("GET", "//things") == "unknown_operation");
}

TEST_CASE("topics come encoded or bare") {
  CHECK(routed("POST", "/topics/a%2Fb%20c%2F%24x", kData) == "Publish a%2Fb%20c%2F%24x");
  CHECK(routed("POST", "/topics/a/b//c/", kData) == "Publish a/b//c/");
  CHECK(routed("POST", "/topics/", kData) == "unknown_operation");
  CHECK(routed("GET", "/retainedMessage", kData) == "ListRetainedMessages");
  CHECK(routed("GET", "/retainedMessage/", kData) == "ListRetainedMessages");
  CHECK(routed("GET", "/retainedMessage/a/b", kData) == "GetRetainedMessage a/b");
}

TEST_CASE("the signing service chooses the plane") {
  CHECK(routed("GET", "/things/t/shadow", {"iotdata"}) == "GetThingShadow t");
  CHECK(routed("GET", "/things/t/shadow", {"iotdevicegateway"}) == "GetThingShadow t");
  CHECK(routed("GET", "/things/t/shadow", {"iot"}) == "unknown_operation");
  CHECK(routed("GET", "/things/t", {"execute-api"}) == "DescribeThing t");
  CHECK(routed("GET", "/things/t", {"iotdata"}) == "unknown_operation");
  CHECK(routed("GET", "/things/t", {"s3"}) == "DescribeThing t");
  CHECK(routed("GET", "/things/t", kUnsigned) == "DescribeThing t");
  CHECK(routed("GET", "/things/t/shadow", kUnsigned) == "GetThingShadow t");
}

TEST_CASE("devices reach the data planes only") {
  CHECK(routed("POST", "/topics/a/b", kDevice) == "Publish a/b");
  CHECK(routed("GET", "/things/t", kDevice) == "unknown_operation");
}

TEST_CASE("another method") {
  CHECK(routed("PUT", "/things/t/shadow", kData) == "method_not_allowed");
  CHECK(routed("PUT", "/things/t", {"iot"}) == "unknown_operation");
  CHECK(routed("get", "/things/t", {"iot"}) == "unknown_operation");
}

// A service made up for the test: rpcs with the given http options, all with a member named x.
class MadeUp {
 public:
  explicit MadeUp(const std::vector<std::string>& https) {
    google::protobuf::FileDescriptorProto file;
    file.set_name("made_up.proto");
    file.set_syntax("proto3");
    file.add_dependency("proto/options.proto");
    auto* service = file.add_service();
    service->set_name("MadeUp");
    file.add_message_type()->set_name("Reply");
    for (std::size_t i = 0; i < https.size(); ++i) {
      const std::string name = "Do" + std::to_string(i);
      auto* request = file.add_message_type();
      request->set_name(name + "Request");
      auto* field = request->add_field();
      field->set_name("x");
      field->set_json_name("x");
      field->set_number(1);
      field->set_type(google::protobuf::FieldDescriptorProto::TYPE_STRING);
      field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
      auto* method = service->add_method();
      method->set_name(name);
      method->set_input_type(name + "Request");
      method->set_output_type("Reply");
      method->mutable_options()->MutableExtension(api::operation)->set_http(https[i]);
    }
    const auto* built = pool_.BuildFile(file);
    REQUIRE(built != nullptr);
    const std::array services = {built->service(0)};
    table_ = OperationTable::build(services);
  }

  const Result<std::unique_ptr<OperationTable>>& table() const { return table_; }

 private:
  google::protobuf::DescriptorPool pool_{google::protobuf::DescriptorPool::generated_pool()};
  Result<std::unique_ptr<OperationTable>> table_ = nullptr;
};

TEST_CASE("routes that nothing tells apart are refused when the table is built") {
  CHECK(MadeUp({"GET /a/{x}", "GET /a/b"}).table());
  CHECK(MadeUp({"GET /a/{x}", "PUT /a/{x}"}).table());
  CHECK(MadeUp({"GET /a/{x}", "GET /a/{x+}"}).table());
  CHECK(!MadeUp({"GET /a/{x}", "GET /a/{x}"}).table());
  CHECK(!MadeUp({"GET /a", "GET /a"}).table());
  CHECK(!MadeUp({"GET /a/{x+}", "GET /a/{x+}"}).table());
  CHECK(!MadeUp({"GET /a/{x+}/b"}).table());
  CHECK(!MadeUp({"GET /a/{y}"}).table());
  CHECK(!MadeUp({"/a"}).table());
  CHECK(!MadeUp({""}).table());
}

TEST_CASE("fixed text goes before labels, as written") {
  const MadeUp made({"PUT /things/{x}/jobs/$next", "PUT /other/{x}", "GET /things/{x}"});
  REQUIRE(made.table());
  const auto name = [&](std::string_view method, std::string_view path) {
    const auto match = (*made.table())->route(method, path, {});
    return match ? match->operation->name : std::string("none");
  };
  CHECK(name("PUT", "/things/t/jobs/$next") == "Do0");
  CHECK(name("PUT", "/things/t/jobs/%24next") == "none");
}

}  // namespace
}  // namespace iotcore::gateway
