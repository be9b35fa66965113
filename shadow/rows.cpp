#include "shadow/rows.h"

#include "base/bytes.h"
#include "store/keys.h"

namespace iotcore::shadow {

std::string document_key(std::string_view thing, std::string_view shadow) {
  return store::Key(kDocumentKind).text(thing).text(shadow).take();
}

std::string tombstone_key(std::string_view thing, std::string_view shadow) {
  return store::Key(kTombstoneKind).text(thing).text(shadow).take();
}

std::string documents_of(std::string_view thing) {
  return store::Key(kDocumentKind).text(thing).take();
}

std::string history_of(std::string_view thing, std::string_view shadow) {
  return store::Key(kHistoryKind).text(thing).text(shadow).take();
}

std::string history_key(std::string_view thing, std::string_view shadow, std::uint64_t version) {
  return store::Key(kHistoryKind).text(thing).text(shadow).u64(~version).take();
}

Result<DocumentName> document_name(std::string_view document_key) {
  store::KeyReader reader(document_key);
  const auto kind = reader.kind();
  auto thing = reader.text();
  auto shadow = reader.text();
  if (kind != kDocumentKind || !thing || !shadow) {
    return fail(Errc::kStoreCorrupt, "a shadow's key is damaged");
  }
  return DocumentName{*std::move(thing), *std::move(shadow)};
}

namespace {

constexpr char kTombstoneFormat = 1;

}  // namespace

std::string encode(const Tombstone& tombstone) {
  std::string bytes(1, kTombstoneFormat);
  append_u64(bytes, tombstone.version);
  append_u64(bytes, static_cast<std::uint64_t>(tombstone.deleted_at_s));
  return bytes;
}

Result<Tombstone> decode_tombstone(std::string_view bytes) {
  ByteReader reader(bytes);
  const std::uint8_t format = reader.u8();
  const std::uint64_t version = reader.u64();
  const auto deleted_at_s = static_cast<std::int64_t>(reader.u64());
  if (!reader.ok() || reader.remaining() != 0 || format != kTombstoneFormat) {
    return fail(Errc::kStoreCorrupt, "a shadow's tombstone is damaged");
  }
  return Tombstone{.version = version, .deleted_at_s = deleted_at_s};
}

}  // namespace iotcore::shadow
