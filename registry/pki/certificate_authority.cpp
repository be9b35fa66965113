#include "registry/pki/certificate_authority.h"

#include "base/crypto.h"
#include "base/files.h"
#include "registry/pki/certificate.h"
#include "registry/pki/openssl.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <arpa/inet.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace iotcore::registry::pki {
namespace {

using namespace std::chrono_literals;

constexpr auto kDay = 24h;
constexpr auto kRootLifetime = 20 * 365 * kDay;
// Clients of Apple's make refuse server certificates that last longer.
constexpr auto kServerLifetime = 397 * kDay;
constexpr auto kServerRenewal = 30 * kDay;
// Clocks of devices may be a little behind ours.
constexpr auto kBackdate = 1h;
constexpr const char* kEndOfDeviceCertificates = "20491231235959Z";
constexpr const char* kDeviceCommonName = "AWS IoT Certificate";

struct Extension {
  int nid;
  std::string value;
};

struct Template {
  const X509_NAME* subject;
  EVP_PKEY* public_key;
  WallTime not_before;
  std::optional<WallTime> not_after;  // none: the end of device certificates
  std::vector<Extension> extensions;
};

Result<KeyPtr> make_key(KeyType type) {
  KeyPtr key(type == KeyType::kRsa2048 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
  if (key == nullptr) {
    return fail(openssl_error("making a key"));
  }
  return key;
}

NamePtr make_name(std::string_view common_name, std::string_view organization) {
  NamePtr name(X509_NAME_new());
  const auto add = [&name](const char* field, std::string_view value) {
    if (!value.empty()) {
      X509_NAME_add_entry_by_txt(
          name.get(),
          field,
          MBSTRING_UTF8,
          reinterpret_cast<const unsigned char*>(value.data()),
          static_cast<int>(value.size()),
          -1,
          0
      );
    }
  };
  add("O", organization);
  add("CN", common_name);
  return name;
}

bool set_serial(X509* certificate) {
  // 20 bytes at most, positive, never zero (RFC 5280 4.1.2.2).
  std::string bytes = random_bytes(20);
  bytes[0] = static_cast<char>((bytes[0] & 0x3F) | 0x40);
  const BignumPtr number(BN_bin2bn(
      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr
  ));
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_validity(X509* certificate, const Template& from) {
  const auto set = [](ASN1_TIME* field, WallTime t) {
    return ASN1_TIME_set(field, static_cast<time_t>(to_epoch_s(t))) != nullptr;
  };
  if (!set(X509_getm_notBefore(certificate), from.not_before)) {
    return false;
  }
  ASN1_TIME* end = X509_getm_notAfter(certificate);
  return from.not_after ? set(end, *from.not_after)
                        : ASN1_TIME_set_string_X509(end, kEndOfDeviceCertificates) == 1;
}

bool add_extensions(X509* certificate, X509* issuer, const std::vector<Extension>& extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  return std::all_of(extensions.begin(), extensions.end(), [&](const Extension& e) {
    const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, e.nid, e.value.c_str()));
    return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
  });
}

// `issuer` is null for a certificate that signs itself.
Result<X509Ptr> make_certificate(const Template& from, X509* issuer, EVP_PKEY* issuer_key) {
  X509Ptr certificate(X509_new());
  X509* x = certificate.get();
  const X509_NAME* issuer_name = issuer == nullptr ? from.subject : X509_get_subject_name(issuer);
  const bool made = x != nullptr && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
                    set_validity(x, from) && X509_set_subject_name(x, from.subject) == 1 &&
                    X509_set_issuer_name(x, issuer_name) == 1 &&
                    X509_set_pubkey(x, from.public_key) == 1 &&
                    add_extensions(x, issuer == nullptr ? x : issuer, from.extensions) &&
                    X509_sign(x, issuer_key, EVP_sha256()) > 0;
  if (!made) {
    return fail(openssl_error("making a certificate"));
  }
  return certificate;
}

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

std::vector<Extension> ca_extensions() {
  return {
      {NID_basic_constraints, "critical,CA:TRUE"},
      {NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature"},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid:always"}};
}

}  // namespace

struct CertificateAuthority::Impl {
  const Clock* clock;
  KeyPtr key;
  X509Ptr certificate;
  std::string pem;

  static Result<std::unique_ptr<Impl>> make(const Clock& clock) {
    auto impl = std::make_unique<Impl>();
    impl->clock = &clock;
    IOTCORE_ASSIGN(impl->key, make_key(KeyType::kP256));
    // A name of its own, so that a client that trusts two installations picks the right root.
    const NamePtr name = make_name("iotcore root CA " + to_hex(random_bytes(4)), "iotcore");
    const WallTime now = clock.wall();
    const Template root = {
        name.get(), impl->key.get(), now - kBackdate, now + kRootLifetime, ca_extensions()};
    IOTCORE_ASSIGN(impl->certificate, make_certificate(root, nullptr, impl->key.get()));
    impl->pem = to_pem(impl->certificate.get());
    return impl;
  }

  static Result<std::unique_ptr<Impl>> load(
      const Clock& clock,
      std::string_view certificate_pem,
      std::string_view key_pem,
      std::string_view passphrase
  ) {
    auto impl = std::make_unique<Impl>();
    impl->clock = &clock;
    impl->key = private_key_from_pem(key_pem, passphrase);
    impl->certificate = certificate_from_pem(certificate_pem);
    if (impl->key == nullptr || impl->certificate == nullptr) {
      return fail(
          Errc::kStoreCorrupt,
          "ca.pem or ca.key does not hold what its name says, or ca.key is encrypted under another "
          "sealing key"
      );
    }
    if (X509_check_private_key(impl->certificate.get(), impl->key.get()) != 1) {
      return fail(Errc::kStoreCorrupt, "ca.key is not the key of ca.pem");
    }
    impl->pem = to_pem(impl->certificate.get());
    return impl;
  }

  Result<X509Ptr> issue(
      const X509_NAME* subject,
      EVP_PKEY* public_key,
      std::optional<WallTime> not_after,
      std::vector<Extension> extensions
  ) const {
    extensions.push_back({NID_subject_key_identifier, "hash"});
    extensions.push_back({NID_authority_key_identifier, "keyid:always"});
    const Template from = {
        subject, public_key, clock->wall() - kBackdate, not_after, std::move(extensions)};
    return make_certificate(from, certificate.get(), key.get());
  }

  Result<X509Ptr> issue_device(const X509_NAME* subject, EVP_PKEY* public_key) const {
    return issue(
        subject,
        public_key,
        std::nullopt,
        {{NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"}}
    );
  }

  // The certificate in `folder`, if it can still be used.
  std::optional<ServerCertificate> kept_server_certificate(
      const std::filesystem::path& folder, const std::vector<std::string>& names
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
        X509_verify(kept.get(), key.get()) != 1 || !has_names(kept.get(), names)) {
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

namespace {

constexpr std::string_view kEncryptedMark = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

constexpr const char* kNextKey = "ca.key.next";
constexpr const char* kCross = "ca.cross.pem";

Status take_next_key(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::rename(folder / kNextKey, folder / "ca.key", error);
  return error ? fail(Errc::kStoreIo, "ca.key cannot be replaced: " + error.message()) : Status();
}

Status write_ca_key(const std::filesystem::path& path, EVP_PKEY* key, std::string_view passphrase) {
  return write_file(
      path,
      passphrase.empty() ? private_key_to_pem(key) : private_key_to_pem(key, passphrase),
      FileMode::kPrivate
  );
}

}  // namespace

Result<CertificateAuthority> CertificateAuthority::open(
    const std::filesystem::path& folder, const Clock& clock, std::string_view passphrase
) {
  const auto certificate_path = folder / "ca.pem";
  const auto key_path = folder / "ca.key";
  const auto pem = read_file(certificate_path);
  const auto key_pem = read_file(key_path);
  if (pem && key_pem) {
    auto loading = Impl::load(clock, *pem, *key_pem, passphrase);
    if (const auto next = read_file(folder / kNextKey); !loading && next) {
      // A rotation was cut short between its last two steps.
      loading = Impl::load(clock, *pem, *next, passphrase);
      if (loading) {
        IOTCORE_TRY(take_next_key(folder));
      }
    }
    if (!loading) {
      return fail(std::move(loading).error());
    }
    std::unique_ptr<Impl> loaded = *std::move(loading);
    if (!passphrase.empty() && key_pem->find(kEncryptedMark) == std::string::npos) {
      IOTCORE_TRY(write_ca_key(key_path, loaded->key.get(), passphrase));
    }
    return CertificateAuthority(std::move(loaded));
  }
  const auto absent = [](const Result<std::string>& file) {
    return !file && file.error().code() == Errc::kNotFound;
  };
  // A key alone is what a crash between the two writes below leaves; nobody has seen its
  // certificate.
  if (!absent(pem) || (!key_pem && !absent(key_pem))) {
    return fail(pem ? key_pem.error() : pem.error());
  }
  IOTCORE_ASSIGN(auto made, Impl::make(clock));
  IOTCORE_TRY(write_ca_key(key_path, made->key.get(), passphrase));
  IOTCORE_TRY(write_file(certificate_path, made->pem, FileMode::kPublic));
  return CertificateAuthority(std::move(made));
}

Status CertificateAuthority::rotate(
    const std::filesystem::path& folder, const Clock& clock, std::string_view passphrase
) {
  IOTCORE_ASSIGN(const std::string old_pem, read_file(folder / "ca.pem"));
  IOTCORE_ASSIGN(const CertificateAuthority old, open(folder, clock, passphrase));
  IOTCORE_ASSIGN(const auto fresh, Impl::make(clock));
  IOTCORE_ASSIGN(const Certificate old_info, parse_certificate_pem(old.impl_->pem));
  const Template cross = {
      X509_get_subject_name(fresh->certificate.get()),
      fresh->key.get(),
      clock.wall() - kBackdate,
      old_info.not_after,
      ca_extensions()};
  IOTCORE_ASSIGN(
      const X509Ptr crossed,
      make_certificate(cross, old.impl_->certificate.get(), old.impl_->key.get())
  );
  // In this order: whatever step is the last one done, open() finds a root with its key.
  IOTCORE_TRY(write_ca_key(folder / kNextKey, fresh->key.get(), passphrase));
  IOTCORE_TRY(write_file(folder / kCross, to_pem(crossed.get()), FileMode::kPublic));
  IOTCORE_TRY(write_file(folder / "ca.pem", fresh->pem + old_pem, FileMode::kPublic));
  return take_next_key(folder);
}

const std::string& CertificateAuthority::certificate_pem() const {
  return impl_->pem;
}

std::string CertificateAuthority::name() const {
  const auto info = parse_certificate_pem(impl_->pem);
  if (!info) {
    return {};
  }
  const auto found = info->subject.find("CommonName");
  return found == info->subject.end() ? std::string() : found->second.front();
}

Result<KeysAndCertificate> CertificateAuthority::make_device_certificate(KeyType type) const {
  IOTCORE_ASSIGN(const KeyPtr key, make_key(type));
  const NamePtr subject = make_name(kDeviceCommonName, "");
  IOTCORE_ASSIGN(const X509Ptr certificate, impl_->issue_device(subject.get(), key.get()));
  return KeysAndCertificate{
      to_pem(certificate.get()), public_key_to_pem(key.get()), private_key_to_pem(key.get())};
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
  IOTCORE_ASSIGN(const X509Ptr certificate, impl_->issue_device(subject, key));
  return to_pem(certificate.get());
}

Result<ServerCertificate> CertificateAuthority::server_certificate(
    const std::filesystem::path& folder, std::span<const std::string> names
) const {
  IOTCORE_ASSIGN(const std::vector<std::string> all_names, all_server_names(names));
  if (auto kept = impl_->kept_server_certificate(folder, all_names)) {
    return *std::move(kept);
  }
  IOTCORE_ASSIGN(const KeyPtr key, make_key(KeyType::kP256));
  const NamePtr subject = make_name("iotcore server", "iotcore");
  const WallTime not_after = impl_->clock->wall() + kServerLifetime;
  IOTCORE_ASSIGN(
      const X509Ptr certificate,
      impl_->issue(
          subject.get(),
          key.get(),
          not_after,
          {{NID_basic_constraints, "critical,CA:FALSE"},
           {NID_key_usage, "critical,digitalSignature"},
           {NID_ext_key_usage, "serverAuth"},
           {NID_subject_alt_name, alternative_names(all_names)}}
      )
  );
  ServerCertificate made = {to_pem(certificate.get()), private_key_to_pem(key.get()), not_after};
  if (const auto cross = read_file(folder / kCross)) {
    made.certificate_pem += *cross;
  }
  IOTCORE_TRY(write_file(folder / "server.key", made.private_key_pem, FileMode::kPrivate));
  IOTCORE_TRY(write_file(folder / "server.pem", made.certificate_pem, FileMode::kPublic));
  return made;
}

}  // namespace iotcore::registry::pki
