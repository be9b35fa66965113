#pragma once

#include "base/result.h"
#include "server/config.h"

#include <filesystem>
#include <string>
#include <vector>

// The subcommands other than `serve`. Each prints to standard output; an error is for standard error.
namespace iotcore::server {

struct ThingCreateOptions {
  std::string name;
  std::filesystem::path out;
  std::filesystem::path data_dir;
  std::string policy;  // empty: "iotcore-device", made if it is not there
};

// A thing with keys, a certificate and a policy; files for the device in `out`.
Status create_thing(const ThingCreateOptions& options);

struct KeyOptions {
  std::filesystem::path data_dir;
  std::string user;
  std::string id;
  std::string role;  // "administrator", "read-only" or empty
  std::vector<std::string> policies;
};

// Access keys of operators, on a running server. A new key is printed as a profile of AWS's shared credentials.
Status create_key(const KeyOptions& options);
Status list_keys(const KeyOptions& options);
Status rotate_key(const KeyOptions& options);
Status revoke_key(const KeyOptions& options);

// Gives the installation a new intermediate CA, under a new root unless `intermediate_only`: by the server that runs on the data folder, or on the
// files if none does.
Status rotate_ca(const Config& config, bool intermediate_only);

// `rule check`, `rule test` and `rule apply`, which need no running server; a running one takes up what was applied. Print their report; false if
// something is wrong.
bool check_rules(const Config& config, const std::vector<std::filesystem::path>& files);
bool apply_rules(const Config& config, const std::vector<std::filesystem::path>& files);

struct RuleTestOptions {
  std::filesystem::path file;
  std::string topic;  // empty: the file's own tests
  std::string payload;
};

bool test_rules(const Config& config, const RuleTestOptions& options);

// A copy of a running server's data, made by it and kept where it says; `name` may be empty.
Status make_backup(const std::filesystem::path& data_dir, const std::string& name);
// A new data folder from such a copy; the server starts on it afterwards.
Status restore(const std::filesystem::path& backup, const std::filesystem::path& data_dir);

struct ImportOptions {
  std::filesystem::path data_dir;
  std::filesystem::path file;  // "-": standard input
};

// Takes a fleet into a running server, a thing a line (JSON); what is there already is passed over. Lines that are refused are named on standard error, and
// make it fail in the end.
Status import_things(const ImportOptions& options);

// Prints docs/api.md: every operation of the API.
Status print_api();

// `rule functions`: prints docs/sql.md.
Status print_functions();

// `rule fmt`: canonical layout, in place.
bool format_rules(const std::vector<std::filesystem::path>& files);

struct RuleTransferOptions {
  std::filesystem::path data_dir;
  std::string name;
  std::filesystem::path file;
};

// `rule export`: a rule of a running server as the text of a rule file. `rule import`: the rules of a JSON file, as CreateTopicRule's request (AWS CLI),
// TopicRulePayload (named by `name`) or CloudFormation's AWS::IoT::TopicRule, made or replaced on a running server.
Status export_rule(const RuleTransferOptions& options);
Status import_rules(const RuleTransferOptions& options);

struct TraceOptions {
  std::filesystem::path data_dir;
  std::string rule;
  std::size_t count = 0;  // 0: until it is ended
};

// What a rule makes of each message, as they come.
Status trace_rule(const TraceOptions& options);

struct ClientTraceOptions {
  std::filesystem::path data_dir;
  std::string client_id;
  std::size_t count = 0;      // 0: until it is ended
  std::uint32_t seconds = 0;  // the same
};

// `client trace`: the packets of one client and what is decided about it, as they come.
Status trace_client(const ClientTraceOptions& options);

// State, lag and last error of everything that rules deliver to.
Status list_sinks(const std::filesystem::path& data_dir);

struct DeadLetterOptions {
  std::filesystem::path data_dir;
  std::vector<std::string> ids;
  std::string rule;
  bool all = false;
};

// What could not be delivered.
Status list_dead_letters(const DeadLetterOptions& options);
Status show_dead_letter(const DeadLetterOptions& options);
Status retry_dead_letters(const DeadLetterOptions& options);
Status drop_dead_letters(const DeadLetterOptions& options);

struct SecretOptions {
  std::filesystem::path data_dir;
  std::string name;
  std::filesystem::path from_file;  // empty: standard input
  bool binary = false;
};

// What targets and get_secret() name; values are never printed.
Status put_secret(const SecretOptions& options);
Status list_secrets(const SecretOptions& options);
Status delete_secret(const SecretOptions& options);

// Looks at what commonly goes wrong and says what to do. True if nothing is in the way.
bool run_doctor(const Config& config);

struct TopOptions {
  double interval_s = 1;
  std::uint32_t count = 0;  // 0: until it is interrupted
};

// Shows what the server that runs on data_dir does: connections, rates, rules and sinks, again and again.
Status run_top(const Config& config, const TopOptions& options);

// Asks the server that runs on data_dir whether it is ready: for the health checks of containers. False if it is not, or does not answer.
bool print_health(const Config& config);

}  // namespace iotcore::server
