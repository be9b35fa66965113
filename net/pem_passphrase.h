#pragma once

namespace iotcore::net {

// For OpenSSL's readers of PEM: what says that it is encrypted is an error. Without this they would ask for its passphrase at the terminal.
inline int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*unused*/) {
  return -1;
}

}  // namespace iotcore::net
