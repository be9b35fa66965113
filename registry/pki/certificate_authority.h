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

// This installation's own CA: a root, whose certificate clients trust and whose key is read only to sign, and under it an intermediate CA, which signs
// the certificate of the TLS faces and those of devices. Any thread. Making keys takes tens of milliseconds: on the blocking pool only.
class CertificateAuthority {
 public:
  // From the files in `folder`, which exists (ca_files.h); what is not there is made. Keys are kept encrypted under the passphrase, if there is one; one
  // that was not is encrypted now. Half a root is an error: overwriting it would orphan a fleet.
  static Result<CertificateAuthority> open(
      const std::filesystem::path& folder, const Clock& clock, std::string_view passphrase = {}
  );

  enum class Rotation : std::uint8_t { kIntermediate, kRoot };

  // Makes a new intermediate, under the same root or a new one; what is signed from then on is signed by it. With a new root ca.pem holds both, the new
  // one first; the old one has signed the new one's key, and server_certificate() sends that along, so that clients who know only the old root go on
  // until it ends. Device certificates are known by their fingerprints and stay as they are.
  Status rotate(Rotation what);

  CertificateAuthority(CertificateAuthority&&) noexcept;
  CertificateAuthority& operator=(CertificateAuthority&&) noexcept;
  ~CertificateAuthority();

  // The root's.
  std::string certificate_pem() const;
  // The subject's common name of the root.
  std::string name() const;
  // Raised by rotate(): a server certificate of before is to be made anew.
  std::uint64_t generation() const;

  // New keys and a certificate on them for a device, in force from now to the end of 2049, as AWS
  // makes them. The private key is nowhere else.
  Result<KeysAndCertificate> make_device_certificate(KeyType type) const;
  // A certificate on the key and with the subject of a PKCS #10 request. kInvalidRequest if it is
  // malformed, not signed by its own key, or the key too weak (RSA below 2048 bits, EC other than
  // P-256, P-384 and P-521).
  Result<std::string> sign_device_request(std::string_view request_pem) const;

  // Whether the intermediate of now has signed it.
  bool has_issued(std::string_view der) const;

  // server.pem and server.key of `folder` while they are the intermediate's, fit `names` (host names
  // and addresses) and last another 30 days; else made anew and written. "localhost", 127.0.0.1, ::1
  // and the machine's host name are always among the names. The chain is in it.
  Result<ServerCertificate> server_certificate(
      const std::filesystem::path& folder, std::span<const std::string> names
  ) const;

 private:
  struct Impl;
  explicit CertificateAuthority(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace iotcore::registry::pki
