#include "registry/access_keys.h"

#include "base/crypto.h"
#include "base/files.h"
#include "registry/keys.h"
#include "registry/operators.h"
#include "registry/rows.h"
#include "registry/session_tokens.h"
#include "tests/unit/registry/fixture.h"

#include <sys/stat.h>

namespace iotcore::registry {
namespace {

using pki::SealingKey;

// A folder of its own, gone with the test.
struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / new_uuid()) {
    std::filesystem::create_directory(path);
  }

  ~Folder() { std::filesystem::remove_all(path); }

  std::filesystem::path path;
};

SealingKey make_key(const Folder& folder) {
  return SealingKey::open({folder.path / "sealing.key", {}}, true).value();
}

TEST_CASE("access keys are sealed in the store and open with their file") {
  const Folder folder;
  const SystemClock clock;
  store::MemoryStore store;
  std::string id;
  std::string secret;
  {
    const SealingKey key = make_key(folder);
    CHECK_FALSE(AccessKeys::any(store).value());
    auto keys = AccessKeys::open(store, clock, key);
    REQUIRE(keys);
    const auto made = (*keys)->ensure_administrator(folder.path / "credentials", "eu-north-1");
    REQUIRE(made);
    REQUIRE(*made);
    id = (*made)->id;
    secret = (*made)->secret;
    CHECK(id.size() == 20);
    CHECK(id.starts_with("AKIA"));
    CHECK(secret.size() == 40);
    const auto again = (*keys)->ensure_administrator(folder.path / "credentials", "eu-north-1");
    CHECK_FALSE(*again);
  }
  CHECK(
      *read_file(folder.path / "credentials") == "[default]\naws_access_key_id = " + id +
                                                     "\naws_secret_access_key = " + secret +
                                                     "\nregion = eu-north-1\n"
  );
  for (const char* file : {"credentials", "sealing.key"}) {
    struct stat about = {};
    REQUIRE(::stat((folder.path / file).c_str(), &about) == 0);
    CHECK((about.st_mode & 0777) == 0600);
  }
  const auto rows = store.scan(store::Table::kSystem, {}, {}, 10);
  REQUIRE(rows);
  for (const auto& row : *rows) {
    CHECK(row.value.find(secret) == std::string::npos);
  }
  CHECK(AccessKeys::any(store).value());
  {
    const SealingKey key = make_key(folder);
    auto keys = AccessKeys::open(store, clock, key);
    REQUIRE(keys);
    CHECK((*keys)->find(id)->secret == secret);
    CHECK((*keys)->find(id)->user == "admin");
    CHECK((*keys)->role_of("admin") == record::User::ADMINISTRATOR);
    CHECK((*keys)->find("AKIAUNKNOWN") == std::nullopt);
    CHECK_FALSE(*(*keys)->ensure_administrator(folder.path / "other", "x"));
  }
  REQUIRE(write_file(folder.path / "sealing.key", random_bytes(kSealKeyBytes), FileMode::kPrivate));
  const SealingKey other = make_key(folder);
  CHECK(AccessKeys::open(store, clock, other).error().code() == Errc::kStoreCorrupt);
}

TEST_CASE("the sealing key is a file or a passphrase, and is not silently replaced") {
  const Folder folder;
  const SealingKey::Source file{folder.path / "a", {}};
  CHECK(SealingKey::open(file, false).error().code() == Errc::kNotFound);
  const std::string sealed = SealingKey::open(file, true).value().seal("s", "c");
  CHECK(SealingKey::open(file, false).value().unseal(sealed, "c") == "s");
  CHECK(
      SealingKey::open({folder.path / "a", "words"}, true).error().code() == Errc::kInvalidRequest
  );
  const SealingKey::Source words{folder.path / "b", "correct horse"};
  const SealingKey by_words = SealingKey::open(words, true).value();
  const std::string kept = by_words.seal("s", "c");
  CHECK(SealingKey::open(words, false).value().unseal(kept, "c") == "s");
  CHECK(SealingKey::open(words, false).value().derive("x") == by_words.derive("x"));
  CHECK(by_words.derive("x") != by_words.derive("y"));
  CHECK(read_file(folder.path / "b")->find("correct") == std::string::npos);
  for (const char* passphrase : {"", "correct horsf"}) {
    const auto wrong = SealingKey::open({folder.path / "b", passphrase}, true);
    CHECK(wrong.error().code() == Errc::kInvalidRequest);
  }
  REQUIRE(write_file(folder.path / "a", "short", FileMode::kPrivate));
  CHECK(SealingKey::open(file, true).error().code() == Errc::kStoreCorrupt);
  REQUIRE(write_file(folder.path / "b", "iotcore-passphrase-1 zz", FileMode::kPrivate));
  CHECK(SealingKey::open(words, true).error().code() == Errc::kStoreCorrupt);
}

// Operators of a registry.
struct OperatorFixture : Fixture {
  OperatorFixture()
      : sealing_key(make_key(folder)),
        keys(std::move(AccessKeys::open(store, clock, sealing_key).value())),
        tokens(clock, sealing_key),
        operators(*keys, tokens, registry.grants(), clock, registry.options()) {
    admin = keys->ensure_administrator(folder.path / "credentials", "x").value().value();
  }

  Status allows(const Operator& who, const std::string& action, const std::string& resource) {
    const std::vector<std::string> resources = {resource};
    return operators.allows(who, "192.0.2.1", action, resources);
  }

  Folder folder;
  SealingKey sealing_key;
  std::unique_ptr<AccessKeys> keys;
  SessionTokens tokens;
  Operators operators;
  AccessKeys::Key admin;
};

TEST_CASE("keys are made, put aside, revoked; never the last one that opens the door") {
  OperatorFixture f;
  std::vector<std::string> withdrawn;
  f.keys->on_withdrawn([&withdrawn](const std::string& id) { withdrawn.push_back(id); });
  CHECK(f.keys->set_active(f.admin.id, false).error().code() == Errc::kDeleteConflict);
  CHECK(f.keys->remove(f.admin.id).error().code() == Errc::kDeleteConflict);
  CHECK(f.keys->remove("AKIANOBODY").error().code() == Errc::kNotFound);
  CHECK(f.keys->create("bad name", std::nullopt).error().code() == Errc::kInvalidRequest);
  const auto second = f.keys->create("admin", std::nullopt);
  REQUIRE(second);
  REQUIRE(f.keys->set_active(f.admin.id, false));
  CHECK(f.keys->find(f.admin.id) == std::nullopt);
  CHECK(f.keys->remove(second->id).error().code() == Errc::kDeleteConflict);
  REQUIRE(f.keys->set_active(f.admin.id, true));
  CHECK(f.keys->find(f.admin.id)->secret == f.admin.secret);
  REQUIRE(f.keys->remove(second->id));
  CHECK(withdrawn == std::vector<std::string>{f.admin.id, second->id});

  const auto ann = f.keys->create("ann", record::User::READ_ONLY);
  REQUIRE(ann);
  CHECK(f.keys->create("ann", record::User::ADMINISTRATOR).error().code() == Errc::kInvalidRequest);
  for (int i = 1; i < 10; ++i) {
    REQUIRE(f.keys->create("ann", std::nullopt));
  }
  CHECK(f.keys->create("ann", std::nullopt).error().code() == Errc::kLimitExceeded);
  for (const AccessKeys::Key& key : f.keys->list()) {
    CHECK(key.secret.empty());
    if (key.user == "ann") {
      REQUIRE(f.keys->remove(key.id));
    }
  }
  CHECK(f.keys->role_of("ann") == std::nullopt);
  const SealingKey same = make_key(f.folder);
  const auto reopened = AccessKeys::open(f.store, f.clock, same).value();
  CHECK(reopened->list().size() == 1);
}

TEST_CASE("operators may do what their role and their policies say") {
  OperatorFixture f;
  const auto key_of = [&](const char* user, std::optional<AccessKeys::Role> role) {
    return f.operators.find(f.keys->create(user, role)->id, "").value().who;
  };
  const Operator admin = f.operators.find(f.admin.id, "").value().who;
  CHECK(admin.administrator);
  CHECK(f.allows(admin, "iot:DeleteThing", "*"));

  const Operator reader = key_of("reader", record::User::READ_ONLY);
  const std::string thing = std::string(kArn) + "thing/t";
  for (const char* action : {"iot:DescribeThing", "iot:ListThings", "iot:GetThingShadow"}) {
    CHECK(f.allows(reader, action, thing));
  }
  for (const char* action : {"iot:CreateThing", "iot:Publish", "iam:CreateAccessKey"}) {
    CHECK(f.allows(reader, action, thing).error().code() == Errc::kAccessDenied);
  }

  const Operator some = key_of("some", std::nullopt);
  CHECK(code_of(f.allows(some, "iot:DescribeThing", thing)) == Errc::kAccessDenied);
  const std::string user = "arn:aws:iam::000000000000:user/some";
  REQUIRE(f.create_policy(
      "some", allow("iot:CreateThing", std::string(kArn) + "thing/${aws:username}-*")
  ));
  REQUIRE(f.attach_policy("some", user));
  CHECK(f.allows(some, "iot:CreateThing", std::string(kArn) + "thing/some-1"));
  CHECK(f.allows(some, "iot:creatething", std::string(kArn) + "thing/some-1"));
  CHECK_FALSE(f.allows(some, "iot:CreateThing", std::string(kArn) + "thing/other"));
  const std::vector<std::string> both = {
      std::string(kArn) + "thing/some-1", std::string(kArn) + "thing/other"};
  CHECK(code_of(f.operators.allows(some, "", "iot:CreateThing", both)) == Errc::kAccessDenied);
  const auto refused = f.allows(some, "iot:DeleteThing", thing);
  CHECK(
      refused.error().message() ==
      "User: " + user + " is not authorized to perform: iot:DeleteThing on resource: " + thing
  );
  REQUIRE(f.detach_policy("some", user));
  CHECK_FALSE(f.allows(some, "iot:CreateThing", std::string(kArn) + "thing/some-1"));
  CHECK(
      code_of(f.attach_policy("some", "arn:aws:iam::000000000000:user/absent")) == Errc::kNotFound
  );
}

TEST_CASE("temporary credentials and bearer tokens end by time, and with the key that made them") {
  OperatorFixture f;
  const auto session = f.tokens.issue("user/admin", f.admin.id, std::chrono::hours(1));
  const auto found = f.operators.find(session.access_key_id, session.session_token);
  REQUIRE(found);
  CHECK(found->secret == session.secret);
  CHECK(found->who.administrator);
  const auto bearer = f.tokens.issue_bearer(f.admin.id, std::chrono::hours(1));
  CHECK(f.operators.find_bearer(bearer.token)->access_key_id == f.admin.id);

  CHECK(code_of(f.operators.find(session.access_key_id, "")) == Errc::kUnrecognizedClient);
  CHECK(code_of(f.operators.find("ASIAOTHER", session.session_token)) == Errc::kUnrecognizedClient);
  CHECK(code_of(f.operators.find_bearer(session.session_token)) == Errc::kUnrecognizedClient);
  CHECK(code_of(f.operators.find_bearer(to_base64("nonsense"))) == Errc::kUnrecognizedClient);

  const auto other = f.keys->create("admin", std::nullopt).value();
  REQUIRE(f.keys->set_active(f.admin.id, false));
  CHECK(
      code_of(f.operators.find(session.access_key_id, session.session_token)) ==
      Errc::kUnrecognizedClient
  );
  CHECK(code_of(f.operators.find_bearer(bearer.token)) == Errc::kUnrecognizedClient);
  REQUIRE(f.keys->set_active(f.admin.id, true));
  f.clock.advance(std::chrono::hours(1));
  CHECK(
      code_of(f.operators.find(session.access_key_id, session.session_token)) == Errc::kExpiredToken
  );
  CHECK(code_of(f.operators.find_bearer(bearer.token)) == Errc::kExpiredToken);

  const auto role = f.tokens.issue("role/pump", "device-7", std::chrono::hours(1));
  const Operator who = f.operators.find(role.access_key_id, role.session_token).value().who;
  CHECK_FALSE(f.allows(who, "iot:Publish", std::string(kArn) + "topic/t"));
  REQUIRE(f.create_policy("pump", allow("iot:Publish", "*")));
  REQUIRE(f.attach_policy("pump", "arn:aws:iam::000000000000:role/pump"));
  CHECK(f.allows(who, "iot:Publish", std::string(kArn) + "topic/t"));
}

}  // namespace
}  // namespace iotcore::registry
