#include "server/admin_client.h"
#include "server/commands.h"

#include <cstdio>

namespace iotcore::server {

bool print_health(const Config& config) {
  const Result<net::HttpResponse> answer = ask_admin(config.data_dir, "/readyz");
  if (!answer) {
    std::printf("not ready: %s\n", answer.error().message().c_str());
    return false;
  }
  const bool ready = answer->status == 200;
  std::printf("%s%s", ready ? "" : "not ready: ", answer->body.c_str());
  return ready;
}

}  // namespace iotcore::server
