// Any text as a query of a dynamic group: parsed or refused, and asked of a thing in bounded time.
#include "registry/query/query.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

using namespace iotcore::registry;

class Thing final : public query::Subject {
 public:
  bool any(std::string_view field, const Test& test) const override {
    return (field == "thingName" && test(query::ValueView::of_text("thing-1"))) ||
           (field.starts_with("attributes.") && test(query::ValueView::of_attribute("75")));
  }

  bool any(const Test& test) const override {
    return test(query::ValueView::of_text("thing-1")) || test(query::ValueView::of_attribute("75"));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = query::Query::parse({reinterpret_cast<const char*>(data), size});
  if (parsed) {
    static_cast<void>(parsed->matches(Thing()));
  }
  return 0;
}
