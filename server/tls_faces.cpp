#include "server/tls_faces.h"

#include "base/crypto.h"
#include "base/files.h"
#include "base/log.h"

#include <sys/stat.h>

namespace iotcore::server {
namespace {

// Our own CA makes a new server certificate a month before the old one ends; looking for that twice a day is enough.
constexpr unsigned kPollsPerRenewal = 12 * 3600;

std::string stamp_of(const std::filesystem::path& file) {
  struct stat found = {};
  if (::stat(file.c_str(), &found) != 0) {
    return "none";
  }
  return std::to_string(found.st_ino) + "/" + std::to_string(found.st_size) + "/" +
         std::to_string(found.st_mtim.tv_sec) + "/" + std::to_string(found.st_mtim.tv_nsec);
}

}  // namespace

TlsFaces::TlsFaces(
    const Config& config,
    const registry::pki::CertificateAuthority& authority,
    std::filesystem::path data_dir,
    std::vector<std::string> names
)
    : config_(config),
      authority_(authority),
      data_dir_(std::move(data_dir)),
      names_(std::move(names)) {}

Result<std::unique_ptr<TlsFaces>> TlsFaces::make(
    const Config& config,
    const registry::pki::CertificateAuthority& authority,
    const registry::DomainTable& domains,
    std::filesystem::path data_dir,
    std::vector<std::string> names
) {
  std::unique_ptr<TlsFaces> out(
      new TlsFaces(config, authority, std::move(data_dir), std::move(names))
  );
  out->stamp_ = out->stamp();
  IOTCORE_ASSIGN(const registry::pki::ServerCertificate certificate, out->read());
  out->certificate_pem_ = certificate.certificate_pem;
  out->key_digest_ = as_text(sha256(certificate.private_key_pem));
  net::TlsServerConfig tls;
  tls.certificate_chain_pem = certificate.certificate_pem;
  tls.private_key_pem = certificate.private_key_pem;
  tls.resumable_sessions_max = config.tls_resumable_sessions;
  tls.policy = net::find_tls_policy(config.tls_policy);
  tls.choose = [&domains, refuse = config.tls_refuse_unknown_names](std::string_view host) {
    using Answers = net::ServerNameChoice::Answers;
    const auto domain = domains.find(host);
    if (domain == nullptr) {
      return net::ServerNameChoice{refuse ? Answers::kIfOwn : Answers::kYes, nullptr};
    }
    return net::ServerNameChoice{Answers::kYes, net::find_tls_policy(domain->security_policy())};
  };
  IOTCORE_ASSIGN(out->mqtts_, net::TlsContext::make(tls));
  // On 443 AWS asks for a certificate only where ALPN names a protocol that needs one; on 8443 always.
  tls.client_certificates = config.listen_https.port == 443 ? net::ClientCertificates::kByAlpn
                                                            : net::ClientCertificates::kAlways;
  IOTCORE_ASSIGN(out->https_, net::TlsContext::make(tls));
  return out;
}

Result<registry::pki::ServerCertificate> TlsFaces::read() const {
  if (!has_own_files()) {
    return authority_.server_certificate(data_dir_, names_);
  }
  registry::pki::ServerCertificate certificate;
  IOTCORE_ASSIGN(certificate.certificate_pem, read_file(config_.tls_certificate_file));
  IOTCORE_ASSIGN(certificate.private_key_pem, read_file(config_.tls_key_file));
  return certificate;
}

std::string TlsFaces::stamp() const {
  return has_own_files()
             ? stamp_of(config_.tls_certificate_file) + " " + stamp_of(config_.tls_key_file)
             : std::string();
}

void TlsFaces::reload() {
  stamp_ = stamp();
  generation_ = authority_.generation();
  const auto certificate = read();
  Status done = certificate ? Status() : fail(certificate.error());
  if (certificate) {
    const std::string key_digest(as_text(sha256(certificate->private_key_pem)));
    if (certificate->certificate_pem == certificate_pem_ && key_digest == key_digest_) {
      return;
    }
    done = mqtts_->reload(certificate->certificate_pem, certificate->private_key_pem);
    if (done) {
      done = https_->reload(certificate->certificate_pem, certificate->private_key_pem);
    }
    if (done) {
      certificate_pem_ = certificate->certificate_pem;
      key_digest_ = key_digest;
    }
  }
  if (done) {
    log(LogLevel::kInfo, "tls.certificate_reloaded");
  } else {
    log(LogLevel::kError,
        "tls.reload_failed",
        {{"why", done.error().message()}, {"effect", "the certificate before stays in use"}});
  }
}

void TlsFaces::poll() {
  const bool due = ++polls_ % kPollsPerRenewal == 0 || generation_ != authority_.generation();
  if (has_own_files() ? stamp() != stamp_ : due) {
    reload();
  }
}

}  // namespace iotcore::server
