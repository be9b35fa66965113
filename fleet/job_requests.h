#pragma once

#include "broker/broker.h"
#include "broker/publish_context.h"

#include <vector>

namespace iotcore::fleet {

// Answers what devices ask about their jobs. An answer goes straight to the client that asked, whether it has subscribed or not, and to nobody else: it is
// no message of the broker. At QoS 1 if the request was, and lost if the client is not there or does not keep up, as it may ask again.
class JobRequests final : public broker::MessageConsumer {
 public:
  explicit JobRequests(broker::Broker& broker);
  ~JobRequests() override;

  void on_message(broker::PublishContext& context) override;

 private:
  broker::Broker& broker_;
  std::vector<broker::ConsumerId> subscriptions_;
};

}  // namespace iotcore::fleet
