#include "registry/policy/document.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::registry::policy {
namespace {

std::string with_statement(const std::string& members) {
  return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow",)" + members + "}]}";
}

TEST_CASE("A refused policy document is told what is wrong and where") {
  struct Case {
    std::string text;
    std::string message;
  };

  const std::string resource = R"("Resource":"*")";
  const std::string publish = R"("Action":"iot:Publish")";
  const Case cases[] = {
      {"", "invalid JSON at byte 0"},
      {"[]", "the document must be an object"},
      {R"({"Version":"2012-10-17"})", "Statement is missing"},
      {R"({"Version":"2012-10-17","Statement":[],"Owner":"x"})", "unknown key 'Owner'"},
      {R"({"Version":"2012-10-18","Statement":{}})",
       R"(Version must be "2012-10-17" or "2008-10-17")"},
      {R"({"Version":"2012-10-17","Statement":[]})", "Statement must not be empty"},
      {R"({"Version":"2012-10-17","Statement":{"Effect":"allow"}})",
       R"(Statement.Effect must be "Allow" or "Deny")"},
      {with_statement(resource), "Statement[0].Action is missing"},
      {with_statement(publish), "Statement[0].Resource is missing"},
      {with_statement(publish + R"(,"Resource":["*",5])"),
       "Statement[0].Resource[1] must be a string"},
      {with_statement(publish + R"(,"Resource":[])"), "Statement[0].Resource must not be empty"},
      {with_statement(publish + ",\"NotAction\":\"*\"," + resource),
       "Statement[0] has both Action and NotAction"},
      {with_statement(publish + "," + resource + R"(,"Principal":"*")"),
       "Statement[0].Principal is not allowed"},
      {with_statement(publish + "," + resource + R"(,"Note":"x")"),
       "Statement[0]: unknown key 'Note'"},
      {with_statement(publish + "," + resource + R"(,"Condition":{"StringIs":{}})"),
       "Statement[0].Condition: unknown operator 'StringIs'"},
      {with_statement(publish + "," + resource + R"(,"Condition":{"Bool":{"a":null}})"),
       "Statement[0].Condition.Bool.a must be a string, a number or a boolean"},
      {with_statement(publish + "," + resource + R"(,"Condition":{"Bool":{"a":"b","a":"c"}})"),
       "the key 'a' stands twice in one object"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    const Result<Document> document = parse_document(c.text);
    REQUIRE_FALSE(document);
    CHECK(document.error().code() == Errc::kMalformedPolicy);
    CHECK_THAT(document.error().message(), Catch::StartsWith(c.message));
  }
}

TEST_CASE("A policy document is read as written") {
  const Document document = parse_document(R"({"Version":"2008-10-17","Statement":{
      "Sid":"One","Effect":"Deny","NotAction":["iot:Connect","iot:*"],"NotResource":"a",
      "Condition":{"ForAnyValue:StringLikeIfExists":{"iot:ConnectAttributes":["a",1,true,1.5]},"Null":{"x":[]}}}})"
  )
                                .value();
  CHECK_FALSE(document.has_variables);
  REQUIRE(document.statements.size() == 1);
  const Statement& statement = document.statements.front();
  CHECK(statement.sid == "One");
  CHECK(statement.effect == Effect::kDeny);
  CHECK((statement.not_action && statement.not_resource));
  CHECK(statement.actions == std::vector<std::string>{"iot:Connect", "iot:*"});
  CHECK(statement.resources == std::vector<std::string>{"a"});
  REQUIRE(statement.conditions.size() == 2);
  const Condition& condition = statement.conditions.front();
  CHECK(condition.op == Operator::kStringLike);
  CHECK(condition.set_mode == SetMode::kForAnyValue);
  CHECK(condition.if_exists);
  CHECK(condition.key == "iot:ConnectAttributes");
  CHECK(condition.values == std::vector<std::string>{"a", "1", "true", "1.5"});
  CHECK(statement.conditions.back().values.empty());
}

TEST_CASE("The size of a document is counted in characters without white space") {
  const auto document_of = [](std::size_t characters) {
    std::string text =
        R"( {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"")";
    const std::size_t others = text.size() - 1 + 2;
    text.insert(text.size() - 1, std::string(characters - others, 'x'));
    return text + " }\t\r\n}";
  };
  const std::string full = document_of(2048);
  CHECK(parse_document(full, Limits::strict()));
  CHECK_FALSE(parse_document(document_of(2049), Limits::strict()));
  CHECK(parse_document(document_of(20480)));
  CHECK_FALSE(parse_document(document_of(20481)));
  // A character of two bytes is one; a space in a string counts.
  std::string umlaut = full;
  umlaut.replace(umlaut.find("xx"), 1, "\xC3\xBC");
  CHECK(parse_document(umlaut, Limits::strict()));
  std::string space = full;
  space.insert(space.find("xx"), " ");
  CHECK_FALSE(parse_document(space, Limits::strict()));
  CHECK_FALSE(parse_document(full, {.characters_max = 2048, .bytes_max = full.size() - 1}));
}

}  // namespace
}  // namespace iotcore::registry::policy
