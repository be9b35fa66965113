#pragma once

#include "net/http_client.h"
#include "rules/actions/signing_options.h"
#include "rules/actions/target_options.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>
#include <optional>
#include <string>

namespace iotcore::rules::actions {

// A target of kind `s3`: storage that speaks S3.
struct S3Options {
  HttpOptions http;
  SigningOptions signing;
  bool path_style = true;  // the bucket in the path, and not in front of the host
};

S3Options read_s3(MemberReader& members);

// Objects of AWS's s3 action in such storage, or in that of a target of kind `aws`: one PUT a message. What is put again after a lost answer is the same object.
class S3Endpoint final : public Sink {
 public:
  S3Endpoint(TargetRef target, const Targets& targets)
      : target_(std::move(target)), targets_(targets) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 private:
  Result<S3Options> open() const;
  Status ensure_open();
  Outcome put(const Record& record);
  net::HttpConnection& connection_to(const std::string& bucket);

  const TargetRef target_;
  const Targets& targets_;
  std::optional<S3Options> options_;
  net::HttpServer server_;
  std::optional<net::HttpConnection> connection_;  // to the server of the last bucket
};

// For the binding of the s3 action.
Result<std::unique_ptr<Sink>> make_s3_endpoint(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
