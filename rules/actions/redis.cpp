#include "rules/actions/redis.h"

#include "rules/actions/redis_sink.h"
#include "rules/bindings.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr auto kCommands =
    std::to_array<std::string_view>({"HSET", "LPUSH", "PUBLISH", "RPUSH", "SET", "XADD"});

// The fields of a record; behind them the value, or names and values of fields.
enum Field : std::size_t { kCommand, kKey, kMaxLength, kTtlMs, kHasArgs, kFirstArg };

struct Argument {
  std::string name;  // empty: the value
  sql::Template value;
};

class RedisAction final : public Action {
 public:
  RedisAction(std::string target, sql::Template key, Fields fixed, std::vector<Argument> arguments)
      : target_(std::move(target)),
        key_(std::move(key)),
        fixed_(std::move(fixed)),
        arguments_(std::move(arguments)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override { return target_ + "/" + fields[kKey]; }

  std::string order_key(const Fields& fields, std::string_view /*payload*/) const override {
    return fields[kKey];
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    Fields fields = fixed_;
    IOTCORE_ASSIGN(fields[kKey], input.evaluation.render(key_));
    if (fields[kKey].empty()) {
      return fail(Errc::kInvalidRequest, "the key is empty");
    }
    for (const Argument& argument : arguments_) {
      if (!argument.name.empty()) {
        fields.push_back(argument.name);
      }
      IOTCORE_ASSIGN(fields.emplace_back(), input.evaluation.render(argument.value));
    }
    return fields;
  }

 private:
  std::string target_;
  sql::Template key_;
  Fields fixed_;
  std::vector<Argument> arguments_;
};

class RedisWriter final : public RedisSink {
 public:
  using RedisSink::RedisSink;

 private:
  Result<std::vector<RedisCommand>> commands_of(const Record& record) override {
    if (record.fields.size() < kFirstArg) {
      return fail(Errc::kInvalidRequest, "not a record of this kind");
    }
    const std::string& name = record.fields[kCommand];
    const std::string& key = record.fields[kKey];
    const std::string& max = record.fields[kMaxLength];
    std::vector<RedisCommand> commands(1);
    RedisCommand& command = commands[0];
    command = {name, key};
    const bool takes_fields = name == "XADD" || name == "HSET";
    if (name == "XADD") {
      if (!max.empty()) {
        command.insert(command.end(), {"MAXLEN", "~", max});
      }
      command.push_back("*");
    }
    if (takes_fields && record.fields[kHasArgs].empty()) {
      IOTCORE_TRY(add_fields(record, command));
    } else if (record.fields[kHasArgs].empty()) {
      command.push_back(record.payload);
    } else {
      command.insert(command.end(), record.fields.begin() + kFirstArg, record.fields.end());
    }
    const std::string& ttl = record.fields[kTtlMs];
    if (name == "SET" && !ttl.empty()) {
      command.insert(command.end(), {"PX", ttl});
    } else {
      add_bounds(name, key, max, ttl, commands);
    }
    return commands;
  }

  static Status add_fields(const Record& record, RedisCommand& command) {
    if (record.fields[kCommand] == "XADD") {
      command.insert(command.end(), {"payload", record.payload, "deliveryId", record.delivery_id});
      return {};
    }
    const Result<json::value> result = parse_json(record.payload);
    if (!result || !result->is_object() || result->get_object().empty()) {
      return fail(Errc::kInvalidRequest, "the result is not an object, so it has no fields");
    }
    for (const auto& member : result->get_object()) {
      const json::value& value = member.value();
      command.emplace_back(member.key());
      command.push_back(value.is_string() ? std::string(value.get_string()) : to_json(value));
    }
    return {};
  }

  static void add_bounds(
      const std::string& name,
      const std::string& key,
      const std::string& max,
      const std::string& ttl,
      std::vector<RedisCommand>& commands
  ) {
    if (!max.empty() && name == "LPUSH") {
      commands.push_back({"LTRIM", key, "0", fmt::to_string(std::stoll(max) - 1)});
    } else if (!max.empty() && name == "RPUSH") {
      commands.push_back({"LTRIM", key, "-" + max, "-1"});
    }
    if (!ttl.empty()) {
      commands.push_back({"PEXPIRE", key, ttl});
    }
  }
};

std::vector<Argument> read_arguments(MemberReader& members, std::string_view command) {
  std::vector<Argument> arguments;
  const json::value* given = members.optional_value("args");
  const bool takes_fields = command == "XADD" || command == "HSET";
  if (given == nullptr) {
    return arguments;
  }
  if (given->is_object() != takes_fields) {
    members.fail_member(
        "args", takes_fields ? "must be a map of fields and templates" : "must be the value"
    );
    return arguments;
  }
  if (!takes_fields) {
    if (std::optional<sql::Template> value = members.optional_template("args")) {
      arguments.push_back({"", *std::move(value)});
    }
    return arguments;
  }
  const json::object& map = given->get_object();
  MemberReader inner = members.inner(map, members.pointer_to("args"));
  for (const auto& field : map) {
    if (std::optional<sql::Template> value = inner.optional_template(field.key())) {
      arguments.push_back({field.key(), *std::move(value)});
    }
    if (field.key().empty()) {
      inner.fail_member("", "a field needs a name");
    }
  }
  members.take_error(inner);
  if (map.empty()) {
    members.fail_member("args", "must not be empty");
  }
  return arguments;
}

}  // namespace

ParsedAction Redis::parse(MemberReader& members, const SinkEnvironment& environment) {
  const TargetRef target = read_target(members, "target", kName, environment);
  const std::string command = members.choice("command", kCommands, "XADD");
  std::optional<sql::Template> key = members.text_template("key");
  std::vector<Argument> arguments = read_arguments(members, command);
  const auto max = members.optional_integer("maxlen", 1, std::int64_t{1} << 40);
  const auto ttl = members.optional_duration_ms("ttl");
  const bool is_list = command == "LPUSH" || command == "RPUSH";
  if (max && !is_list && command != "XADD") {
    members.fail_member("maxlen", "goes with XADD, LPUSH and RPUSH");
  }
  if (ttl && (*ttl < 1 || command == "PUBLISH")) {
    members.fail_member("ttl", *ttl < 1 ? "must not be 0" : "PUBLISH keeps nothing");
  }
  if (members.failed()) {
    return nullptr;
  }
  Action::Fields fixed(kFirstArg);
  fixed[kCommand] = command;
  fixed[kMaxLength] = max ? fmt::to_string(*max) : "";
  fixed[kTtlMs] = ttl ? fmt::to_string(*ttl) : "";
  fixed[kHasArgs] = std::string(arguments.empty() ? "" : "1");
  return std::make_unique<RedisAction>(
      target->name, *std::move(key), std::move(fixed), std::move(arguments)
  );
}

Result<std::unique_ptr<Sink>> Redis::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  const std::string id = fmt::format("{}:redis:{}", environment.outbox_id, found->name);
  return std::make_unique<RedisWriter>(std::move(found), *environment.targets, id);
}

}  // namespace iotcore::rules::actions
