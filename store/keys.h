#pragma once

#include "base/bytes.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// How keys are built, and what they are in each table. Keys are ordered as bytes; no key is empty
// or begins with 0xFF.
//
// A key is a kind (one letter that its owner picks, unique in the table) and then segments:
//   text   any bytes, escaped and terminated so that keys sort as their texts do, and no text is a
//   prefix of another u64    eight bytes, big-endian rest   bytes as they are, to the end: last
//   segment only
//
// table       owner          keys
// system      server, store  kind, text: access keys, sealed secrets, format version, settings
// registry    registry       kind, text...: things, groups, types, billing groups, their
// memberships and indexes principals  registry       kind, text...: certificates, CAs, policies and
// versions, attachments, authorizers rules       rules          kind, text: rules, destinations
// fleet       fleet          kind, text, text, u64: jobs, executions, templates, provisioning,
// streams, index settings shadows     shadow         kind, text thing, text shadow name (empty: the
// classic one) retained    broker         kind, rest topic sessions    broker         kind, text
// client id, ...: session, subscriptions, in-flight queue       broker         kind, text client
// id, u64 sequence: queue entries; kind, u64: message bodies outbox      rules          kind, text
// sink, u64 sequence: records; kind, text sink: cursor

namespace iotcore::store {

// Composes one key: Key('t').text(thing).u64(sequence).take().
class Key {
 public:
  explicit Key(char kind) : bytes_(1, kind) {}

  Key& text(std::string_view segment);

  Key& u64(std::uint64_t segment) {
    append_u64(bytes_, segment);
    return *this;
  }

  Key& rest(std::string_view segment) {
    bytes_.append(segment);
    return *this;
  }

  std::string_view view() const { return bytes_; }

  std::string take() { return std::move(bytes_); }

  operator std::string_view() const { return bytes_; }  // NOLINT(google-explicit-constructor)

 private:
  std::string bytes_;
};

// Takes a key apart again, in the order in which it was composed. Nothing: the key is not of that
// form.
class KeyReader {
 public:
  explicit KeyReader(std::string_view key) : left_(key) {}

  std::optional<char> kind();
  std::optional<std::string> text();
  std::optional<std::uint64_t> u64();
  // text() without the text: false if there is none.
  bool skip_text();

  std::string_view rest() const { return left_; }

 private:
  std::string_view left_;
};

// The smallest key above every key that begins with `prefix`.
std::string prefix_end(std::string_view prefix);

// The smallest key above `key`: where a scan goes on after it.
std::string key_after(std::string_view key);

}  // namespace iotcore::store
