#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace iotcore::net {

// What is in a PKCS#12 store, as PEM.
struct Pkcs12 {
  std::string key_pem;          // empty: there is none
  std::string certificate_pem;  // of the key
  std::string ca_pem;           // the others, one behind the other
};

// kInvalidRequest: it is none, or the password is wrong.
Result<Pkcs12> open_pkcs12(std::string_view bytes, const std::string& password);

}  // namespace iotcore::net
