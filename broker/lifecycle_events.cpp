#include "broker/lifecycle_events.h"

#include "base/json.h"
#include "broker/topic_tree.h"
#include "broker/worker_broker.h"

namespace iotcore::broker {
namespace {

std::string topic_of(std::string_view kind, std::string_view client_id) {
  std::string topic = "$aws/events/";
  topic.append(kind);
  topic.push_back('/');
  topic.append(client_id);
  return topic;
}

// Past the cache of hot topics, which these are not: every client has its own.
bool is_wanted(WorkerBroker& worker, const LifecycleSubject& subject, std::string_view topic) {
  struct Anybody {
    bool& found;

    void on_subscribers(WorkerId /*worker*/, std::uint32_t /*slot*/) const { found = true; }

    void on_group(const GroupView& /*group*/) const { found = true; }
  };

  bool found = false;
  worker.shared().tree().match(topic, Anybody{found});
  return found && subject.client_id.find_first_of("#+") == std::string_view::npos;
}

json::object event_of(
    WorkerBroker& worker, const LifecycleSubject& subject, std::string_view type
) {
  json::object event;
  event["clientId"] = subject.client_id;
  if (!subject.thing_name.empty()) {
    event["thingName"] = subject.thing_name;
  }
  event["timestamp"] = to_epoch_ms(worker.shared().clock().wall());
  event["eventType"] = type;
  event["sessionIdentifier"] = worker.session_id(subject.version_number);
  event["principalIdentifier"] = subject.principal;
  return event;
}

void publish(WorkerBroker& worker, std::string_view topic, const json::object& event) {
  const std::string text = to_json(event);
  PublishView view;
  view.topic = topic;
  view.payload = text;
  view.origin = Origin::kService;
  OwnedPublish owned;
  owned.message = Message::make(view);
  worker.publish_later(std::move(owned));
}

}  // namespace

void publish_connected(WorkerBroker& worker, const LifecycleSubject& subject) {
  const std::string topic = topic_of("presence/connected", subject.client_id);
  if (!is_wanted(worker, subject, topic)) {
    return;
  }
  json::object event = event_of(worker, subject, "connected");
  event["ipAddress"] = subject.source_ip;
  event["versionNumber"] = subject.version_number;
  publish(worker, topic, event);
}

void publish_disconnected(
    WorkerBroker& worker, const LifecycleSubject& subject, CloseReason reason
) {
  const std::string topic = topic_of("presence/disconnected", subject.client_id);
  if (!is_wanted(worker, subject, topic)) {
    return;
  }
  json::object event = event_of(worker, subject, "disconnected");
  event["clientInitiatedDisconnect"] = reason == CloseReason::kClientDisconnect;
  event["disconnectReason"] = disconnect_reason_of(reason);
  event["versionNumber"] = subject.version_number;
  publish(worker, topic, event);
}

void publish_connect_failed(WorkerBroker& worker, const LifecycleSubject& subject) {
  const std::string topic = topic_of("presence/connect_failed", subject.client_id);
  if (!is_wanted(worker, subject, topic)) {
    return;
  }
  json::object event = event_of(worker, subject, "connect_failed");
  event["ipAddress"] = subject.source_ip;
  event["connectFailureReason"] = "AUTHORIZATION_FAILED";
  publish(worker, topic, event);
}

void publish_subscriptions(
    WorkerBroker& worker,
    const LifecycleSubject& subject,
    bool subscribed,
    const std::vector<std::string_view>& filters
) {
  const std::string_view type = subscribed ? "subscribed" : "unsubscribed";
  const std::string topic = topic_of(
      subscribed ? "subscriptions/subscribed" : "subscriptions/unsubscribed", subject.client_id
  );
  if (filters.empty() || !is_wanted(worker, subject, topic)) {
    return;
  }
  json::object event = event_of(worker, subject, type);
  json::array topics;
  for (const std::string_view filter : filters) {
    topics.emplace_back(filter);
  }
  event["topics"] = std::move(topics);
  publish(worker, topic, event);
}

}  // namespace iotcore::broker
