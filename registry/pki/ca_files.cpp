#include "registry/pki/ca_files.h"

#include "base/crypto.h"
#include "base/files.h"
#include "registry/pki/certificate.h"
#include "registry/pki/issuing.h"

#include <algorithm>

namespace iotcore::registry::pki {
namespace {

using namespace std::chrono_literals;

constexpr auto kDay = 24h;
constexpr auto kRootLifetime = 20 * 365 * kDay;
constexpr auto kIntermediateLifetime = 10 * 365 * kDay;
constexpr auto kIntermediateRenewal = 365 * kDay;

constexpr std::string_view kEncryptedMark = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
constexpr const char* kRoot = "ca.pem";
constexpr const char* kRootKey = "ca.key";
constexpr const char* kNextKey = "ca.key.next";
constexpr const char* kCross = "ca.cross.pem";
constexpr const char* kIntermediate = "intermediate.pem";
constexpr const char* kIntermediateKey = "intermediate.key";

Status write_key(const CaPlace& place, const char* name, EVP_PKEY* key) {
  return write_file(
      place.folder / name,
      place.passphrase.empty() ? private_key_to_pem(key)
                               : private_key_to_pem(key, place.passphrase),
      FileMode::kPrivate
  );
}

Result<CaPair> load(
    std::string_view certificate_pem, std::string_view key_pem, std::string_view passphrase
) {
  CaPair pair;
  pair.key = private_key_from_pem(key_pem, passphrase);
  pair.certificate = certificate_from_pem(certificate_pem);
  if (pair.key == nullptr || pair.certificate == nullptr) {
    return fail(
        Errc::kStoreCorrupt,
        "ca.pem or ca.key does not hold what its name says, or ca.key is encrypted under another "
        "sealing key"
    );
  }
  if (X509_check_private_key(pair.certificate.get(), pair.key.get()) != 1) {
    return fail(Errc::kStoreCorrupt, "ca.key is not the key of ca.pem");
  }
  pair.pem = to_pem(pair.certificate.get());
  return pair;
}

// The last step of a rotation.
Status take_next_key(const CaPlace& place) {
  std::error_code error;
  std::filesystem::rename(place.folder / kNextKey, place.folder / kRootKey, error);
  return error ? fail(Errc::kStoreIo, "ca.key cannot be replaced: " + error.message()) : Status();
}

Result<CaPair> make_root(const Clock& clock) {
  CaPair root;
  IOTCORE_ASSIGN(root.key, make_p256_key());
  // A name of its own, so that a client that trusts two installations picks the right root.
  const NamePtr name = make_name("iotcore root CA " + to_hex(random_bytes(4)), "iotcore");
  const WallTime now = clock.wall();
  const CertificateTemplate from = {
      name.get(),
      root.key.get(),
      now - kBackdate,
      now + kRootLifetime,
      ca_extensions("critical,CA:TRUE")};
  IOTCORE_ASSIGN(root.certificate, make_certificate(from, nullptr, root.key.get()));
  root.pem = to_pem(root.certificate.get());
  return root;
}

Result<CaPair> load_root(const CaPlace& place, const std::string& pem, const std::string& key_pem) {
  auto loading = load(pem, key_pem, place.passphrase);
  if (const auto next = read_file(place.folder / kNextKey); !loading && next) {
    // A rotation was cut short between its last two steps.
    loading = load(pem, *next, place.passphrase);
    if (loading) {
      IOTCORE_TRY(take_next_key(place));
      return loading;
    }
  }
  if (loading && !place.passphrase.empty() && key_pem.find(kEncryptedMark) == std::string::npos) {
    IOTCORE_TRY(write_key(place, kRootKey, loading->key.get()));
  }
  return loading;
}

}  // namespace

Result<CaPair> open_root(const CaPlace& place, const Clock& clock) {
  const auto pem = read_file(place.folder / kRoot);
  const auto key_pem = read_file(place.folder / kRootKey);
  if (pem && key_pem) {
    return load_root(place, *pem, *key_pem);
  }
  const auto absent = [](const Result<std::string>& file) {
    return !file && file.error().code() == Errc::kNotFound;
  };
  // A key alone is what a crash between the two writes below leaves; nobody has seen its
  // certificate.
  if (!absent(pem) || (!key_pem && !absent(key_pem))) {
    return fail(pem ? key_pem.error() : pem.error());
  }
  IOTCORE_ASSIGN(CaPair made, make_root(clock));
  IOTCORE_TRY(write_key(place, kRootKey, made.key.get()));
  IOTCORE_TRY(write_file(place.folder / kRoot, made.pem, FileMode::kPublic));
  return made;
}

Result<CaPair> open_intermediate(const CaPlace& place, const Clock& clock, const CaPair& root) {
  const auto pem = read_file(place.folder / kIntermediate);
  const auto key_pem = read_file(place.folder / kIntermediateKey);
  if (!pem || !key_pem) {
    return renew_intermediate(place, clock, root);
  }
  auto kept = load(*pem, *key_pem, place.passphrase);
  const auto info = parse_certificate_pem(*pem);
  // It can always be replaced: what it has signed is known by its fingerprint, or is the server's own.
  if (!kept || !info || X509_verify(kept->certificate.get(), root.key.get()) != 1 ||
      !info->valid_at(clock.wall()) || !info->valid_at(clock.wall() + kIntermediateRenewal)) {
    return renew_intermediate(place, clock, root);
  }
  return kept;
}

Result<CaPair> renew_intermediate(const CaPlace& place, const Clock& clock, const CaPair& root) {
  CaPair made;
  IOTCORE_ASSIGN(made.key, make_p256_key());
  const NamePtr name = make_name("iotcore issuing CA " + to_hex(random_bytes(4)), "iotcore");
  IOTCORE_ASSIGN(const Certificate root_info, parse_certificate_pem(root.pem));
  const CertificateTemplate from = {
      name.get(),
      made.key.get(),
      clock.wall() - kBackdate,
      std::min<WallTime>(clock.wall() + kIntermediateLifetime, root_info.not_after),
      ca_extensions("critical,CA:TRUE,pathlen:0")};
  IOTCORE_ASSIGN(made.certificate, make_certificate(from, root.certificate.get(), root.key.get()));
  made.pem = to_pem(made.certificate.get());
  IOTCORE_TRY(write_key(place, kIntermediateKey, made.key.get()));
  IOTCORE_TRY(write_file(place.folder / kIntermediate, made.pem, FileMode::kPublic));
  return made;
}

Result<CaPair> rotate_root(const CaPlace& place, const Clock& clock, const CaPair& old) {
  IOTCORE_ASSIGN(const std::string known, read_file(place.folder / kRoot));
  IOTCORE_ASSIGN(CaPair fresh, make_root(clock));
  IOTCORE_ASSIGN(const Certificate old_info, parse_certificate_pem(old.pem));
  const CertificateTemplate cross = {
      X509_get_subject_name(fresh.certificate.get()),
      fresh.key.get(),
      clock.wall() - kBackdate,
      old_info.not_after,
      ca_extensions("critical,CA:TRUE")};
  IOTCORE_ASSIGN(
      const X509Ptr crossed, make_certificate(cross, old.certificate.get(), old.key.get())
  );
  // In this order: whatever step is the last one done, open_root() finds a root with its key.
  IOTCORE_TRY(write_key(place, kNextKey, fresh.key.get()));
  IOTCORE_TRY(write_file(place.folder / kCross, to_pem(crossed.get()), FileMode::kPublic));
  IOTCORE_TRY(write_file(place.folder / kRoot, fresh.pem + known, FileMode::kPublic));
  IOTCORE_TRY(take_next_key(place));
  return fresh;
}

std::string cross_certificate(const CaPlace& place, const CaPair& root) {
  const auto pem = read_file(place.folder / kCross);
  const X509Ptr cross = pem ? certificate_from_pem(*pem) : nullptr;
  const bool about_root = cross != nullptr && X509_NAME_cmp(
                                                  X509_get_subject_name(cross.get()),
                                                  X509_get_subject_name(root.certificate.get())
                                              ) == 0;
  return about_root ? *pem : std::string();
}

}  // namespace iotcore::registry::pki
