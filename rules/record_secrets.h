#pragma once

#include "base/result.h"
#include "rules/sink.h"
#include "rules/sql/environment.h"
#include "rules/sql/withheld.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

class RuleSet;

// What stands in records instead of secrets (rules/sql/withheld.h), looked up when they are delivered: as the secret is then, and never on the disk. Any thread;
// blocks.
class RecordSecrets {
 public:
  // What it needs and is made after it.
  void connect(const RuleSet& rules, sql::ExternalFunctions& external);

  // The record with its secrets. `opened` gets each of them.
  Result<Record> open(const Record& record, std::vector<std::string>& opened) const;

 private:
  Result<std::string> text_of(const Record& record, const sql::Withheld& withheld) const;
  // The result as JSON.
  Result<std::string> json_of(const Record& record, const sql::Withheld& withheld) const;

  const RuleSet* rules_ = nullptr;
  sql::ExternalFunctions* external_ = nullptr;
};

// Stands before a sink: records reach it with their secrets, which do not come back in what it says of them.
class SecretSink final : public Sink {
 public:
  SecretSink(std::unique_ptr<Sink> inner, const RecordSecrets& secrets)
      : inner_(std::move(inner)), secrets_(secrets) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;

  Status probe() override { return inner_->probe(); }

 private:
  void deliver_opened(std::span<const Record* const> batch, std::span<Outcome> outcomes);

  const std::unique_ptr<Sink> inner_;
  const RecordSecrets& secrets_;
};

}  // namespace iotcore::rules
