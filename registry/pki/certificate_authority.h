#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace iotcore::registry::pki {

enum class KeyType : std::uint8_t { kRsa2048, kP256 };

// "rsa2048" or "p256", as the setting registry.key_type has it.
std::optional<KeyType> key_type_from(std::string_view name);

struct KeysAndCertificate {
  std::string certificate_pem;
  std::string public_key_pem;
  std::string private_key_pem;
};

struct ServerCertificate {
  std::string certificate_pem;
  std::string private_key_pem;
  WallTime not_after;
};

// The root CA of this installation. It signs the certificate of the TLS faces and those of devices.
// After open() it is immutable; any thread may use it. Making keys takes tens of milliseconds: on
// the blocking pool only.
class CertificateAuthority {
 public:
  // From ca.pem and ca.key (mode 600) in `folder`, which exists; if neither is there, a new CA is
  // made and written. One without the other is an error: overwriting half a CA would orphan a
  // fleet. The key is kept encrypted under the passphrase, if there is one; one that was not is encrypted now.
  static Result<CertificateAuthority> open(
      const std::filesystem::path& folder, const Clock& clock, std::string_view passphrase = {}
  );

  // Makes a new root in the place of the one in `folder`, which must be there and in nobody's use. ca.pem then holds both, the new one first; the old
  // one has signed the new one's key (ca.cross.pem, sent along by the TLS faces), so that clients who know only the old root go on until it ends.
  // Device certificates are known by their fingerprints and stay as they are.
  static Status rotate(
      const std::filesystem::path& folder, const Clock& clock, std::string_view passphrase
  );

  CertificateAuthority(CertificateAuthority&&) noexcept;
  CertificateAuthority& operator=(CertificateAuthority&&) noexcept;
  ~CertificateAuthority();

  const std::string& certificate_pem() const;
  // The subject's common name.
  std::string name() const;

  // New keys and a certificate on them for a device, in force from now to the end of 2049, as AWS
  // makes them. The private key is nowhere else.
  Result<KeysAndCertificate> make_device_certificate(KeyType type) const;
  // A certificate on the key and with the subject of a PKCS #10 request. kInvalidRequest if it is
  // malformed, not signed by its own key, or the key too weak (RSA below 2048 bits, EC other than
  // P-256, P-384 and P-521).
  Result<std::string> sign_device_request(std::string_view request_pem) const;

  // server.pem and server.key of `folder` while they are this CA's, fit `names` (host names and
  // addresses) and last another 30 days; else made anew and written. "localhost", 127.0.0.1, ::1
  // and the machine's host name are always among the names.
  Result<ServerCertificate> server_certificate(
      const std::filesystem::path& folder, std::span<const std::string> names
  ) const;

 private:
  struct Impl;
  explicit CertificateAuthority(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace iotcore::registry::pki
