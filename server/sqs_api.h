#pragma once

#include "base/executor.h"
#include "base/json.h"
#include "gateway/http_handler.h"
#include "gateway/operations.h"
#include "rules/engine.h"
#include "server/all_operations.h"

#include <functional>
#include <string>
#include <string_view>

namespace iotcore::server {

// The calls of SQS by which the queues are read that sqs actions send to, in both of SQS's protocols: JSON (X-Amz-Target: AmazonSQS.…) and the older query
// protocol (a form with Action=…), which answers in XML.
class SqsApi {
 public:
  // All of it outlives this and every reply.
  SqsApi(
      rules::Engine& engine,
      gateway::AccessControl& access,
      Executor& pool,
      const EndpointName& endpoint
  );

  // Whether a request is one of SQS's.
  static bool concerns(const net::HttpRequest& request);

  void handle(net::HttpRequest request, gateway::CallerIdentity caller, gateway::HttpReply reply);

 private:
  struct Call;
  // An operation's answer: its result, or null if it answers later or has no result.
  using Answer = Result<json::object>;

  void run(std::shared_ptr<Call> call);
  Answer perform(Call& call);
  Answer get_attributes(const Call& call);
  Answer list(const Call& call);
  Answer send(const Call& call);
  Answer each_entry(
      Call& call, std::string_view form_name, const std::function<Status(const json::object&)>& act
  );
  void receive(std::shared_ptr<Call> call);
  std::string url_of(std::string_view queue) const;

  rules::MessageQueues& queues_;
  gateway::AccessControl& access_;
  Executor& pool_;
  const EndpointName& endpoint_;
  const std::string region_;
  const std::string account_;
};

}  // namespace iotcore::server
