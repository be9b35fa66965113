#pragma once

#include "rules/sink.h"
#include "rules/sql/environment.h"
#include "rules/tables/table_store.h"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::shadow {
class Service;
}

namespace iotcore::server {

class Secrets;

// What rules may ask of the rest of the server (rules-sql.md 15.6). Roles are for AWS alone. Any thread.
class RuleFunctions final : public rules::sql::ExternalFunctions {
 public:
  // get_registry_data() without the role. Any thread.
  using RegistryData =
      std::function<Result<std::string>(std::string_view operation, std::string_view thing)>;

  // `tables`: the file of dynamoDB's tables.
  RuleFunctions(const shadow::Service& shadows, Secrets& secrets, std::filesystem::path tables)
      : shadows_(shadows), secrets_(secrets), tables_(std::move(tables)) {}

  // What is made later; before the first rule runs. What `environment` points to outlives the rules.
  void connect(rules::SinkEnvironment environment) { environment_ = std::move(environment); }

  void connect(RegistryData registry_data) { registry_data_ = std::move(registry_data); }

  Result<std::string> call(std::string_view function, const json::array& arguments) override;

 private:
  // aws_lambda(function, payload)
  Result<std::string> aws_lambda(const json::array& arguments);
  // get_thing_shadow(thing [, shadow], role)
  Result<std::string> thing_shadow(const json::array& arguments);
  // get_dynamodb(table, key, value [, range key, value], role)
  Result<std::string> dynamodb(const json::array& arguments);
  // get_registry_data(operation, thing, role)
  Result<std::string> registry_data(const json::array& arguments);
  // get_secret(name, type [, member], role)
  Result<std::string> secret(const json::array& arguments);
  // machinelearning_predict(model, role, record)
  Result<std::string> predict(const json::array& arguments);
  Result<std::string> call_function(std::string_view arn, std::string payload);

  const shadow::Service& shadows_;
  Secrets& secrets_;
  rules::tables::TableReader tables_;
  rules::SinkEnvironment environment_;
  RegistryData registry_data_;
};

}  // namespace iotcore::server
