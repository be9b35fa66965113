#include "gateway/api_page.h"

#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>

namespace iotcore::gateway {
namespace {

TEST_CASE("the page has every operation, and every type that one of them refers to") {
  const std::string page = api_page(api_table());
  for (const auto& operation : api_table().operations()) {
    INFO(operation->name);
    CHECK(page.find("\n### " + operation->name + "\n") != std::string::npos);
    CHECK(page.find('`' + operation->method + ' ' + operation->path + '`') != std::string::npos);
  }
  for (std::size_t at = page.find("](#"); at != std::string::npos; at = page.find("](#", at + 1)) {
    const std::size_t name = page.rfind('[', at) + 1;
    const std::string target = page.substr(name, at - name);
    INFO(target);
    CHECK((target == "authentication" || page.find("\n### " + target + "\n") != std::string::npos));
  }
}

TEST_CASE("the page says what a member is bound to") {
  const std::string page = api_page(api_table());
  CHECK(
      page.find("| **thingName** | path | string | 1 to 128 characters; `[a-zA-Z0-9:_-]+` |") !=
      std::string::npos
  );
  CHECK(
      page.find("| ascendingOrder | query `isAscendingOrder` | boolean |  |") != std::string::npos
  );
  CHECK(
      page.find("| principal | header `x-amzn-iot-principal` |") == std::string::npos
  );  // it is required
}

}  // namespace
}  // namespace iotcore::gateway
