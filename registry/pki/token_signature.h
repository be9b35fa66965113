#pragma once

#include "base/result.h"

#include <string_view>

namespace iotcore::registry::pki {

// Whether the PEM text is a public key with which tokens may be signed: RSA of 2048 bits or more. kInvalidRequest.
Status check_token_key(std::string_view public_key_pem);

// Whether the signature (RSASSA-PKCS1-v1_5 with SHA-256, its bytes) was made over exactly this token by the owner of the key.
bool is_token_signature(
    std::string_view public_key_pem, std::string_view token, std::string_view signature
);

}  // namespace iotcore::registry::pki
