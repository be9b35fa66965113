#include "registry/access_keys.h"

#include "base/crypto.h"
#include "base/files.h"
#include "store/memory_store.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>

namespace iotcore::registry {
namespace {

TEST_CASE("access keys are sealed in the store and open with their file") {
  const auto folder = std::filesystem::temp_directory_path() / new_uuid();
  std::filesystem::create_directory(folder);
  const SystemClock clock;
  store::MemoryStore store;
  std::string id;
  std::string secret;
  {
    auto keys = AccessKeys::open(store, clock, folder);
    REQUIRE(keys);
    const auto made = (*keys)->ensure_administrator(folder / "credentials", "eu-north-1");
    REQUIRE(made);
    REQUIRE(*made);
    id = (*made)->id;
    secret = (*made)->secret;
    CHECK(id.size() == 20);
    CHECK(id.starts_with("AKIA"));
    CHECK(secret.size() == 40);
    const auto again = (*keys)->ensure_administrator(folder / "credentials", "eu-north-1");
    CHECK_FALSE(*again);
  }
  CHECK(
      *read_file(folder / "credentials") == "[default]\naws_access_key_id = " + id +
                                                "\naws_secret_access_key = " + secret +
                                                "\nregion = eu-north-1\n"
  );
  for (const char* file : {"credentials", "sealing.key"}) {
    struct stat about = {};
    REQUIRE(::stat((folder / file).c_str(), &about) == 0);
    CHECK((about.st_mode & 0777) == 0600);
  }
  const auto rows = store.scan(store::Table::kSystem, {}, {}, 10);
  REQUIRE(rows);
  for (const auto& row : *rows) {
    CHECK(row.value.find(secret) == std::string::npos);
  }
  {
    auto keys = AccessKeys::open(store, clock, folder);
    REQUIRE(keys);
    CHECK((*keys)->find(id)->secret == secret);
    CHECK((*keys)->find(id)->user == "admin");
    CHECK((*keys)->find("AKIAUNKNOWN") == std::nullopt);
    CHECK_FALSE(*(*keys)->ensure_administrator(folder / "other", "x"));
    CHECK((*keys)->find((*keys)->create("operator")->id)->user == "operator");
  }
  REQUIRE(write_file(folder / "sealing.key", random_bytes(kSealKeyBytes), FileMode::kPrivate));
  CHECK(AccessKeys::open(store, clock, folder).error().code() == Errc::kStoreCorrupt);
  // Without its file, the store's keys are not silently replaced.
  std::filesystem::remove(folder / "sealing.key");
  CHECK(AccessKeys::open(store, clock, folder).error().code() == Errc::kNotFound);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace iotcore::registry
