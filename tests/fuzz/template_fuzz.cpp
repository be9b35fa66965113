// Any text as a provisioning template: what is taken is checked for either purpose, evaluated or refused, never more.
#include "registry/provisioning/template.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iotcore::registry::provisioning;
  const auto parsed = Template::parse({reinterpret_cast<const char*>(data), size});
  if (parsed) {
    for (const Purpose purpose : {Purpose::kFleet, Purpose::kJustInTime}) {
      static_cast<void>(parsed->check_for(purpose).has_value());
    }
    const Parameters parameters = {{"ThingName", "t"}, {"AWS::IoT::Certificate::Id", "c"}};
    const auto resources = parsed->evaluate(parameters);
    static_cast<void>(resources.has_value());
  }
  return 0;
}
