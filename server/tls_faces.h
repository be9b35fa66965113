#pragma once

#include "net/tls_context.h"
#include "registry/domain_table.h"
#include "registry/pki/certificate_authority.h"
#include "server/config.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace iotcore::server {

// TLS of the faces mqtts and https: one certificate, the operator's own or one of our CA, taken over without a restart when it changes. Main thread;
// connections use the contexts on theirs.
class TlsFaces {
 public:
  // `names`: of this server, for a certificate of our own CA. All of it outlives this.
  static Result<std::unique_ptr<TlsFaces>> make(
      const Config& config,
      const registry::pki::CertificateAuthority& authority,
      const registry::DomainTable& domains,
      std::filesystem::path data_dir,
      std::vector<std::string> names
  );

  const net::TlsContext& mqtts() const { return *mqtts_; }

  const net::TlsContext& https() const { return *https_; }

  // Reads certificate and key again; new connections get them. On an error, which is logged, the old ones stay.
  void reload();
  // Once a second or so: reload() when the files have changed, or when our own certificate may be due for another or the CA was rotated.
  void poll();

 private:
  TlsFaces(
      const Config& config,
      const registry::pki::CertificateAuthority& authority,
      std::filesystem::path data_dir,
      std::vector<std::string> names
  );

  bool has_own_files() const { return !config_.tls_certificate_file.empty(); }

  Result<registry::pki::ServerCertificate> read() const;
  // What tells one state of the files from another.
  std::string stamp() const;

  const Config& config_;
  const registry::pki::CertificateAuthority& authority_;
  std::filesystem::path data_dir_;
  std::vector<std::string> names_;
  std::string stamp_;
  std::string certificate_pem_;
  std::string key_digest_;
  unsigned polls_ = 0;
  std::uint64_t generation_ = 0;  // of the authority, when it was asked last
  std::unique_ptr<net::TlsContext> mqtts_;
  std::unique_ptr<net::TlsContext> https_;
};

}  // namespace iotcore::server
