#pragma once

#include "base/result.h"

#include <filesystem>

namespace iotcore::server {

// The folder of everything that the server keeps: made with mode 700 if it is not there, and held by one process at a time.
class DataDir {
 public:
  // kConflict if another process has it.
  static Result<DataDir> open(const std::filesystem::path& path);

  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&&) = delete;
  ~DataDir();

  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path store() const { return path_ / "store"; }

  std::filesystem::path ca_certificate() const { return path_ / "ca.pem"; }

  std::filesystem::path credentials() const { return path_ / "credentials"; }

  std::filesystem::path sealing_key() const { return path_ / "sealing.key"; }

  std::filesystem::path sinks() const { return path_ / "sinks"; }

 private:
  DataDir(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::filesystem::path path_;
  int lock_;
};

}  // namespace iotcore::server
