#include "gateway/openapi.h"

#include "base/json.h"
#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>

namespace iotcore::gateway {
namespace {

// Every "$ref" in the document has its target there.
void check_references(const json::value& value, const json::object& schemas) {
  if (value.is_array()) {
    for (const json::value& element : value.get_array()) {
      check_references(element, schemas);
    }
  } else if (value.is_object()) {
    for (const auto& [name, member] : value.get_object()) {
      if (name == "$ref") {
        const std::string target(member.as_string());
        INFO(target);
        CHECK(schemas.contains(target.substr(std::string("#/components/schemas/").size())));
      } else {
        check_references(member, schemas);
      }
    }
  }
}

TEST_CASE("the document has every operation and what it refers to") {
  const auto document = parse_json(openapi_document(api_table(), "1.2.3"));
  REQUIRE(document);
  std::size_t operations = 0;
  for (const auto& [path, item] : document->at("paths").as_object()) {
    operations += item.as_object().size();
  }
  CHECK(operations == api_table().operations().size());
  check_references(*document, document->at("components").at("schemas").as_object());
  const json::value& create = document->at("paths").at("/things/{thingName}").at("post");
  CHECK(create.at("operationId").as_string() == "CreateThing");
  CHECK(create.at("parameters").at(0).at("schema").at("maxLength").as_int64() == 128);
}

}  // namespace
}  // namespace iotcore::gateway
