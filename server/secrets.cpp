#include "server/secrets.h"

#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "proto/record/principals.pb.h"
#include "rules/sql/source_error.h"
#include "store/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace iotcore::server {
namespace {

constexpr std::size_t kNameMax = 512;
constexpr std::size_t kBytesMax = 64U << 10;
constexpr std::chrono::minutes kCacheLife{15};
constexpr store::Table kTable = store::Table::kSystem;
constexpr std::string_view kVariable = "IOTCORE_SECRET_";

// table system: s name   record.Secret
store::Key key_of(std::string_view name) {
  return store::Key('s').text(name);
}

std::string context_of(std::string_view name) {
  return "secret " + std::string(name);
}

// As AWS has it; no part may lead out of a folder.
Status check_name(std::string_view name) {
  const bool is_name = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/_+=.@-").find(c) != std::string_view::npos;
  });
  const bool stays = !name.starts_with('/') && !name.starts_with('.') &&
                     name.find("/.") == std::string_view::npos &&
                     name.find("//") == std::string_view::npos && !name.ends_with('/');
  if (name.empty() || name.size() > kNameMax || !is_name || !stays) {
    return fail(
        Errc::kInvalidRequest,
        "the name of a secret has 1 to 512 letters, digits and /_+=.@-, and none of its parts "
        "begins with a dot"
    );
  }
  return {};
}

std::string variable_of(std::string_view name) {
  std::string variable(kVariable);
  for (const char c : name) {
    const bool is_word = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    variable += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : is_word ? c : '_';
  }
  return variable;
}

tl::unexpected<Error> cannot(std::string_view name, std::string_view why) {
  return fail(Errc::kInvalidRequest, fmt::format("secret '{}': {}", name, why));
}

// Of an ARN the name in it, without the six characters that Secrets Manager puts behind it.
std::string_view name_of(std::string_view id) {
  constexpr std::string_view kMark = ":secret:";
  constexpr std::size_t kSuffix = 7;
  const std::size_t mark = id.find(kMark);
  if (!id.starts_with("arn:") || mark == std::string_view::npos) {
    return id;
  }
  std::string_view name = id.substr(mark + kMark.size());
  if (name.size() > kSuffix && name[name.size() - kSuffix] == '-' &&
      std::ranges::all_of(name.substr(name.size() - kSuffix + 1), [](unsigned char c) {
        return std::isalnum(c) != 0;
      })) {
    name.remove_suffix(kSuffix);
  }
  return name;
}

}  // namespace

Secrets::Secrets(
    store::Store& store,
    const registry::pki::SealingKey& sealing_key,
    const Clock& clock,
    Options options
)
    : store_(store), sealing_key_(sealing_key), clock_(clock), options_(std::move(options)) {}

Result<std::optional<Secrets::Value>> Secrets::in_store(std::string_view name) const {
  IOTCORE_ASSIGN(const std::optional<store::Row> row, store_.get(kTable, key_of(name)));
  if (!row) {
    return std::nullopt;
  }
  record::Secret secret;
  if (!secret.ParseFromString(row->value)) {
    return fail(Errc::kStoreCorrupt, fmt::format("secret '{}' cannot be read", name));
  }
  std::optional<std::string> bytes = sealing_key_.unseal(secret.sealed_value(), context_of(name));
  if (!bytes) {
    return fail(Errc::kStoreCorrupt, fmt::format("secret '{}' was sealed with another key", name));
  }
  return Value{*std::move(bytes), secret.is_binary()};
}

Result<std::optional<Secrets::Value>> Secrets::in_folder(std::string_view name) const {
  std::error_code error;
  const std::filesystem::path path = options_.dir / name;
  if (options_.dir.empty() || !std::filesystem::is_regular_file(path, error)) {
    return std::nullopt;
  }
  IOTCORE_ASSIGN(std::string text, read_file(path, kBytesMax));
  const bool is_binary = rules::sql::not_utf8(text).has_value();
  if (!is_binary && text.ends_with('\n')) {
    text.pop_back();  // editors and `echo` leave one
  }
  return Value{std::move(text), is_binary};
}

Result<Secrets::Value> Secrets::read(std::string_view id) const {
  const std::string_view name = name_of(id);
  IOTCORE_TRY(check_name(name));
  IOTCORE_ASSIGN(std::optional<Value> found, in_store(name));
  if (!found) {
    IOTCORE_ASSIGN(found, in_folder(name));
  }
  const std::string variable = variable_of(name);
  if (!found) {
    if (const char* text = std::getenv(variable.c_str())) {
      found = Value{text, false};
    }
  }
  if (!found) {
    return fail(
        Errc::kNotFound,
        fmt::format(
            "there is no secret '{}': neither by `iotcore secret put`, nor as a file{}, nor as {}",
            name,
            options_.dir.empty() ? " (secrets.dir is not set)" : " in " + options_.dir.string(),
            variable
        )
    );
  }
  return *std::move(found);
}

Result<std::string> Secrets::secret(std::string_view name) const {
  IOTCORE_ASSIGN(Value value, read(name));
  return std::move(value.bytes);
}

Result<Secrets::Value> Secrets::cached(std::string_view name) {
  const MonotonicTime now = clock_.now();
  {
    const std::lock_guard lock(mutex_);
    const auto found = cache_.find(name);
    if (found != cache_.end() && found->second.end > now) {
      return found->second.value;
    }
  }
  IOTCORE_ASSIGN(Value value, read(name));
  const std::lock_guard lock(mutex_);
  constexpr std::size_t kCachedMax = 1000;
  if (cache_.size() >= kCachedMax) {
    cache_.clear();
  }
  cache_.insert_or_assign(std::string(name), Cached{value, now + kCacheLife});
  return value;
}

void Secrets::forget(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto found = cache_.find(name); found != cache_.end()) {
    cache_.erase(found);
  }
}

Result<std::string> Secrets::get(
    std::string_view id, std::string_view type, std::optional<std::string_view> key
) {
  const std::string_view name = name_of(id);
  if (type != "SecretString" && type != "SecretBinary") {
    return fail(Errc::kInvalidRequest, "get_secret takes 'SecretString' or 'SecretBinary'");
  }
  IOTCORE_ASSIGN(const Value value, cached(name));
  if (value.is_binary != (type == "SecretBinary")) {
    return cannot(name, value.is_binary ? "is binary" : "is text");
  }
  if (value.is_binary) {
    return key ? Result<std::string>(cannot(name, "is binary and has no members"))
               : to_json(json::value(to_base64(value.bytes)));
  }
  const Result<json::value> parsed = parse_json(value.bytes);
  const bool is_object = parsed && parsed->is_object();
  if (!key) {
    return is_object ? to_json(*parsed) : to_json(json::value(value.bytes));
  }
  const json::value* member = is_object ? find_member(parsed->get_object(), *key) : nullptr;
  if (member == nullptr) {
    return cannot(name, is_object ? "has no such member" : "is plain text and has no members");
  }
  return to_json(*member);
}

Status Secrets::put(std::string_view name, const Value& value) {
  IOTCORE_TRY(check_name(name));
  if (value.bytes.empty() || value.bytes.size() > kBytesMax) {
    return fail(Errc::kInvalidRequest, "a secret has 1 to 65536 bytes");
  }
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(kTable, store::Key('s').view(), {}, options_.secrets_max)
  );
  const std::string key = key_of(name).take();
  if (rows.size() >= options_.secrets_max &&
      std::ranges::find(rows, key, &store::Entry::key) == rows.end()) {
    return fail(
        Errc::kLimitExceeded, fmt::format("there are {} secrets already", options_.secrets_max)
    );
  }
  record::Secret secret;
  secret.set_sealed_value(sealing_key_.seal(value.bytes, context_of(name)));
  secret.set_is_binary(value.is_binary);
  secret.set_modified_ms(to_epoch_ms(clock_.wall()));
  store::Batch batch;
  batch.put(kTable, key, secret.SerializeAsString());
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  forget(name);
  return {};
}

Status Secrets::remove(std::string_view name) {
  IOTCORE_TRY(check_name(name));
  IOTCORE_ASSIGN(const std::optional<store::Row> row, store_.get(kTable, key_of(name)));
  if (!row) {
    return fail(Errc::kNotFound, fmt::format("there is no secret '{}' in the store", name));
  }
  store::Batch batch;
  batch.erase(kTable, key_of(name));
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  forget(name);
  return {};
}

Result<std::vector<Secrets::Info>> Secrets::list() const {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(kTable, store::Key('s').view(), {}, options_.secrets_max)
  );
  std::vector<Info> all;
  for (const store::Entry& row : rows) {
    store::KeyReader key(row.key);
    key.kind();
    record::Secret secret;
    if (secret.ParseFromString(row.value)) {
      all.push_back(
          {key.text().value_or(""), secret.is_binary(), secret.modified_ms(), Source::kStore}
      );
    }
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options_.dir, error)) {
    const std::string name = std::filesystem::relative(entry.path(), options_.dir, error).string();
    if (entry.is_regular_file(error) && check_name(name)) {
      all.push_back({name, false, 0, Source::kFile});
    }
  }
  return all;
}

}  // namespace iotcore::server
