#pragma once

#include "base/result.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace iotcore {

enum class FileMode : unsigned { kPrivate = 0600, kPublic = 0644 };

// The whole file; kNotFound if there is none, kTooLarge above `bytes_max`, kStoreIo on anything
// else.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max = 16U << 20);

// Afterwards the file holds these bytes or, whatever happened, those it held before: written beside
// it, synced, renamed. A private file is never readable by others, not even on the way.
Status write_file(const std::filesystem::path& path, std::string_view bytes, FileMode mode);

}  // namespace iotcore
