#include "rules/actions/file_rotation.h"
#include "rules/actions/line_protocol.h"
#include "rules/actions/smtp_client.h"
#include "rules/actions/target_options.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

// Parts of sinks that need no target.
namespace iotcore::rules::actions {
namespace {

namespace fs = std::filesystem;

TEST_CASE("line protocol: types, escapes, order of tags, and what can't be written") {
  std::string out;
  REQUIRE(append_line(
      out,
      {"a b,c",
       {{"z", "1 2"}, {"a=b", "x,y"}, {"empty", ""}},
       {{"i", 7},
        {"u", 18446744073709551615ULL},
        {"d", 1.5},
        {"t", true},
        {"s", "q\"\\"},
        {"o", {{"k", 1}}},
        {"n", nullptr}},
       12}
  ));
  CHECK(
      out ==
      R"(a\ b\,c,a\=b=x\,y,z=1\ 2 i=7i,u=18446744073709551615u,d=1.5,t=t,s="q\"\\",o="{\"k\":1}" 12)"
      "\n"
  );
  CHECK(!append_line(out, {"m", {}, {{"n", nullptr}}, 1}));
  CHECK(!append_line(out, {"", {}, {{"n", 1}}, 1}));
  CHECK(!append_line(out, {"m", {}, {{"_n", 1}}, 1}));
  out.clear();
  REQUIRE(append_line(out, {"m", {{"t", "line\nend"}}, {{"n", 1}}, 1}));
  CHECK(out == "m,t=line\\nend n=1i 1\n");
}

TEST_CASE("addresses: all parts, and what is none") {
  const Result<Address> full = parse_address("amqps://us%40er:p%2Fw@[::1]:5671/v%2Fhost?x=1");
  REQUIRE(full);
  CHECK(full->scheme == "amqps");
  CHECK(full->user == "us@er");
  CHECK(full->password == "p/w");
  CHECK(full->host == "::1");
  CHECK(full->port == 5671);
  CHECK(full->path == "/v%2Fhost");
  CHECK(full->query == "x=1");
  for (const char* wrong : {"", "host", "redis://", "redis://h:99999", "://h"}) {
    CHECK(!parse_address(wrong));
  }
}

TEST_CASE("files: when one has a successor") {
  const WallTime noon = from_epoch_ms(1'700'000'000'000);
  FileRotation daily{.seconds = 86'400};
  CHECK(!daily.is_due(10, noon, noon + std::chrono::hours(1)));
  CHECK(daily.is_due(10, noon, noon + std::chrono::hours(24)));
  CHECK(!daily.is_due(0, noon, noon + std::chrono::hours(24)));
  FileRotation sized{.bytes = 10};
  CHECK(sized.is_due(10, noon, noon));
  CHECK(!sized.is_due(9, noon, noon));
}

TEST_CASE("files: predecessors are compressed, kept in number, and half of one is thrown away") {
  const test::TempFolder folder;
  const fs::path path = folder.path() / "log.jsonl";
  std::vector<fs::path> names;
  for (int i = 0; i < 3; ++i) {
    names.push_back(rotated_name(path, from_epoch_ms(1'700'000'000'000)));
    std::ofstream(names.back()) << std::string(100'000, 'x');
  }
  CHECK(names[0].filename() == "log-20231114T221320.000Z.jsonl");
  CHECK(names[1].filename() == "log-20231114T221320.000Z-1.jsonl");
  std::ofstream(names[0].string() + ".zst.part") << "half";
  std::ofstream(folder.path() / "log-other.jsonl") << "not ours";
  REQUIRE(tidy_rotated(path, {.compress = true, .keep = 2}));
  std::size_t files = 0;
  for (const auto& each : fs::directory_iterator(folder.path())) {
    ++files;
    CHECK(each.path().extension() != ".part");
  }
  CHECK(files == 3);
  CHECK(fs::exists(names[2].string() + ".zst"));
  CHECK(fs::file_size(names[2].string() + ".zst") < 1000);
  CHECK(!fs::exists(names[2]));
}

TEST_CASE("mail: what is not ASCII is encoded, and nothing adds headers") {
  const std::string text = mail_text(
      {{"a@b"}, "hei\xC3\x9F\r\nBcc: x@y", "body", "id"},
      "me@here",
      from_epoch_ms(1'700'000'000'000)
  );
  CHECK(text.find("Subject: =?UTF-8?B?") != std::string::npos);
  CHECK(text.find("Bcc") == std::string::npos);
  CHECK(text.find("Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n") == 0);
  CHECK(text.ends_with("\r\nYm9keQ==\r\n"));
  CHECK(!parse_receivers("a@b>\r\nRCPT TO:<c@d"));
  CHECK(parse_receivers("a@b, c@d")->size() == 2);
}

}  // namespace
}  // namespace iotcore::rules::actions
