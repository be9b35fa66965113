#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <filesystem>

namespace iotcore::rules::actions {

// When a file gets a successor, and what becomes of those that have one.
struct FileRotation {
  std::uint64_t bytes = 0;    // 0: of any size
  std::uint64_t seconds = 0;  // periods since 1970, so that a day ends at midnight UTC; 0: for ever
  bool compress = false;
  std::uint64_t keep = 0;  // so many, beside the one that grows; 0: all

  // Of a file of that size, last written then.
  bool is_due(std::uint64_t size, WallTime written, WallTime now) const;
};

// What a file is called once it has a successor: its name with that time in it; one that is free.
std::filesystem::path rotated_name(const std::filesystem::path& path, WallTime now);

// Compresses what earlier rotations have left, and deletes the oldest beyond `keep`. What a crash has left half done is done again.
Status tidy_rotated(const std::filesystem::path& path, const FileRotation& rotation);

// Makes `path`.zst of it, whole or not at all, and deletes it.
Status compress_file(const std::filesystem::path& path);

}  // namespace iotcore::rules::actions
