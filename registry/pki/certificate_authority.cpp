#include "registry/pki/certificate_authority.h"

#include "base/files.h"
#include "registry/pki/ca_files.h"
#include "registry/pki/certificate.h"
#include "registry/pki/issuing.h"

#include <algorithm>
#include <arpa/inet.h>
#include <mutex>
#include <unistd.h>
#include <utility>
#include <vector>

namespace iotcore::registry::pki {
namespace {

using namespace std::chrono_literals;

constexpr auto kDay = 24h;
// Clients of Apple's make refuse server certificates that last longer.
constexpr auto kServerLifetime = 397 * kDay;
constexpr auto kServerRenewal = 30 * kDay;
constexpr const char* kDeviceCommonName = "AWS IoT Certificate";

Status check_device_key(EVP_PKEY* key) {
  const int type = EVP_PKEY_get_base_id(key);
  if (type == EVP_PKEY_RSA) {
    if (EVP_PKEY_get_bits(key) < 2048) {
      return fail(
          Errc::kInvalidRequest,
          "The RSA key of the CSR has " + std::to_string(EVP_PKEY_get_bits(key)) +
              " bits; at least 2048 are required."
      );
    }
    return {};
  }
  if (type == EVP_PKEY_EC) {
    char group[64] = {};
    std::size_t size = 0;
    EVP_PKEY_get_group_name(key, group, sizeof group, &size);
    const int nid = OBJ_txt2nid(group);
    if (nid == NID_X9_62_prime256v1 || nid == NID_secp384r1 || nid == NID_secp521r1) {
      return {};
    }
    return fail(
        Errc::kInvalidRequest,
        "The curve of the CSR's key is not supported; use P-256, P-384 or P-521."
    );
  }
  if (type == EVP_PKEY_ED25519) {
    return {};
  }
  return fail(Errc::kInvalidRequest, "The key type of the CSR is not supported; use RSA or EC.");
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? std::string(name) : std::string();
}

bool is_address(const std::string& name) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

bool is_host_name(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*_"
         ) == std::string::npos;
}

Result<std::vector<std::string>> all_server_names(std::span<const std::string> configured) {
  std::vector<std::string> names = {"localhost", "127.0.0.1", "::1"};
  if (std::string host = host_name(); is_host_name(host)) {
    names.push_back(std::move(host));
  }
  for (const std::string& name : configured) {
    if (!is_address(name) && !is_host_name(name)) {
      return fail(Errc::kInvalidRequest, "\"" + name + "\" is neither a host name nor an address");
    }
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// For the extension subjectAltName.
std::string alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    out += (out.empty() ? "" : ",") + std::string(is_address(name) ? "IP:" : "DNS:") + name;
  }
  return out;
}

bool has_names(X509* certificate, const std::vector<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [certificate](const std::string& name) {
    return is_address(name) ? X509_check_ip_asc(certificate, name.c_str(), 0) == 1
                            : X509_check_host(
                                  certificate,
                                  name.data(),
                                  name.size(),
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                                  nullptr
                              ) == 1;
  });
}

}  // namespace

std::optional<KeyType> key_type_from(std::string_view name) {
  if (name == "rsa2048") {
    return KeyType::kRsa2048;
  }
  if (name == "p256") {
    return KeyType::kP256;
  }
  return std::nullopt;
}

namespace {

// What is signed with; one that a rotation replaces lives on in the calls that have begun with it.
struct Issuer {
  X509Ptr certificate;
  KeyPtr key;
  std::string pem;
  std::string root_pem;
  std::string cross_pem;  // or empty

  Result<X509Ptr> issue(
      const Clock& clock,
      const X509_NAME* subject,
      EVP_PKEY* public_key,
      std::optional<WallTime> not_after,
      std::vector<Extension> extensions
  ) const {
    extensions.push_back({NID_subject_key_identifier, "hash"});
    extensions.push_back({NID_authority_key_identifier, "keyid:always"});
    const CertificateTemplate from = {
        subject, public_key, clock.wall() - kBackdate, not_after, std::move(extensions)};
    return make_certificate(from, certificate.get(), key.get());
  }

  Result<X509Ptr> issue_device(const Clock& clock, const X509_NAME* subject, EVP_PKEY* public_key)
      const {
    return issue(
        clock,
        subject,
        public_key,
        std::nullopt,
        {{NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"}}
    );
  }
};

std::shared_ptr<const Issuer> issuer_of(
    CaPair intermediate, const CaPair& root, const CaPlace& place
) {
  return std::make_shared<const Issuer>(Issuer{
      std::move(intermediate.certificate),
      std::move(intermediate.key),
      std::move(intermediate.pem),
      root.pem,
      cross_certificate(place, root)});
}

}  // namespace

struct CertificateAuthority::Impl {
  const Clock* clock;
  CaPlace place;
  std::mutex rotating;  // one at a time, and their files

  mutable std::mutex mutex;  // and what follows
  std::shared_ptr<const Issuer> current;
  std::uint64_t generation = 0;

  // Second owner: whoever is just signing with it.
  std::shared_ptr<const Issuer> issuer() const {
    const std::lock_guard lock(mutex);
    return current;
  }

  // The certificate in `folder`, if it can still be used.
  std::optional<ServerCertificate> kept_server_certificate(
      const std::filesystem::path& folder,
      const std::vector<std::string>& names,
      const Issuer& issuer
  ) const {
    const auto kept_pem = read_file(folder / "server.pem");
    const auto key_pem = read_file(folder / "server.key");
    if (!kept_pem || !key_pem) {
      return std::nullopt;
    }
    const X509Ptr kept = certificate_from_pem(*kept_pem);
    const KeyPtr kept_key = private_key_from_pem(*key_pem);
    if (kept == nullptr || kept_key == nullptr ||
        X509_check_private_key(kept.get(), kept_key.get()) != 1 ||
        X509_verify(kept.get(), issuer.key.get()) != 1 || !has_names(kept.get(), names)) {
      return std::nullopt;
    }
    const auto info = parse_certificate_pem(*kept_pem);
    if (!info || !info->valid_at(clock->wall() + kServerRenewal) ||
        !info->valid_at(clock->wall())) {
      return std::nullopt;
    }
    return ServerCertificate{*kept_pem, *key_pem, info->not_after};
  }
};

CertificateAuthority::CertificateAuthority(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

CertificateAuthority::CertificateAuthority(CertificateAuthority&&) noexcept = default;
CertificateAuthority& CertificateAuthority::operator=(CertificateAuthority&&) noexcept = default;
CertificateAuthority::~CertificateAuthority() = default;

Result<CertificateAuthority> CertificateAuthority::open(
    const std::filesystem::path& folder, const Clock& clock, std::string_view passphrase
) {
  auto impl = std::make_unique<Impl>();
  impl->clock = &clock;
  impl->place = {folder, std::string(passphrase)};
  IOTCORE_ASSIGN(const CaPair root, open_root(impl->place, clock));
  IOTCORE_ASSIGN(CaPair intermediate, open_intermediate(impl->place, clock, root));
  impl->current = issuer_of(std::move(intermediate), root, impl->place);
  return CertificateAuthority(std::move(impl));
}

Status CertificateAuthority::rotate(Rotation what) {
  const std::lock_guard one_at_a_time(impl_->rotating);
  IOTCORE_ASSIGN(CaPair root, open_root(impl_->place, *impl_->clock));
  if (what == Rotation::kRoot) {
    IOTCORE_ASSIGN(root, rotate_root(impl_->place, *impl_->clock, root));
  }
  IOTCORE_ASSIGN(CaPair intermediate, renew_intermediate(impl_->place, *impl_->clock, root));
  auto fresh = issuer_of(std::move(intermediate), root, impl_->place);
  const std::lock_guard lock(impl_->mutex);
  impl_->current = std::move(fresh);
  ++impl_->generation;
  return {};
}

std::uint64_t CertificateAuthority::generation() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->generation;
}

std::string CertificateAuthority::certificate_pem() const {
  return impl_->issuer()->root_pem;
}

std::string CertificateAuthority::name() const {
  const auto info = parse_certificate_pem(certificate_pem());
  if (!info) {
    return {};
  }
  const auto found = info->subject.find("CommonName");
  return found == info->subject.end() ? std::string() : found->second.front();
}

Result<KeysAndCertificate> CertificateAuthority::make_device_certificate(KeyType type) const {
  IOTCORE_ASSIGN(const KeyPtr key, type == KeyType::kRsa2048 ? make_rsa_key() : make_p256_key());
  const NamePtr subject = make_name(kDeviceCommonName, "");
  IOTCORE_ASSIGN(
      const X509Ptr certificate,
      impl_->issuer()->issue_device(*impl_->clock, subject.get(), key.get())
  );
  return KeysAndCertificate{
      to_pem(certificate.get()), public_key_to_pem(key.get()), private_key_to_pem(key.get())};
}

bool CertificateAuthority::has_issued(std::string_view der) const {
  const X509Ptr certificate = certificate_from_der(der);
  const bool verified =
      certificate != nullptr && X509_verify(certificate.get(), impl_->issuer()->key.get()) == 1;
  ignore_error(Status(fail(openssl_error("verifying"))), "empties the library's queue");
  return verified;
}

Result<std::string> CertificateAuthority::sign_device_request(std::string_view request_pem) const {
  const RequestPtr request = request_from_pem(request_pem);
  EVP_PKEY* key = request == nullptr ? nullptr : X509_REQ_get0_pubkey(request.get());
  if (key == nullptr) {
    return fail(Errc::kInvalidRequest, "The CSR is not a valid PKCS #10 request in PEM form.");
  }
  IOTCORE_TRY(check_device_key(key));
  if (X509_REQ_verify(request.get(), key) != 1) {
    ignore_error(Status(fail(openssl_error("verifying"))), "empties the library's queue");
    return fail(Errc::kInvalidRequest, "The CSR is not signed by its own key.");
  }
  const X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  const NamePtr fallback = make_name(kDeviceCommonName, "");
  if (X509_NAME_entry_count(subject) == 0) {
    subject = fallback.get();
  }
  IOTCORE_ASSIGN(
      const X509Ptr certificate, impl_->issuer()->issue_device(*impl_->clock, subject, key)
  );
  return to_pem(certificate.get());
}

Result<ServerCertificate> CertificateAuthority::server_certificate(
    const std::filesystem::path& folder, std::span<const std::string> names
) const {
  IOTCORE_ASSIGN(const std::vector<std::string> all_names, all_server_names(names));
  const std::shared_ptr<const Issuer> issuer = impl_->issuer();
  if (auto kept = impl_->kept_server_certificate(folder, all_names, *issuer)) {
    return *std::move(kept);
  }
  IOTCORE_ASSIGN(const KeyPtr key, make_p256_key());
  const NamePtr subject = make_name("iotcore server", "iotcore");
  const WallTime not_after = impl_->clock->wall() + kServerLifetime;
  IOTCORE_ASSIGN(
      const X509Ptr certificate,
      issuer->issue(
          *impl_->clock,
          subject.get(),
          key.get(),
          not_after,
          {{NID_basic_constraints, "critical,CA:FALSE"},
           {NID_key_usage, "critical,digitalSignature"},
           {NID_ext_key_usage, "serverAuth"},
           {NID_subject_alt_name, alternative_names(all_names)}}
      )
  );
  const ServerCertificate made = {
      to_pem(certificate.get()) + issuer->pem + issuer->cross_pem,
      private_key_to_pem(key.get()),
      not_after};
  IOTCORE_TRY(write_file(folder / "server.key", made.private_key_pem, FileMode::kPrivate));
  IOTCORE_TRY(write_file(folder / "server.pem", made.certificate_pem, FileMode::kPublic));
  return made;
}

}  // namespace iotcore::registry::pki
