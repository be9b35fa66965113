#include "rules/sql_page.h"

#include "rules/actions_page.h"
#include "rules/sql/evaluation.h"
#include "rules/sql/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace iotcore::rules {
namespace {

using sql::FunctionKind;

constexpr std::string_view kTopic = "plant/m1/telemetry";
constexpr std::string_view kPayload =
    R"({"temp":81.5,"tags":["a","b"],"label":"Pump 1","meta":{"line":7},"none":null})";
constexpr std::int64_t kTime = 1'700'000'000'123;

constexpr std::string_view kHead = R"(# The SQL of rules

AWS IoT SQL, of the versions 2015-10-08, 2016-03-23 and beta. This page is printed by `iotcore rule functions`, from the lists by which functions are called and actions are made; what examples come to was evaluated for it, on
a message of the topic `plant/m1/telemetry`:

```json
{"temp": 81.5, "tags": ["a", "b"], "label": "Pump 1", "meta": {"line": 7}, "none": null}
```

```
[SET @name = expression, …]
SELECT [VALUE] expression [AS alias.with.dots], … | *
FROM 'topic/filter'
[WHERE expression]
```

| what | how |
| --- | --- |
| members, elements | `meta.line`, `get(tags, 0)`, `get(*, 'a-b')` |
| operators, strongest first | `.`; `-x`; `* / %`; `+ -`; `= <> < <= > >= IN`; `NOT`; `AND`; `OR` |
| values | `12`, `1.5`, `1E3`, `'text'`, `"text"`, `TRUE`, `NULL`, `[a, b]`, `{'k': a}` |
| choices | `CASE color WHEN 'red' THEN 1 ELSE 0 END` |
| nested queries | `(SELECT VALUE v FROM list AS v WHERE v > 1)`, `EXISTS (…)`, `x IN (…)` |
| casts | `cast(x AS Int)`: `String`, `Int`, `Integer`, `Double`, `Decimal`, `Bool`, `Boolean` and others |
| in actions | `${expression}` in every member that AWS allows it in |

What cannot be computed is Undefined: it is left out of objects, empty in texts, and a WHERE that is Undefined does not fire.

## Functions

"16" needs the version 2016-03-23. Functions that ask others make the rule wait for them, off the message path; one that fails ends the rule unless `get_or_default` holds it.

| function | | what | example |
| --- | --- | --- | --- |
)";

// One or more of each function that gives the same for the same message.
constexpr auto kExamples = std::to_array<std::string_view>({
    "abs(-5)",
    "acos(0)",
    "asin(1)",
    "atan(1)",
    "atan2(1, 0)",
    "bitand(13, 5)",
    "bitor(8, 5)",
    "bitxor(13, 5)",
    "bitnot(13)",
    "ceil(-1.2)",
    "floor(-1.2)",
    "cos(0)",
    "cosh(2.3)",
    "sin(0)",
    "sinh(0)",
    "tan(0)",
    "tanh(0)",
    "exp(1)",
    "ln(1)",
    "log(100)",
    "mod(8, 3)",
    "remainder(-8, 3)",
    "nanvl(missing, 0)",
    "power(2, 5)",
    "sqrt(2)",
    "round(-1.5)",
    "sign(-7)",
    "trunc(temp / 3, 2)",
    "chr(65)",
    "concat('a', 1)",
    "concat(tags, 'c')",
    "startswith('ranger', 'ran')",
    "endswith(label, '1')",
    "indexof('abcd', 'bc')",
    "length(label)",
    "numbytes('€')",
    "lower(label)",
    "upper(label)",
    "lpad(1, 3)",
    "rpad('a', 2)",
    "ltrim('  a ')",
    "rtrim(' a  ')",
    "trim('  a ')",
    "replace('abcabc', 'b', 'x')",
    "substring('012345', 1, 3)",
    "regexp_matches('aaaa', 'a{2,}')",
    "regexp_replace('abcd', 'b(.*)d', '$1')",
    "regexp_substr('hihihello', '(hi)*')",
    "md2('hello')",
    "md5('hello')",
    "sha1('hello')",
    "sha224('hello')",
    "sha256('hello')",
    "sha384('hello')",
    "sha512('hello')",
    "encode(label, 'base64')",
    "decode('eyJhIjoxfQ==', 'base64')",
    "get(tags, 1)",
    "get(*, 'label')",
    "get_or_default(missing, 'd')",
    "isNull(none)",
    "isUndefined(missing)",
    "transform('enrichArray', meta, [{'a': 1}])",
    "timestamp()",
    "parse_time('yyyy-MM-dd HH:mm', timestamp(), 'Europe/Berlin')",
    "time_to_epoch('2023-11-14 22:13', 'yyyy-MM-dd HH:mm')",
    "topic()",
    "topic(2)",
    "clientid()",
    "principal()",
    "accountid()",
    "sourceip()",
    "traceid()",
    "sql_version()",
    "get_mqtt_property('content_type')",
    "get_user_properties('k')",
});

class NoRandom final : public sql::Random {
 public:
  std::uint64_t next() override { return 0; }
};

Result<std::string> value_of(std::string_view expression) {
  const std::string statement = fmt::format("SELECT VALUE {} FROM '{}'", expression, kTopic);
  IOTCORE_ASSIGN(const sql::Program program, sql::compile(statement, sql::Version::k2016_03_23));
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kUser = {
      {{"k", "v"}, {"k", "w"}}};
  sql::MessageView message;
  message.topic = kTopic;
  message.client_id = "m1";
  message.principal = "5f3c…";
  message.source_ip = "10.0.0.7";
  message.trace_id = "3a1e1e32-52a4-41f5-8cd4-0b1c2d3e4f50";
  message.account_id = "123456789012";
  message.timestamp_ms = kTime;
  message.content_type = "application/json";
  message.user_properties = kUser;
  sql::ParsedPayload payload(kPayload);
  sql::NoExternalFunctions external;
  NoRandom random;
  sql::Evaluation evaluation(program, message, payload, external, random);
  IOTCORE_ASSIGN(const std::optional<sql::Output> output, evaluation.run());
  if (!output || output->view().empty()) {
    return fail(Errc::kInternal, fmt::format("{} comes to nothing", expression));
  }
  return std::string(output->view());
}

// Whether it is a call of that function.
bool is_example_of(std::string_view example, std::string_view function) {
  return example.size() > function.size() && example[function.size()] == '(' &&
         std::ranges::equal(example.substr(0, function.size()), function, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

std::string in_table(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') {
      cell += '\\';
    }
    cell += c;
  }
  return cell;
}

Result<std::string> examples_of(const sql::Function& function) {
  std::string cell;
  for (const std::string_view example : kExamples) {
    if (!is_example_of(example, function.name)) {
      continue;
    }
    IOTCORE_ASSIGN(const std::string value, value_of(example));
    cell += fmt::format("{}`{}` = `{}`", cell.empty() ? "" : "<br>", example, value);
  }
  const bool needs_one =
      function.kind != FunctionKind::kRandom && function.kind != FunctionKind::kExternal;
  if (cell.empty() && needs_one) {
    return fail(Errc::kInternal, fmt::format("{}() has no example", function.name));
  }
  return cell;
}

}  // namespace

Result<std::string> sql_page() {
  std::string page(kHead);
  for (const sql::Function& function : sql::functions()) {
    IOTCORE_ASSIGN(const std::string examples, examples_of(function));
    const bool asks = function.kind == FunctionKind::kExternal;
    page += fmt::format(
        "| `{}` | {} | {} | {} |\n",
        function.signature,
        function.since_2016 ? "16" : "",
        in_table(fmt::format("{}{}", function.purpose, asks ? "; asks others" : "")),
        in_table(examples)
    );
  }
  page +=
      "\n`decode(v, 'proto', bucket, key, file, message)` makes JSON of a Protobuf message; it, "
      "`get_secret` and the others that ask are in [rules](rules.md) and "
      "[compatibility](compatibility.md#rules).\n";
  IOTCORE_ASSIGN(const std::string actions, actions_page());
  return page + actions;
}

}  // namespace iotcore::rules
