#include "base/files.h"

#include "base/crypto.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <sys/stat.h>

namespace iotcore {
namespace {

TEST_CASE("a file is written whole, with its mode, over an older one") {
  const auto dir = std::filesystem::temp_directory_path() / new_uuid();
  std::filesystem::create_directory(dir);
  const auto path = dir / "secret";
  REQUIRE(write_file(path, "one", FileMode::kPublic));
  REQUIRE(write_file(path, "two", FileMode::kPrivate));
  CHECK(*read_file(path) == "two");
  CHECK(read_file(path, 2).error().code() == Errc::kTooLarge);
  struct stat about = {};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  CHECK(std::distance(std::filesystem::directory_iterator(dir), {}) == 1);
  CHECK(read_file(dir / "absent").error().code() == Errc::kNotFound);
  CHECK(
      write_file(dir / "no" / "folder", "x", FileMode::kPublic).error().code() == Errc::kNotFound
  );
  std::filesystem::remove_all(dir);
}

TEST_CASE("what is sealed opens with its key, in its place, unchanged") {
  const std::string key = random_bytes(kSealKeyBytes);
  const std::string sealed = seal(key, "the secret", "access key 1");
  CHECK(sealed.find("secret") == std::string::npos);
  CHECK(unseal(key, sealed, "access key 1") == "the secret");
  CHECK(unseal(key, sealed, "access key 2") == std::nullopt);
  CHECK(unseal(random_bytes(kSealKeyBytes), sealed, "access key 1") == std::nullopt);
  CHECK(unseal("short", sealed, "access key 1") == std::nullopt);
  CHECK(unseal(key, sealed.substr(0, 27), "access key 1") == std::nullopt);
  for (const std::size_t at : {std::size_t{0}, std::size_t{15}, sealed.size() - 1}) {
    std::string changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK(unseal(key, changed, "access key 1") == std::nullopt);
  }
  CHECK(unseal(key, seal(key, "", ""), "") == "");
}

}  // namespace
}  // namespace iotcore
