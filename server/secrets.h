#pragma once

#include "base/clock.h"
#include "registry/pki/sealing_key.h"
#include "rules/targets.h"
#include "store/store.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::server {

// What rules and targets name as secrets. Looked for in this order: the store, where values are sealed; files of `secrets.dir`, named as the secret; the
// environment, IOTCORE_SECRET_NAME. Any thread; blocks.
class Secrets final : public rules::SecretSource {
 public:
  struct Options {
    std::filesystem::path dir;  // empty: none
    std::size_t secrets_max = 10'000;
  };

  struct Value {
    std::string bytes;
    bool is_binary = false;
  };

  enum class Source : std::uint8_t { kStore, kFile, kEnvironment };

  struct Info {
    std::string name;
    bool is_binary = false;
    std::int64_t modified_ms = 0;
    Source source = Source::kStore;
  };

  Secrets(
      store::Store& store,
      const registry::pki::SealingKey& sealing_key,
      const Clock& clock,
      Options options
  );

  // As it is now; also by the ARN of a secret of that name, here and in get(). kNotFound says where it was looked for.
  Result<std::string> secret(std::string_view name) const override;
  Result<Value> read(std::string_view name) const;
  // get_secret(id, 'SecretString' or 'SecretBinary' [, key]) as JSON text, of a value that is at most 15 minutes old.
  Result<std::string> get(
      std::string_view name, std::string_view type, std::optional<std::string_view> key
  );

  // kInvalidRequest for a name or a size that can't be, kLimitExceeded.
  Status put(std::string_view name, const Value& value);
  // kNotFound if the store has none of that name.
  Status remove(std::string_view name);
  Result<std::vector<Info>> list() const;

 private:
  struct Cached {
    Value value;
    MonotonicTime end;
  };

  Result<std::optional<Value>> in_store(std::string_view name) const;
  Result<std::optional<Value>> in_folder(std::string_view name) const;
  Result<Value> cached(std::string_view name);
  void forget(std::string_view name);

  store::Store& store_;
  const registry::pki::SealingKey& sealing_key_;
  const Clock& clock_;
  const Options options_;
  std::mutex mutex_;  // and what follows
  std::map<std::string, Cached, std::less<>> cache_;
};

}  // namespace iotcore::server
