#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

// The rows of Table::kShadows:
//   'd', text thing, text shadow (empty: the classic one)   the document, as Document::encode() has it
//   't', text thing, text shadow                            the tombstone of a shadow that was deleted
//   'h', text thing, text shadow, u64 ~version             the document as of that version, the newest first
// A shadow has one of the first two or none; what has been written is decided by its owner alone.
namespace iotcore::shadow {

inline constexpr char kDocumentKind = 'd';
inline constexpr char kTombstoneKind = 't';
inline constexpr char kHistoryKind = 'h';

// What is kept of a deleted shadow, so that its versions go on where they ended.
struct Tombstone {
  std::uint64_t version = 0;  // the one that the deletion used up
  std::int64_t deleted_at_s = 0;
};

std::string document_key(std::string_view thing, std::string_view shadow);
std::string tombstone_key(std::string_view thing, std::string_view shadow);
// Begins the keys of all versions of a shadow.
std::string history_of(std::string_view thing, std::string_view shadow);
std::string history_key(std::string_view thing, std::string_view shadow, std::uint64_t version);
// Begins the keys of all documents of that thing.
std::string documents_of(std::string_view thing);

struct DocumentName {
  std::string thing;
  std::string shadow;
};

// Whose the document under that key is. kStoreCorrupt.
Result<DocumentName> document_name(std::string_view document_key);

std::string encode(const Tombstone& tombstone);
// kStoreCorrupt.
Result<Tombstone> decode_tombstone(std::string_view bytes);

}  // namespace iotcore::shadow
