#pragma once

#include "base/result.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace iotcore::rules::actions {

// A file that only grows. What append() has taken is on the disk, whole, when it returns; a line that a crash has cut short is gone when it is opened again.
class AppendFile {
 public:
  explicit AppendFile(std::filesystem::path path) : path_(std::move(path)) {}

  ~AppendFile() { close(); }

  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Opens the file, and makes it and its folders if they are not there; opens it anew if somebody has moved it away. `lines`: what is there ends with a line.
  // Answers whether it was opened.
  Result<bool> ensure_open(bool lines);
  // All or, on an error, nothing; then the file is closed.
  Status append(std::string_view bytes);
  // The first bytes, at most so many.
  Result<std::string> head(std::size_t bytes_max) const;
  // Gives what is there another name, in the same folder, and closes it.
  Status move_to(const std::filesystem::path& to);
  void close();

  const std::filesystem::path& path() const { return path_; }

  std::uint64_t size() const { return size_; }

 private:
  Status drop_torn_line();

  const std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t inode_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace iotcore::rules::actions
