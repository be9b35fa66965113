#include "rules/protobuf_decoder.h"

#include "base/crypto.h"
#include "base/files.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <google/protobuf/descriptor.pb.h>

#include <unistd.h>

namespace iotcore::rules {
namespace {

// message Reading { string machine = 1; int64 count = 2; double warm_c = 3; } in plant.proto, package plant.
std::string descriptors() {
  google::protobuf::FileDescriptorSet set;
  google::protobuf::FileDescriptorProto& file = *set.add_file();
  file.set_name("plant.proto");
  file.set_package("plant");
  file.set_syntax("proto3");
  google::protobuf::DescriptorProto& message = *file.add_message_type();
  message.set_name("Reading");
  const auto add =
      [&](const char* name, int number, google::protobuf::FieldDescriptorProto::Type type) {
        google::protobuf::FieldDescriptorProto& field = *message.add_field();
        field.set_name(name);
        field.set_number(number);
        field.set_type(type);
        field.set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
      };
  add("machine", 1, google::protobuf::FieldDescriptorProto::TYPE_STRING);
  add("count", 2, google::protobuf::FieldDescriptorProto::TYPE_INT64);
  add("warm_c", 3, google::protobuf::FieldDescriptorProto::TYPE_DOUBLE);
  return set.SerializeAsString();
}

json::array arguments(
    std::string_view bytes, const char* key, const char* file, const char* message
) {
  return {json::string(to_base64(bytes)), "proto", "types", key, file, message};
}

TEST_CASE("decode proto: messages become JSON by a descriptor set in a folder") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("proto-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "types");
  REQUIRE(write_file(folder / "types" / "plant.desc", descriptors(), FileMode::kPublic));
  REQUIRE(write_file(folder / "types" / "bad.desc", "\x0a\x05nonsense", FileMode::kPublic));
  REQUIRE(write_file(folder / "types" / "big.desc", std::string(40'000, 'x'), FileMode::kPublic));
  ManualClock clock;
  ProtobufDecoder decoder({"/nowhere", folder}, clock);

  const std::string bytes("\x0a\x02m1\x10\x05\x19\x00\x00\x00\x00\x00\x00\x35\x40", 15);
  const json::array good = arguments(bytes, "plant.desc", "plant.proto", "Reading");
  CHECK_FALSE(decoder.decode_if_cached(good));
  const Result<std::string> decoded = decoder.decode(good);
  REQUIRE(decoded);
  CHECK(*decoded == R"({"machine":"m1","count":"5","warm_c":21})");
  CHECK(decoder.decode_if_cached(good).value().value() == *decoded);
  CHECK(
      decoder.decode(arguments(bytes, "plant.desc", "plant.proto", "plant.Reading")).value() ==
      *decoded
  );
  CHECK(decoder.decode(arguments("", "plant.desc", "plant.proto", "Reading")).value() == "{}");

  const auto error_of = [&](const json::array& wrong) {
    const Result<std::string> answer = decoder.decode(wrong);
    return answer ? "none" : answer.error().message();
  };
  CHECK(
      error_of(arguments("\x0a\x7f", "plant.desc", "plant.proto", "Reading")) ==
      "the bytes are no plant.Reading"
  );
  CHECK(
      error_of(arguments(bytes, "gone.desc", "plant.proto", "Reading")) ==
      "there is no descriptor set types/gone.desc"
  );
  CHECK(error_of(arguments(bytes, "../x", "plant.proto", "Reading")).starts_with("bucket and key"));
  CHECK(
      error_of(arguments(bytes, "bad.desc", "plant.proto", "Reading")) ==
      "types/bad.desc is not a descriptor set"
  );
  CHECK(
      error_of(arguments(bytes, "big.desc", "plant.proto", "Reading")).find("more than 32768") !=
      std::string::npos
  );
  CHECK(
      error_of(arguments(bytes, "plant.desc", "other.proto", "Reading")) ==
      "types/plant.desc has no file other.proto"
  );
  CHECK(
      error_of(arguments(bytes, "plant.desc", "plant.proto", "Other")) ==
      "plant.proto has no message Other"
  );
  CHECK(
      error_of(arguments(std::string(140'000, '\x0a'), "plant.desc", "plant.proto", "Reading")) ==
      "the message has 140000 bytes"
  );
  CHECK(
      error_of({"%%", "proto", "types", "plant.desc", "plant.proto", "Reading"}).find("base64") !=
      std::string::npos
  );
  CHECK(error_of({"a", "proto"}).starts_with("decode takes"));

  std::filesystem::remove_all(folder);
  CHECK(decoder.decode(good));
  clock.advance(std::chrono::minutes(16));
  CHECK_FALSE(decoder.decode_if_cached(good));
  CHECK_FALSE(decoder.decode(good));
}

TEST_CASE("decode proto: a rule reads the descriptors off the worker once, then decodes on it") {
  test::EngineFixture fixture;
  const auto folder = fixture.folder.path() / "descriptors" / "types";
  std::filesystem::create_directories(folder);
  REQUIRE(write_file(folder / "plant.desc", descriptors(), FileMode::kPublic));
  fixture.create(
      "decoded",
      "SELECT VALUE decode(*, 'proto', 'types', 'plant.desc', 'plant.proto', 'Reading') FROM 'in'",
      R"([{"republish": {"topic": "out", "roleArn": "r"}}])"
  );
  auto& device = fixture.connected("d");
  fixture.subscribe(device, "out");
  const std::string bytes("\x0a\x02m1\x10\x05\x19\x00\x00\x00\x00\x00\x00\x35\x40", 15);
  for (const bool is_cached : {false, true}) {
    fixture.publish(device, "in", bytes);
    std::string got;
    for (int i = 0; i < 2000 && got.empty(); ++i) {
      if (!is_cached) {
        fixture.deliver();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      got = test::next_payload(device);
      if (is_cached) {
        break;
      }
    }
    CHECK(got == R"({"machine":"m1","count":"5","warm_c":21})");
  }
  for (const char* sql :
       {"SELECT decode(a, 'proto', 'b', 'k', 'f', 'm'), decode(b, 'proto', 'b', 'k', 'f', 'm'), "
        "decode(c, 'proto', 'b', 'k', 'f', 'm') FROM 'x'"}) {
    const auto refused = sql::compile(sql, sql::Version::k2016_03_23);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message().find("can stand twice") != std::string::npos);
  }
}

}  // namespace
}  // namespace iotcore::rules
