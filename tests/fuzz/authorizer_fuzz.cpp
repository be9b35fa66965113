// Any text as what a custom authorizer is shown and answers: user names, query strings, answers.
#include "base/check.h"
#include "registry/authorizer_protocol.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iotcore::registry;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const UserNameParameters user = parse_user_name(input);
  if (user.authorizer_name) {
    IOTCORE_CHECK(user.authorizer_name->size() <= input.size());
  }
  parse_authorizer_query(input);
  AuthorizerEvent event;
  event.token = input;
  event.mqtt.emplace();
  event.mqtt->user_name = input;
  event.mqtt->password = input;
  to_json_text(event);
  for (const std::string_view certificate : {std::string_view(), std::string_view("abc")}) {
    const auto answer = parse_authorizer_answer(input, certificate);
    if (answer && answer->is_authenticated) {
      IOTCORE_CHECK(!answer->principal_id.empty() && answer->policies.size() <= 10);
      IOTCORE_CHECK(certificate.empty() || answer->principal_id == certificate);
      IOTCORE_CHECK(
          answer->disconnect_after.count() >= 300 && answer->disconnect_after.count() <= 86400
      );
    }
  }
  return 0;
}
