#include "server/operator_commands.h"

namespace iotcore::server {

OperatorCommands::OperatorCommands(
    CLI::App& cli, CLI::App& rule, const std::function<void(CLI::App&)>& add_config
) {
  format_ = rule.add_subcommand("fmt", "Write rule files in their canonical layout");
  format_->add_option("files", files_, "rule files (.sql)")->required();
  trace_command_ = rule.add_subcommand("trace", "Show what a rule makes of messages, as they come");
  trace_command_->add_option("name", trace_.rule, "name of the rule")->required();
  trace_command_->add_option("--count", trace_.count, "end after so many");
  functions_ = rule.add_subcommand("functions", "Print the functions of the dialect (Markdown)");
  export_ = rule.add_subcommand("export", "Print a rule of a running server as a rule file");
  export_->add_option("name", transfer_.name, "name of the rule")->required();
  import_ = rule.add_subcommand(
      "import", "Make the rules of a JSON file: of the AWS CLI or of CloudFormation"
  );
  import_->add_option("file", transfer_.file, "the file (.json)")->required();
  import_->add_option("--name", transfer_.name, "of the rule, where the file does not say it");
  sinks_ = cli.add_subcommand("sinks", "State and lag of what rules deliver to");
  CLI::App* client = cli.add_subcommand("client", "One MQTT client of a running server");
  client->require_subcommand(1);
  client_trace_command_ = client->add_subcommand(
      "trace", "Show its packets and what is decided about it, as they come"
  );
  client_trace_command_->add_option("id", client_trace_.client_id, "client id")->required();
  client_trace_command_->add_option("--count", client_trace_.count, "end after so many events");
  client_trace_command_->add_option("--seconds", client_trace_.seconds, "end after that time");
  add_dead_letters(cli, add_config);
  add_secrets(cli, add_config);
  for (CLI::App* command :
       {format_, functions_, trace_command_, client_trace_command_, export_, import_, sinks_}) {
    add_config(*command);
  }
}

void OperatorCommands::add_dead_letters(
    CLI::App& cli, const std::function<void(CLI::App&)>& add_config
) {
  CLI::App* all = cli.add_subcommand("dead-letters", "What rules could not deliver");
  all->require_subcommand(1);
  letters_list_ = all->add_subcommand("list", "List them");
  letters_show_ = all->add_subcommand("show", "Show one with its payload");
  letters_retry_ = all->add_subcommand("retry", "Deliver them again");
  letters_drop_ = all->add_subcommand("drop", "Forget them");
  letters_show_->add_option("id", letters_.ids, "id of a dead letter")->required();
  letters_list_->add_option("--rule", letters_.rule, "of this rule only");
  for (CLI::App* command : {letters_retry_, letters_drop_}) {
    command->add_option("id", letters_.ids, "ids of dead letters");
    command->add_option("--rule", letters_.rule, "all of this rule");
    command->add_flag("--all", letters_.all, "all of all rules");
  }
  for (CLI::App* command : {letters_list_, letters_show_, letters_retry_, letters_drop_}) {
    add_config(*command);
  }
}

void OperatorCommands::add_secrets(
    CLI::App& cli, const std::function<void(CLI::App&)>& add_config
) {
  CLI::App* all = cli.add_subcommand("secret", "Secrets of targets and of get_secret()");
  all->require_subcommand(1);
  secret_put_ = all->add_subcommand("put", "Keep a secret; read from standard input or a file");
  secret_put_->add_option("--from-file", secret_.from_file, "file with the value");
  secret_put_->add_flag("--binary", secret_.binary, "for get_secret(…, 'SecretBinary', …)");
  secret_list_ = all->add_subcommand("list", "List the names of secrets");
  secret_delete_ = all->add_subcommand("delete", "Forget a secret");
  for (CLI::App* command : {secret_put_, secret_delete_}) {
    command->add_option("name", secret_.name, "name of the secret")->required();
  }
  for (CLI::App* command : {secret_put_, secret_list_, secret_delete_}) {
    add_config(*command);
  }
}

std::optional<Status> OperatorCommands::run(const Config& config) {
  transfer_.data_dir = config.data_dir;
  trace_.data_dir = config.data_dir;
  client_trace_.data_dir = config.data_dir;
  letters_.data_dir = config.data_dir;
  secret_.data_dir = config.data_dir;
  if (*sinks_) {
    return list_sinks(config.data_dir);
  }
  if (*client_trace_command_) {
    return trace_client(client_trace_);
  }
  if (std::optional<Status> done = run_rule()) {
    return done;
  }
  if (std::optional<Status> done = run_dead_letters()) {
    return done;
  }
  return run_secrets();
}

std::optional<Status> OperatorCommands::run_rule() {
  if (*format_) {
    return format_rules(files_) ? Status() : fail(Errc::kInvalidRequest, "not every file was good");
  }
  if (*functions_) {
    return print_functions();
  }
  if (*trace_command_) {
    return trace_rule(trace_);
  }
  if (*export_) {
    return export_rule(transfer_);
  }
  if (*import_) {
    return import_rules(transfer_);
  }
  return std::nullopt;
}

std::optional<Status> OperatorCommands::run_dead_letters() {
  if (*letters_list_) {
    return list_dead_letters(letters_);
  }
  if (*letters_show_) {
    return show_dead_letter(letters_);
  }
  if (*letters_retry_) {
    return retry_dead_letters(letters_);
  }
  if (*letters_drop_) {
    return drop_dead_letters(letters_);
  }
  return std::nullopt;
}

std::optional<Status> OperatorCommands::run_secrets() {
  if (*secret_put_) {
    return put_secret(secret_);
  }
  if (*secret_list_) {
    return list_secrets(secret_);
  }
  if (*secret_delete_) {
    return delete_secret(secret_);
  }
  return std::nullopt;
}

}  // namespace iotcore::server
