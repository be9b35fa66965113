#include "registry/certificate_index.h"

#include "base/log.h"
#include "registry/age_lists.h"
#include "registry/certificate_rows.h"
#include "registry/keys.h"

#include <optional>
#include <utility>

namespace iotcore::registry {
namespace {

// Rows that one task reads: others want the pool, too.
constexpr std::size_t kPage = 10'000;
// A store that keeps failing is not read over and over.
constexpr std::chrono::seconds kBetweenReadings(10);

int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

// Lower case, as ids are.
bool CertificateIndex::to_fingerprint(std::string_view id, Fingerprint& out) {
  if (id.size() != 2 * out.size()) {
    return false;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(id[2 * i]);
    const int low = hex_digit(id[2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

CertificateIndex::CertificateIndex(store::Store& store, const Clock& clock, Executor& pool)
    : store_(store), clock_(clock), failures_(store.failures()), strand_(pool) {
  // Before the first page is read: a change from here on is either in what is read or comes behind it on the strand.
  watch_ = store.watch(
      keys::kPrincipals,
      keys::certificates_by_end(),
      strand_,
      [this](const store::Change& change) { on_change(change); }
  );
  strand_.post([this] { start_reading(); });
}

CertificateIndex::Shard& CertificateIndex::shard_of(const Fingerprint& fingerprint) {
  return shards_[fingerprint.front() % shards_.size()];
}

CertificateIndex::Finding CertificateIndex::find(std::string_view certificate_id) {
  Fingerprint fingerprint;
  if (!to_fingerprint(certificate_id, fingerprint)) {
    return {};
  }
  if (store_.failures() != failures_ || state_ == State::kUnreadable) {
    if (!read_again_posted_.exchange(true)) {
      strand_.post([this] { read_again(); });
    }
    return {};
  }
  // A change is posted to the strand before it is answered, and here as soon as the strand has come to rest.
  if (!strand_.idle() || state_ != State::kComplete) {
    return {};
  }
  Shard& shard = shard_of(fingerprint);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.standings.find(fingerprint);
  if (found == shard.standings.end()) {
    return {Knowledge::kNotRegistered, {}};
  }
  return {Knowledge::kRegistered, found->second};
}

std::size_t CertificateIndex::size() const {
  std::size_t size = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    size += shard.standings.size();
  }
  return size;
}

std::size_t CertificateIndex::memory_bytes() const {
  // An entry and the pointer to the next, as malloc hands them out.
  constexpr std::size_t kEntry = sizeof(void*) + sizeof(Standings::value_type);
  constexpr std::size_t kNode = (kEntry + sizeof(std::size_t) + 15) / 16 * 16;
  std::size_t bytes = sizeof(*this);
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    bytes += shard.standings.size() * kNode + shard.standings.bucket_count() * sizeof(void*);
  }
  return bytes;
}

// If it has changed once more, that change comes, too.
void CertificateIndex::on_change(const store::Change& change) {
  if (state_ == State::kUnreadable) {
    return;  // all of it will be read again
  }
  if (change.kind == store::Change::Kind::kRangeErased) {
    start_reading();
    return;
  }
  if (change.kind == store::Change::Kind::kPut) {
    // All of these rows are small: one without its value has none that says anything.
    if (const Status taken = put(change.key, change.value.value_or(std::string())); !taken) {
      give_up(taken.error());
    }
    return;
  }
  Fingerprint fingerprint;
  if (to_fingerprint(id_in_age_row(change.key), fingerprint)) {
    Shard& shard = shard_of(fingerprint);
    const std::lock_guard lock(shard.mutex);
    shard.standings.erase(fingerprint);
  }
}

Status CertificateIndex::put(const std::string& key, std::string_view row) {
  const std::string id = id_in_age_row(key);
  Fingerprint fingerprint;
  if (!to_fingerprint(id, fingerprint)) {
    return {};
  }
  std::optional<CertificateStanding> standing = standing_in_row(row);
  if (!standing) {
    const auto certificate = read_certificate(store_, id);
    if (!certificate) {
      // It has gone since, and its change comes.
      return certificate.error().code() == Errc::kNotFound ? Status() : fail(certificate.error());
    }
    standing = standing_of(certificate->record);
  }
  Shard& shard = shard_of(fingerprint);
  const std::lock_guard lock(shard.mutex);
  shard.standings.insert_or_assign(fingerprint, *standing);
  return {};
}

void CertificateIndex::start_reading() {
  state_ = State::kReading;
  for (Shard& shard : shards_) {
    Standings gone;
    const std::lock_guard lock(shard.mutex);
    shard.standings.swap(gone);
  }
  read_page(++reading_, {});
}

// Changes come between two pages: a page is newer than what came before it, and what comes after it says so again.
void CertificateIndex::read_page(std::uint64_t reading, const std::string& from) {
  if (reading != reading_ || stopped_) {
    return;
  }
  const auto rows = store_.scan(keys::kPrincipals, keys::certificates_by_end(), from, kPage);
  if (!rows) {
    give_up(rows.error());
    return;
  }
  for (const store::Entry& row : *rows) {
    if (const Status taken = put(row.key, row.value); !taken) {
      give_up(taken.error());
      return;
    }
  }
  if (rows->size() == kPage) {
    strand_.post([this, reading, next = store::key_after(rows->back().key)] {
      read_page(reading, next);
    });
    return;
  }
  state_ = State::kComplete;
  log(LogLevel::kInfo, "certificate_index.read", {{"certificates", std::to_string(size())}});
}

void CertificateIndex::give_up(const Error& why) {
  ++reading_;
  state_ = State::kUnreadable;
  log(LogLevel::kError,
      "certificate_index.unreadable",
      {{"why", why.message()}, {"effect", "each certificate is looked up in the store"}});
}

// While the store cannot write it may still turn out to have kept what it has called a failure.
void CertificateIndex::read_again() {
  const MonotonicTime now = clock_.now();
  const std::uint64_t failures = store_.failures();
  if (now >= not_again_before_ && !store_.health().failure) {
    not_again_before_ = now + kBetweenReadings;
    start_reading();
    failures_ = failures;  // from here on, what is found counts again
  }
  read_again_posted_ = false;
}

}  // namespace iotcore::registry
