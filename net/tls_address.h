#pragma once

#include <string>

namespace iotcore::net {

// For libraries that speak TLS by OpenSSL themselves and only know names of hosts. If `host` is an IP address, whoever answers has to show a certificate for it:
// true. `context` is the library's SSL_CTX; nullptr: the host is only looked at.
bool expect_address(void* context, const std::string& host);

}  // namespace iotcore::net
