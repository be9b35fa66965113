#include "base/files.h"
#include "net/http_message.h"
#include "rules/rule_file.h"
#include "rules/rule_import.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <cstdio>

namespace iotcore::server {
namespace {

Status put_rule(const ApiClient& api, const rules::RuleDefinition& rule) {
  const std::string path = "/rules/" + net::percent_encode(rule.name);
  const json::object payload = rules::to_topic_rule_payload(rule);
  const auto made = api.call("POST", path, &payload);
  if (made) {
    std::printf("made rule %s\n", rule.name.c_str());
    return {};
  }
  if (made.error().code() != Errc::kAlreadyExists) {
    return fail(made.error());
  }
  IOTCORE_TRY(api.call("PATCH", path, &payload));
  std::printf("replaced rule %s\n", rule.name.c_str());
  return {};
}

}  // namespace

Status export_rule(const RuleTransferOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  IOTCORE_ASSIGN(
      const json::value answer, api.call("GET", "/rules/" + net::percent_encode(options.name))
  );
  IOTCORE_ASSIGN(
      const std::vector<rules::RuleDefinition> all, rules::import_rules(to_json(answer), "")
  );
  for (const rules::RuleDefinition& rule : all) {
    std::fputs(rules::format_rule(rule).c_str(), stdout);
  }
  return {};
}

Status import_rules(const RuleTransferOptions& options) {
  IOTCORE_ASSIGN(const std::string text, read_file(options.file));
  const auto all = rules::import_rules(text, options.name);
  if (!all) {
    return fail(all.error().code(), options.file.string() + ": " + all.error().message());
  }
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  for (const rules::RuleDefinition& rule : *all) {
    IOTCORE_TRY(put_rule(api, rule));
  }
  return {};
}

bool format_rules(const std::vector<std::filesystem::path>& files) {
  bool all_good = true;
  for (const std::filesystem::path& file : files) {
    const Result<std::string> text = read_file(file);
    const Result<std::string> formatted =
        text ? rules::format_rule_file(*text) : Result<std::string>(fail(text.error()));
    const Status written = !formatted            ? Status(fail(formatted.error()))
                           : *formatted == *text ? Status()
                                                 : write_file(file, *formatted, FileMode::kPublic);
    if (!written) {
      std::fprintf(stderr, "%s: %s\n", file.c_str(), written.error().message().c_str());
      all_good = false;
    }
  }
  return all_good;
}

}  // namespace iotcore::server
