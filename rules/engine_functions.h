#pragma once

#include "rules/protobuf_decoder.h"
#include "rules/sql/environment.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// The functions that ask others, as the engine has them: decode(…, 'proto', …) of its own, the rest the server's.
class EngineFunctions final : public sql::ExternalFunctions {
 public:
  // `others` may be nullptr and outlives this.
  EngineFunctions(
      sql::ExternalFunctions* others,
      std::vector<std::filesystem::path> descriptor_folders,
      const Clock& clock
  )
      : others_(others != nullptr ? *others : none_),
        decoder_(std::move(descriptor_folders), clock) {}

  Result<std::string> call(std::string_view function, const json::array& arguments) override {
    return function == "decode" ? decoder_.decode(arguments) : others_.call(function, arguments);
  }

  ProtobufDecoder& decoder() { return decoder_; }

 private:
  sql::NoExternalFunctions none_;
  sql::ExternalFunctions& others_;
  ProtobufDecoder decoder_;
};

// Stands for them while a rule is evaluated on a worker, which may not wait: notes that one was reached that would have to, upon which the evaluation is
// given to DeferredRules.
class UnreachedFunctions final : public sql::ExternalFunctions {
 public:
  explicit UnreachedFunctions(ProtobufDecoder& decoder) : decoder_(decoder) {}

  Result<std::string> call(std::string_view function, const json::array& arguments) override {
    if (function == "decode") {
      if (auto decoded = decoder_.decode_if_cached(arguments)) {
        return *std::move(decoded);
      }
    }
    reached_ = true;
    return fail(Errc::kUnavailable, std::string(function) + "() has to wait");
  }

  bool were_reached() const { return reached_; }

 private:
  ProtobufDecoder& decoder_;
  bool reached_ = false;
};

}  // namespace iotcore::rules
