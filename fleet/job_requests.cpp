#include "fleet/job_requests.h"

#include "base/clock.h"
#include "broker/client_session.h"
#include "broker/connections.h"
#include "broker/worker_broker.h"
#include "fleet/job_request.h"

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::fleet {
namespace {

constexpr std::array kFilters = std::to_array<std::string_view>({
    "$aws/things/+/jobs/get",
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
});

void answer(
    broker::WorkerBroker& worker, std::string_view client_id, const broker::Message& request
) {
  const broker::PublishView& asked = request.view();
  const std::optional<JobTopicView> topic = parse_job_topic(asked.topic);
  broker::ClientSession* client = worker.clients().find_by_id(client_id);
  if (!topic || client == nullptr) {
    return;
  }
  const auto now = worker.shared().clock().wall().time_since_epoch();
  const JobAnswer reply = answer_job_request(
      *topic,
      asked.topic,
      asked.payload,
      std::chrono::duration_cast<std::chrono::seconds>(now).count()
  );
  broker::PublishView publish;
  publish.topic = reply.topic;
  publish.payload = reply.payload;
  broker::DirectMessage direct;
  direct.message = broker::Message::make(publish);
  direct.confirmation = asked.qos != broker::mqtt::Qos::kAtMostOnce;
  client->send_direct(direct, [](const Status&) {});
}

}  // namespace

JobRequests::JobRequests(broker::Broker& broker) : broker_(broker) {
  for (const std::string_view filter : kFilters) {
    subscriptions_.push_back(broker_.add_consumer(filter, *this));
  }
}

JobRequests::~JobRequests() {
  for (const broker::ConsumerId id : subscriptions_) {
    broker_.remove_consumer(id, nullptr);
  }
}

void JobRequests::on_message(broker::PublishContext& context) {
  // By a will or over HTTPS, nobody is there to be answered.
  const std::string_view client_id = context.publisher().client_id;
  if (client_id.empty() || context.publish().origin == broker::Origin::kWill) {
    return;
  }
  broker::WorkerBroker& worker = context.worker();
  // After the publish, which has the client in its hands.
  worker.executor().post([&worker,
                          client_id = std::string(client_id),
                          request = context.message()] { answer(worker, client_id, *request); });
}

}  // namespace iotcore::fleet
