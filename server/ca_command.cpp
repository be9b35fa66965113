#include "base/clock.h"
#include "registry/pki/certificate_authority.h"
#include "registry/pki/sealing_key.h"
#include "server/commands.h"
#include "server/data_dir.h"

#include <cstdio>

namespace iotcore::server {

Status rotate_ca(const Config& config) {
  // Held, so that no server runs on it meanwhile.
  IOTCORE_ASSIGN(const DataDir data, DataDir::open(config.data_dir));
  const SystemClock clock;
  IOTCORE_ASSIGN(
      const registry::pki::SealingKey key,
      registry::pki::SealingKey::open(
          {.file = config.security_key_file.empty() ? data.sealing_key() : config.security_key_file,
           .passphrase = config.security_passphrase},
          false
      )
  );
  IOTCORE_TRY(registry::pki::CertificateAuthority::rotate(
      data.path(), clock, key.derive(registry::pki::kCaKeyPurpose)
  ));
  std::printf(
      "%s holds the new root and, behind it, the old one: hand it to clients before the old one "
      "ends.\nThe server takes it at its next start.\n",
      data.ca_certificate().c_str()
  );
  return {};
}

}  // namespace iotcore::server
