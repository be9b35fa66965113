#pragma once

#include "base/clock.h"
#include "base/strand.h"
#include "registry/certificate_standing.h"
#include "store/store.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iotcore::registry {

// The standing of every registered certificate, by its fingerprint, in memory: who shows one that is revoked or out of its time costs the store nothing.
// Read on the pool at start. It says that the store is to be asked until that is done, and as long as there is a change that it has not taken yet: what it
// does say is never older than a change that has been answered. Thread-safe.
class CertificateIndex {
 public:
  enum class Knowledge : std::uint8_t { kAskStore, kNotRegistered, kRegistered };

  struct Finding {
    Knowledge knowledge = Knowledge::kAskStore;
    CertificateStanding standing;  // kRegistered only
  };

  // `pool` has come to rest before this is destroyed.
  CertificateIndex(store::Store& store, const Clock& clock, Executor& pool);
  CertificateIndex(const CertificateIndex&) = delete;
  CertificateIndex& operator=(const CertificateIndex&) = delete;

  // Ends the reading at its next page. Any thread.
  void stop() { stopped_ = true; }

  // By the SHA-256 of the DER form in hex. Never blocks.
  Finding find(std::string_view certificate_id);

  // Certificates, and the bytes that they take here.
  std::size_t size() const;
  std::size_t memory_bytes() const;

 private:
  using Fingerprint = std::array<std::uint8_t, 32>;

  // A digest needs no other hash. Its first byte chooses the shard.
  struct LastBytes {
    std::size_t operator()(const Fingerprint& fingerprint) const noexcept {
      std::size_t hash = 0;
      std::memcpy(&hash, fingerprint.data() + fingerprint.size() - sizeof hash, sizeof hash);
      return hash;
    }
  };

  using Standings = std::unordered_map<Fingerprint, CertificateStanding, LastBytes>;

  // A part of all: so that none is locked for long when it grows.
  struct Shard {
    mutable std::mutex mutex;
    Standings standings;
  };

  enum class State : std::uint8_t { kReading, kComplete, kUnreadable };

  static bool to_fingerprint(std::string_view id, Fingerprint& out);
  Shard& shard_of(const Fingerprint& fingerprint);

  // On the strand, as all that follows.
  void on_change(const store::Change& change);
  Status put(const std::string& key, std::string_view row);
  void start_reading();
  void read_page(std::uint64_t reading, const std::string& from);
  void give_up(const Error& why);
  void read_again();

  store::Store& store_;
  const Clock& clock_;
  std::array<Shard, 64> shards_;
  std::atomic<State> state_ = State::kReading;
  // Of the store when the reading began: after a failure nobody can say what is in it until it is read again.
  std::atomic<std::uint64_t> failures_ = 0;
  std::atomic<bool> read_again_posted_ = false;
  std::atomic<bool> stopped_ = false;
  std::uint64_t reading_ = 0;  // the one that counts
  MonotonicTime not_again_before_;
  Strand strand_;
  store::Watch watch_;
};

}  // namespace iotcore::registry
