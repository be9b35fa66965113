#include "server/rule_functions.h"

#include "functions/definition.h"
#include "rules/functions/remote_function.h"
#include "server/secrets.h"
#include "shadow/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace iotcore::server {
namespace {

// AWS's, of a function that is called from a statement.
constexpr std::chrono::milliseconds kFunctionTimeMax{2000};

// All of them strings, and as many as these.
bool are_texts(const json::array& arguments, std::size_t min, std::size_t max) {
  const bool texts = std::all_of(arguments.begin(), arguments.end(), [](const json::value& each) {
    return each.is_string();
  });
  return texts && arguments.size() >= min && arguments.size() <= max;
}

std::string_view text(const json::array& arguments, std::size_t i) {
  return arguments[i].get_string();
}

Result<rules::tables::KeyPart> key_part(const json::value& name, const json::value& value) {
  if (!name.is_string()) {
    return fail(Errc::kInvalidRequest, "the name of a key is a string");
  }
  return rules::tables::key_part(name.get_string(), {{name.get_string(), value}});
}

// {"a": {"b": 1}} as {"a.b": 1}: what a model is asked has no depth.
void flatten(const json::object& record, const std::string& prefix, json::object& flat) {
  for (const auto& member : record) {
    const std::string name = prefix + std::string(member.key());
    if (member.value().is_object()) {
      flatten(member.value().get_object(), name + ".", flat);
    } else {
      flat[name] = member.value();
    }
  }
}

}  // namespace

Result<std::string> RuleFunctions::call(std::string_view function, const json::array& arguments) {
  struct Row {
    std::string_view name;
    Result<std::string> (RuleFunctions::*call)(const json::array& arguments);
  };

  static constexpr auto kRows = std::to_array<Row>({
      {"aws_lambda", &RuleFunctions::aws_lambda},
      {"get_dynamodb", &RuleFunctions::dynamodb},
      {"get_registry_data", &RuleFunctions::registry_data},
      {"get_secret", &RuleFunctions::secret},
      {"get_thing_shadow", &RuleFunctions::thing_shadow},
      {"machinelearning_predict", &RuleFunctions::predict},
  });
  const auto* const row = std::ranges::find(kRows, function, &Row::name);
  return row == kRows.end() ? rules::sql::NoExternalFunctions().call(function, arguments)
                            : (this->*row->call)(arguments);
}

Result<std::string> RuleFunctions::call_function(std::string_view arn, std::string payload) {
  const std::string name = functions::parse_function_name(arn).name;
  if (name.empty()) {
    return fail(Errc::kNotFound, fmt::format("'{}' names no function", arn));
  }
  functions::Invocation invocation;
  invocation.payload = std::move(payload);
  if (arn.starts_with("arn:")) {
    invocation.function_arn = arn;
  }
  invocation.patience = kFunctionTimeMax;
  IOTCORE_ASSIGN(
      functions::Answer answer, rules::call_function(environment_, name, std::move(invocation))
  );
  if (answer.is_error) {
    return fail(
        Errc::kInvalidResponse, "the function failed: " + functions::describe_error(answer)
    );
  }
  return answer.payload.empty() ? "null" : std::move(answer.payload);
}

Result<std::string> RuleFunctions::aws_lambda(const json::array& arguments) {
  if (arguments.size() != 2 || !arguments[0].is_string()) {
    return fail(Errc::kInvalidRequest, "aws_lambda takes the ARN of a function, and its input");
  }
  return call_function(text(arguments, 0), to_json(arguments[1]));
}

Result<std::string> RuleFunctions::predict(const json::array& arguments) {
  if (arguments.size() != 3 || !arguments[0].is_string() || !arguments[2].is_object()) {
    return fail(
        Errc::kInvalidRequest,
        "machinelearning_predict takes the name of a model, a role, and the record"
    );
  }
  json::object record;
  flatten(arguments[2].get_object(), "", record);
  return call_function(text(arguments, 0), to_json(record));
}

Result<std::string> RuleFunctions::thing_shadow(const json::array& arguments) {
  if (!are_texts(arguments, 2, 3)) {
    return fail(Errc::kInvalidRequest, "get_thing_shadow takes names, which are strings");
  }
  const std::string_view name = arguments.size() > 2 ? text(arguments, 1) : std::string_view();
  return shadows_.read_committed({ThingName(text(arguments, 0)), shadow::ShadowName(name)});
}

Result<std::string> RuleFunctions::dynamodb(const json::array& arguments) {
  constexpr std::size_t kWithRange = 6;
  const bool has_range = arguments.size() == kWithRange;
  if ((arguments.size() != 4 && !has_range) || !arguments[0].is_string()) {
    return fail(
        Errc::kInvalidRequest,
        "get_dynamodb takes a table, the name and value of its key, perhaps those of its range "
        "key, and a role"
    );
  }
  rules::tables::ItemKey key;
  IOTCORE_ASSIGN(key.hash, key_part(arguments[1], arguments[2]));
  if (has_range) {
    IOTCORE_ASSIGN(key.range, key_part(arguments[3], arguments[4]));
  }
  IOTCORE_ASSIGN(
      std::optional<std::string> item, tables_.get(std::string(text(arguments, 0)), key)
  );
  return item ? *std::move(item) : "null";
}

Result<std::string> RuleFunctions::registry_data(const json::array& arguments) {
  if (!are_texts(arguments, 2, 3) || !registry_data_) {
    return fail(
        Errc::kInvalidRequest,
        "get_registry_data takes 'DescribeThing' or 'ListThingGroupsForThing', a thing, and a role"
    );
  }
  return registry_data_(text(arguments, 0), text(arguments, 1));
}

Result<std::string> RuleFunctions::secret(const json::array& arguments) {
  if (!are_texts(arguments, 3, 4)) {
    return fail(
        Errc::kInvalidRequest,
        "get_secret takes the secret's name, 'SecretString' or 'SecretBinary', perhaps a member, "
        "and a role"
    );
  }
  return secrets_.get(
      text(arguments, 0),
      text(arguments, 1),
      arguments.size() == 4 ? std::optional(text(arguments, 2)) : std::nullopt
  );
}

}  // namespace iotcore::server
