#include "shadow/document/operations.h"

#include "tests/unit/shadow/shadow_model.h"

#include <catch2/catch.hpp>

#include <optional>
#include <string>

namespace iotcore::shadow::document {
namespace {

using test::parse;

Result<Applied> update(
    const std::optional<Document>& current,
    std::string_view payload,
    std::int64_t now_s = 100,
    const Limits& limits = {}
) {
  ParsedUpdate parsed = parse_update(payload, limits);
  REQUIRE(parsed.request);
  return apply_update(current ? &*current : nullptr, 0, *parsed.request, now_s, {.limits = limits});
}

Document document_of(std::string_view payload) {
  return update({}, payload).value().document;
}

TEST_CASE("The document keeps the order of keys and the spelling of numbers") {
  Document document = document_of(
      R"({ "state" : { "reported" : { "z" : 1.50, "a" : [ 1e3 , "\u0041\/" ], "m" : { "y":1,"x":2 } } } })"
  );
  CHECK(document.state_json() == R"({"reported":{"z":1.50,"a":[1e3,"A/"],"m":{"y":1,"x":2}}})");
  document = update(document, R"({"state":{"reported":{"m":{"y":null,"w":0},"a":true}}})")
                 .value()
                 .document;
  CHECK(document.state_json() == R"({"reported":{"z":1.50,"a":true,"m":{"x":2,"w":0}}})");
  CHECK(document.version() == 2);
}

TEST_CASE("Leaves named in an update are stamped, the others keep their time") {
  const Document first =
      update({}, R"({"state":{"desired":{"a":1,"b":[1,{"c":2,"d":[]}],"e":{}}}})", 10)
          .value()
          .document;
  CHECK(
      first.metadata_json() ==
      R"({"desired":{"a":{"timestamp":10},"b":[{"timestamp":10},{"c":{"timestamp":10},"d":[]}],"e":{}}})"
  );
  const Applied second =
      update(first, R"({"state":{"desired":{"a":1,"e":{"f":"x"}}}})", 20).value();
  CHECK(
      second.document.metadata_json() ==
      R"({"desired":{"a":{"timestamp":20},"b":[{"timestamp":10},{"c":{"timestamp":10},"d":[]}],"e":{"f":{"timestamp":20}}}})"
  );
  CHECK(
      second.accepted ==
      R"({"state":{"desired":{"a":1,"e":{"f":"x"}}},"metadata":{"desired":{"a":{"timestamp":20},"e":{"f":{"timestamp":20}}}},"version":2,"timestamp":20})"
  );
}

TEST_CASE("Objects emptied by nulls stay, new ones of nulls only are not stored") {
  struct Case {
    const char* first;
    const char* second;
    const char* expected;
  };

  const Case cases[] = {
      {R"({"a":{"b":1}})", R"({"a":{"b":null}})", R"({"reported":{"a":{}}})"},
      {R"({"x":1})", R"({"a":{"b":null}})", R"({"reported":{"x":1}})"},
      {R"({"x":1})", R"({"a":{"b":{"c":null},"d":2}})", R"({"reported":{"x":1,"a":{"d":2}}})"},
      {R"({"a":5})", R"({"a":{"b":null}})", R"({"reported":{"a":{}}})"},
      {R"({"a":5})", R"({"a":{}})", R"({"reported":{"a":{}}})"},
      {R"({"a":[1]})", R"({"a":{"b":1,"c":null}})", R"({"reported":{"a":{"b":1}}})"},
      {R"({"a":5})", R"({"a":null})", "{}"},
  };
  for (const Case& c : cases) {
    const auto payload = [](const char* state) {
      return std::string(R"({"state":{"reported":)") + state + "}}";
    };
    INFO(c.first << " " << c.second);
    const Document first = document_of(payload(c.first));
    CHECK(update(first, payload(c.second)).value().document.state_json() == c.expected);
  }
}

TEST_CASE("Values are equal by type and value") {
  struct Case {
    const char* desired;
    const char* reported;
    bool equal;
  };

  const Case cases[] = {
      {"1", "1.0", true},
      {"100", "1e2", true},
      {"0", "-0", true},
      {"-0.0", "0", true},
      {"0.1", "0.10", true},
      {"18446744073709551615", "18446744073709551614", false},
      {"9223372036854775807", "9223372036854775808", false},
      {"true", "1", false},
      {"\"1\"", "1", false},
      {"\"A\"", R"("\u0041")", true},
      {R"("\/")", "\"/\"", true},
      {"[1,2]", "[1.0,2e0]", true},
      {R"([{"a":1,"b":2}])", R"([{"b":2,"a":1}])", true},
      {R"([{"a":1}])", R"([{"a":1,"b":2}])", false},
      {"[1,2]", "[2,1]", false},
      {"[]", "{}", false},
      {"{}", "{}", true},
      {"{}", "0", false},
  };
  for (const Case& c : cases) {
    INFO(c.desired << " against " << c.reported);
    const std::string payload = std::string(R"({"state":{"desired":{"k":)") + c.desired +
                                R"(},"reported":{"k":)" + c.reported + "}}}";
    CHECK(update({}, payload).value().delta.has_value() == !c.equal);
  }
}

TEST_CASE("Of duplicate keys the last counts, however many there are") {
  const Document few = document_of(
      R"({"state":{"desired":{}},"state":{"reported":{"a":1,"b":2,"a":3,"a":{"x":1,"x":2}}}})"
  );
  CHECK(parse(few.state_json()) == parse(R"({"reported":{"a":{"x":2},"b":2}})"));
  std::string many;
  for (int i = 0; i < 40; ++i) {
    many += (i == 0 ? "\"k" : ",\"k") + std::to_string(i % 20) + "\":" + std::to_string(i);
  }
  const json::value state =
      parse(document_of(R"({"state":{"reported":{)" + many + "}}}").state_json());
  CHECK(state.at("reported").get_object().size() == 20);
  CHECK(state.at("reported").at("k7") == 27);
}

TEST_CASE("The size limit counts desired and reported as compact JSON") {
  const std::string payload = R"({"state":{"desired":{"a":"xx"},"reported": {"b": 1}}})";
  const std::size_t bytes = std::string(R"({"a":"xx"}{"b":1})").size();
  CHECK(update({}, payload, 1, {.document_bytes_max = bytes}));
  const Result<Applied> over = update({}, payload, 1, {.document_bytes_max = bytes - 1});
  REQUIRE_FALSE(over);
  CHECK(
      error_body(over.error(), "t") ==
      R"({"code":413,"message":"The payload exceeds the maximum size allowed","clientToken":"t"})"
  );
}

TEST_CASE("Versions go on after a delete") {
  const Document document = document_of(R"({"state":{}})");
  const Deleted deleted = apply_delete(document, 7, "t");
  CHECK(deleted.accepted == R"({"version":1,"timestamp":7,"clientToken":"t"})");
  CHECK(deleted.tombstone_version == 2);
  const auto create = [&](const char* payload, std::uint64_t tombstone_version) {
    ParsedUpdate parsed = parse_update(payload);
    return apply_update(nullptr, tombstone_version, *parsed.request, 8);
  };
  CHECK(create(R"({"state":{}})", 2).value().document.version() == 3);
  CHECK(create(R"({"state":{},"version":0})", 2).value().document.version() == 3);
  CHECK(create(R"({"state":{},"version":2})", 2).value().document.version() == 3);
  CHECK(create(R"({"state":{},"version":1})", 2).error().code() == Errc::kConflict);
  CHECK(create(R"({"state":{},"version":1})", 0).error().code() == Errc::kConflict);
  CHECK(create(R"({"state":{}})", 2).value().documents.find("previous") == std::string::npos);
}

TEST_CASE("One request can be applied again after a lost race") {
  const ParsedUpdate parsed = parse_update(R"({"state":{"reported":{"a":{"b":1,"c":null}}}})");
  const Document other = document_of(R"({"state":{"reported":{"a":{"c":2}}}})");
  const std::string expected = R"({"reported":{"a":{"b":1}}})";
  CHECK(apply_update(nullptr, 0, *parsed.request, 1).value().document.state_json() == expected);
  CHECK(apply_update(&other, 0, *parsed.request, 1).value().document.state_json() == expected);
}

TEST_CASE("Any sequence of updates does what the rules say") {
  test::RandomState random(GENERATE(range(1U, 21U)));
  const Limits limits{.document_bytes_max = 1U << 20};
  std::optional<Document> current;
  json::object model = {{"desired", json::object()}, {"reported", json::object()}};
  for (int step = 1; step <= 50; ++step) {
    json::object patch;
    for (const char* section : {"desired", "reported"}) {
      const std::uint32_t kind = random.below(8);
      if (kind == 0) {
        patch[section] = nullptr;
        model[section] = json::object();
      } else if (kind < 6) {
        patch[section] = random.object(4, true);
        test::merge_model(model[section].get_object(), patch[section].get_object());
      }
    }
    const Applied applied =
        update(current, to_json(json::object{{"state", patch}}), step, limits).value();

    json::object state;
    for (const auto& [section, value] : model) {
      if (!value.get_object().empty()) {
        state[section] = value;
      }
    }
    INFO("step " << step << " patch " << to_json(patch));
    const json::value stored = parse(applied.document.state_json());
    const json::value metadata = parse(applied.document.metadata_json());
    REQUIRE(stored == state);
    REQUIRE(test::mirrors(stored, metadata));

    const json::object difference =
        test::delta_model(model["desired"].get_object(), model["reported"].get_object());
    REQUIRE(applied.delta.has_value() == !difference.empty());
    const json::value documents = parse(applied.documents);
    REQUIRE(
        documents.at("current") ==
        json::value{{"state", stored}, {"metadata", metadata}, {"version", step}}
    );
    if (current) {
      REQUIRE(documents.at("previous").at("state") == parse(current->state_json()));
      REQUIRE(documents.at("previous").at("metadata") == parse(current->metadata_json()));
    }
    const json::value accepted = parse(applied.accepted);
    REQUIRE(accepted.at("state") == patch);

    current = Document::decode(applied.document.encode()).value();
    REQUIRE(current->state_json() == applied.document.state_json());
    REQUIRE(current->metadata_json() == applied.document.metadata_json());
    if (applied.delta) {
      const json::value delta = parse(*applied.delta);
      REQUIRE(delta.at("state") == difference);
      REQUIRE(test::mirrors(delta.at("state"), delta.at("metadata")));
      REQUIRE(parse(get(*current, step, "t")).at("state").at("delta") == difference);
      // A device that does as it is told has nothing left to do.
      const json::object obedience = {{"state", {{"reported", difference}}}};
      REQUIRE_FALSE(update(current, to_json(obedience), step, limits).value().delta);
    }
  }
}

TEST_CASE("Damaged stored bytes are refused") {
  const std::string bytes =
      document_of(R"({"state":{"desired":{"a":[1],"b":{"c":"x"}},"reported":{"a":true}}})")
          .encode();
  REQUIRE(Document::decode(bytes));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Result<Document> cut = Document::decode(bytes.substr(0, size));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code() == Errc::kStoreCorrupt);
  }
  CHECK_FALSE(Document::decode(bytes + "x"));
  std::string other_layout = bytes;
  other_layout[0] = 3;
  CHECK_FALSE(Document::decode(other_layout));
}

TEST_CASE("Stored ages of any size give times, and those times are stored again") {
  using namespace std::string_view_literals;
  const auto document = Document::decode(std::string(
      "\x01)\0\0\x01\x01\x01\xfe\xfe\xff\xff\xff\xff\xff\xff\xff\x4a\x06\0\x30\x60\0\0s"sv
  ));
  REQUIRE(document);
  CHECK(Document::decode(document->encode())->metadata_json() == document->metadata_json());
  const ParsedUpdate parsed = parse_update(R"({"state":{"reported":{"a":1}}})");
  const Document ahead = apply_update(nullptr, 0, *parsed.request, 2000).value().document;
  const ParsedUpdate other = parse_update(R"({"state":{"desired":{"b":1}}})");
  const Document set_back = apply_update(&ahead, 0, *other.request, 1000).value().document;
  CHECK(parse(set_back.metadata_json()).at_pointer("/reported/a/timestamp") == 2000);
  CHECK(parse(set_back.metadata_json()).at_pointer("/desired/b/timestamp") == 1000);
}

TEST_CASE("bodies that nobody wants are not written, and the document is the same") {
  const Document current =
      document_of(R"({"state":{"desired":{"a":1,"o":{}},"reported":{"a":2,"b":[1,{"c":2}]}}})");
  const ParsedUpdate parsed = parse_update(R"({"state":{"reported":{"a":3,"o":{"x":{}}}}})");
  const Applied all = apply_update(&current, 0, *parsed.request, 9).value();
  const Applied none = apply_update(
                           &current,
                           0,
                           *parsed.request,
                           9,
                           {},
                           {.accepted = false, .documents = false, .delta = false}
  )
                           .value();
  CHECK(none.accepted.empty());
  CHECK(none.documents.empty());
  CHECK_FALSE(none.delta);
  CHECK(none.document.encode() == all.document.encode());
  const Applied one =
      apply_update(&current, 0, *parsed.request, 9, {}, {.accepted = false, .documents = false})
          .value();
  CHECK(one.delta == all.delta);
  // Written or not, a document is as large as its text.
  Limits limits;
  const json::value state = parse(all.document.state_json());
  limits.document_bytes_max =
      to_json(state.at("desired")).size() + to_json(state.at("reported")).size();
  CHECK(apply_update(&current, 0, *parsed.request, 9, {.limits = limits}));
  --limits.document_bytes_max;
  CHECK(
      apply_update(&current, 0, *parsed.request, 9, {.limits = limits}).error().code() ==
      Errc::kTooLarge
  );
}

}  // namespace
}  // namespace iotcore::shadow::document
