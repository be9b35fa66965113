#include "server/config_key_kinds.h"

namespace iotcore::server {

void append_function_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(text_key(
      "functions.user",
      "Whom local functions run as where the server runs as root; elsewhere they run as the server "
      "does.",
      [](Config & c) -> auto& { return c.functions_user; },
      [](std::string_view t) { return !t.empty(); },
      "the name of a user"
  ));
  keys.push_back(flag_key(
      "functions.require_isolation",
      "Whether functions are refused where the system gives them no namespaces: without, they then "
      "reach the network.",
      [](Config & c) -> auto& { return c.functions_require_isolation; }
  ));
  keys.push_back(path_key(
      "functions.runtimes_dir",
      "Folder of the runtime clients for Python and Node.js; empty: the one that came with the "
      "server.",
      [](Config & c) -> auto& { return c.functions_runtimes_dir; }
  ));
}

}  // namespace iotcore::server
