#include "net/tls_address.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace iotcore::net {

bool expect_address(void* context, const std::string& host) {
  const std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> address(
      a2i_IPADDRESS(host.c_str()), &ASN1_OCTET_STRING_free
  );
  if (!address || context == nullptr) {
    return address != nullptr;
  }
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(static_cast<SSL_CTX*>(context));
  return X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
}

}  // namespace iotcore::net
