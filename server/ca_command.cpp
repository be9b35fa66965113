#include "base/clock.h"
#include "base/json.h"
#include "registry/pki/certificate_authority.h"
#include "registry/pki/sealing_key.h"
#include "server/api_client.h"
#include "server/commands.h"
#include "server/data_dir.h"

#include <cstdio>

namespace iotcore::server {
namespace {

using registry::pki::CertificateAuthority;

// With `data` held, so that no server starts on it meanwhile.
Status rotate_offline(const Config& config, const DataDir& data, bool intermediate_only) {
  const SystemClock clock;
  IOTCORE_ASSIGN(
      const registry::pki::SealingKey key,
      registry::pki::SealingKey::open(
          {.file = config.security_key_file.empty() ? data.sealing_key() : config.security_key_file,
           .passphrase = config.security_passphrase},
          false
      )
  );
  IOTCORE_ASSIGN(
      CertificateAuthority authority,
      CertificateAuthority::open(data.path(), clock, key.derive(registry::pki::kCaKeyPurpose))
  );
  return authority.rotate(
      intermediate_only ? CertificateAuthority::Rotation::kIntermediate
                        : CertificateAuthority::Rotation::kRoot
  );
}

// By the server that runs on the folder.
Status rotate_online(const Config& config, bool intermediate_only) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(config.data_dir));
  json::object body;
  body["intermediateOnly"] = intermediate_only;
  IOTCORE_TRY(api.call("POST", "/_iotcore/ca/rotate", &body));
  return {};
}

}  // namespace

Status rotate_ca(const Config& config, bool intermediate_only) {
  const Result<DataDir> data = DataDir::open(config.data_dir);
  const bool runs = !data && data.error().code() == Errc::kConflict;
  if (!data && !runs) {
    return fail(data.error());
  }
  IOTCORE_TRY(
      runs ? rotate_online(config, intermediate_only)
           : rotate_offline(config, *data, intermediate_only)
  );
  const char* when = runs ? "The server sends its new chain within two seconds."
                          : "The server takes it at its next start.";
  if (intermediate_only) {
    std::printf("The intermediate CA is new; clients need nothing. %s\n", when);
  } else {
    std::printf(
        "%s holds the new root and, behind it, the old one: hand it to clients before the old one "
        "ends. %s\n",
        (config.data_dir / "ca.pem").c_str(),
        when
    );
  }
  return {};
}

}  // namespace iotcore::server
