#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/log.h"
#include "base/rate_limit.h"
#include "base/timer_wheel.h"
#include "broker/broker.h"
#include "broker/client_table.h"
#include "broker/connect_admission.h"
#include "broker/exactly_once.h"
#include "broker/frame_cache.h"
#include "broker/keep_alives.h"
#include "broker/limits.h"
#include "broker/publish_context.h"
#include "broker/session_rows.h"
#include "broker/subscriber_table.h"
#include "broker/topic_cache.h"
#include "broker/turn_batch.h"
#include "broker/worker_counters.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace iotcore::broker {

class ClientSession;
class ClientTraces;
class Housekeeper;
class Session;
class WorkerSessions;
struct DeliveryOptions;
struct QueuedDelivery;
struct QueueRows;

struct PublishResult {
  bool deferred = false;  // a PendingAck was made, and sends the acknowledgement when it is due
  bool retain_refused =
      false;  // the limit of retained messages is reached: delivered, but not kept
  std::uint32_t receivers = 0;  // sessions, workers and consumers that got it
};

// Makes the PendingAck of a publish when the first holder asks for it.
class AckSource {
 public:
  virtual ~AckSource() = default;
  virtual PendingAck& make() = 0;

  // What became of the publish, if one was made: before that can be complete.
  virtual void deferred(const PublishResult& /*result*/) {}
};

// A publish that waits for its turn: replies of services, republishes of rules, wills.
struct OwnedPublish {
  Message::Ref message;
  std::string client_id;  // of the publisher, if any
  std::string principal;
  std::string source_ip;
  PendingAck::Hold hold;  // released when this publish is as durable as it has to be
};

// A message for any member of a shared subscription, on its way from worker to worker.
struct SharedMessage {
  Message::Ref message;
  std::string filter;       // with $share/name/
  std::uint64_t asked = 0;  // bit n: no member on worker n takes it
  bool may_wait = false;    // whether a member may have it wait
  PendingAck::Hold hold;    // of the publisher
  // Key in the table queue of the ended session's row, if it had one: it goes in the commit in which another takes the message, so that no crash
  // leaves both (MQTT-4.3.3: once).
  std::string row;
};

// For what may outlive the worker's broker and then has nobody to tell. Any thread.
class WorkerLifeline {
 public:
  explicit WorkerLifeline(WorkerBroker& worker) : worker_(&worker) {}

  // Has the worker run the task; false if it is gone.
  bool post(Function<void()> task);
  void cut();

 private:
  std::mutex mutex_;  // and what follows
  WorkerBroker* worker_;
};

// The broker on one worker: its clients, their subscriptions, and delivery to them. Only on that worker, but for what says otherwise.
//
// Each of its parts has a source: the publish and the turn (worker_broker.cpp), sessions of this worker (worker_delivery.cpp), other workers
// (worker_remote.cpp), shared subscriptions (shared_delivery.cpp). What goes to the store is TurnBatch's, sessions that are kept are WorkerSessions'.
class WorkerBroker {
 public:
  WorkerBroker(Broker& broker, WorkerId id, TimerWheel& timers);
  ~WorkerBroker();
  WorkerBroker(const WorkerBroker&) = delete;
  WorkerBroker& operator=(const WorkerBroker&) = delete;

  // The one way in for every message. The caller has checked topic and permission. Never called from inside a consumer.
  PublishResult publish(const Publisher& publisher, const PublishView& publish, AckSource* acks);
  // The same, once the publish under way is through, within this turn.
  void publish_later(OwnedPublish publish);
  // A message that a member of a shared subscription leaves behind: another member gets it (MQTT5 4.8.2), in a later turn. Any
  // thread.
  void pass_on(SharedMessage shared);
  // Whether anybody at all would get a message of that topic.
  bool has_receivers(std::string_view topic);

  // At the end of each turn of the loop, before sockets are written: what was put off, batches to other workers, the commit.
  void end_turn();

  // The time of this turn.
  MonotonicTime now() {
    if (now_ == MonotonicTime{}) {
      now_ = broker_.clock().now();
    }
    return now_;
  }

  Broker& shared() { return broker_; }

  const BrokerOptions& options() const { return broker_.options(); }

  WorkerId id() const { return id_; }

  TimerWheel& timers() { return timers_; }

  KeepAlives& keep_alives() { return keep_alives_; }

  SubscriberTable& subscribers() { return subscribers_; }

  ClientTable& clients() { return clients_; }

  WorkerSessions& sessions() { return *sessions_; }

  ClientTraces& traces() { return *traces_; }

  // Now, in both kinds of time.
  Instant instant();

  // One message for one session, without the topic tree: retained messages. True if the session takes it.
  bool deliver_to(
      Session& session,
      const PublishView& publish,
      Message::Ref& message,
      const DeliveryOptions& options
  );
  // Later in this turn.
  void publish_will(
      const WillRecord& will,
      std::string_view client_id,
      std::string_view principal,
      std::string_view source_ip
  );

  // What end_turn commits.
  TurnBatch& turn() { return turn_; }

  // Any thread.
  Executor& executor();
  // Called once by the worker's thread; is_current() then tells whether the calling thread is that one.
  void bind_to_thread();
  bool is_current() const;
  // The one of the calling thread, or null.
  static WorkerBroker* current();

  const std::shared_ptr<WorkerLifeline>& lifeline() const { return lifeline_; }

  // Numbers sessions of this worker, for lifecycle events; and the text that names one.
  std::uint64_t next_session_number() { return ++session_number_; }

  std::string session_id(std::uint64_t number) const;

  // For the forwarded properties of the publish under way.
  std::string& property_scratch() { return property_scratch_; }

  // For a row on its way into a batch.
  std::string& row_scratch() { return row_scratch_; }

  WorkerCounters& counters() { return counters_; }

  // Bytes of this worker's connections, counted by whoever has the sockets. Before the workers run; for as long as they do.
  struct Traffic {
    const Counter* received = nullptr;
    const Counter* sent = nullptr;
  };

  void set_traffic(Traffic traffic) { traffic_ = traffic; }

  const Traffic& traffic() const { return traffic_; }

  LimitCounters& limits() { return limits_; }

  ConnectAdmission& admission() { return admission_; }

  // Of lines that a client can cause as often as it likes: the level of the next one. What comes faster is for those who look at that client.
  LogLevel refusal_log_level();

 private:
  friend class Broker;
  class Context;

  // A message for slots of another worker's table.
  struct RemoteDelivery {
    Message::Ref message;
    std::uint32_t first_slot;  // in RemoteBatch::slots
    std::uint32_t slot_count;
    std::uint64_t group = 0;  // one member of it is meant; 0: all behind the slots
  };

  // What waits for a delivery, if the other worker has persistent sessions.
  struct RemoteKeep {
    std::size_t delivery;  // in RemoteBatch::deliveries
    PendingAck::Hold hold;
    std::shared_ptr<ExactlyOnce> exactly_once;  // shared by the workers while their parts are made
    WorkerId publisher{};
  };

  struct RemoteBatch {
    std::vector<RemoteDelivery> deliveries;
    std::vector<SlotTarget> slots;
    std::vector<RemoteKeep> keeps;  // in the order of the deliveries
    std::size_t bytes = 0;          // of the messages
  };

  // How what one publish leaves in queues is kept: its acknowledgement waits for the batch of this worker, or its rows go elsewhere.
  struct Keeper {
    Context* context = nullptr;                 // on the publisher's worker
    PendingAck::Hold* hold = nullptr;           // elsewhere
    ExactlyOnce::Part* exactly_once = nullptr;  // QoS 2
  };

  // A persistent session that is to get the message under way.
  struct QueueTarget {
    Session* session;
    mqtt::Qos qos;
    bool retain;
    std::uint32_t first_id;  // in queue_ids_
    std::uint32_t id_count;
    std::uint32_t share_slot;
  };

  // Several filters of one client may match: what they want together.
  struct Merged {
    Session* session;
    mqtt::Qos qos;
    bool retain;
  };

  // Keeps it as the topic's retained message; false if a limit is in the way.
  bool retain(Context& context);
  // Each: how many got it.
  std::uint32_t deliver_to_subscribers(
      const MatchSet& matches, std::uint64_t topic_hash, Context& context, Keeper& keeper
  );
  std::uint32_t call_consumers(const MatchSet& matches, Context& context);
  std::uint32_t call_basic_ingest(Context& context);
  std::uint32_t deliver_local(
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      std::span<const SlotTarget> slots,
      const void* from_session,
      Keeper& keeper
  );
  bool deliver_or_collect(
      Session& session,
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      FrameCache& frames,
      const DeliveryOptions& options
  );
  // To the persistent sessions collected; returns how many took it.
  std::uint32_t deliver_to_queues(
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      FrameCache& frames,
      Keeper& keeper
  );
  std::uint32_t queue_group(
      std::span<const QueueTarget> targets, QueuedDelivery& delivery, const QueueRows& rows
  );
  std::uint32_t deliver_merged(
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      std::span<const SlotTarget> slots,
      const void* from_session,
      FrameCache& frames,
      Keeper& keeper
  );
  // To one member on this worker, or passed on to other workers. False if nobody can take it.
  bool deliver_to_group(
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      const SlotTarget& target,
      Keeper& keeper
  );
  // To one of the members on this worker, one that takes it at once if there is any; to one that has it wait only if `may_wait`.
  bool deliver_to_one_member(
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      std::uint32_t slot,
      bool may_wait,
      Keeper& keeper
  );
  bool deliver_to_member(
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      std::uint32_t slot,
      std::size_t member,
      Keeper& keeper
  );
  void offer(SharedMessage shared);
  void merge(const Subscriber& subscriber, const PublishView& publish);
  bool is_still_meant(SlotTarget target, std::string_view topic);
  void deliver_remote_batch(RemoteBatch& batch);
  // Whether the rows of a QoS 2 publish need a commit of their own: they lie with several workers, or others have to keep it first.
  bool needs_own_commit(
      const Publisher& publisher, const PublishView& publish, const MatchSet& matches, bool ingest
  ) const;
  bool spans_workers(const MatchSet& matches) const;
  void keep_remote(WorkerId worker, Context& context);
  // The member of a group whose turn it is; null if there is none.
  const GroupMember* choose_member(std::span<const GroupMember> group);
  // The same, of the group with that id as it is now, and whether the group has members on other workers than that one's.
  const GroupMember* choose_member_now(
      std::uint64_t group, const PublishView& publish, bool& elsewhere
  );
  void deliver_remote(
      const RemoteDelivery& delivery, std::span<const SlotTarget> slots, RemoteKeep* keep
  );
  void on_part(const std::shared_ptr<ExactlyOnce>& publish, ExactlyOnce::Part part);
  void commit_exactly_once(ExactlyOnce& publish);
  // Behind what the session has published before and what is not committed yet.
  void put_in_order(const Publisher& publisher, const std::shared_ptr<ExactlyOnce>& publish);
  void give_up(ExactlyOnce& publish);
  std::uint32_t send_to_workers(const MatchSet& matches, Context& context);
  // Chooses a member's worker for each group; this worker's slots are added to `here`. Returns how many went to others.
  std::uint32_t choose_group_workers(
      const MatchSet& matches, Context& context, std::vector<SlotTarget>& here
  );
  // False: too much is on its way there already, and the message is one that may be dropped.
  bool add_remote(
      WorkerId worker, SlotTarget target, const Message::Ref& message, std::uint64_t group = 0
  );
  void run_later();
  void send_remote_batches();

  Broker& broker_;
  WorkerId id_;
  TimerWheel& timers_;
  KeepAlives keep_alives_;
  MonotonicTime now_ = {};
  Instant instant_ = {};
  SubscriberTable subscribers_;
  ClientTable clients_;
  std::unique_ptr<WorkerSessions> sessions_;
  std::unique_ptr<ClientTraces> traces_;
  TopicCache cache_;
  FrameCache::Arenas frame_arenas_;
  std::vector<RemoteBatch> remote_;
  std::vector<WorkerId> remote_touched_;
  std::vector<SlotTarget> target_slots_;  // scratch
  std::vector<Merged> merged_;            // scratch
  std::vector<std::pair<std::uint32_t, std::uint32_t>>
      merged_ids_;  // scratch: entry of merged_, subscription id
  std::vector<std::uint32_t> id_scratch_;
  std::uint64_t delivery_stamp_ = 0;
  std::uint64_t group_turn_ = 0;
  std::uint64_t session_number_ = 0;
  std::string session_id_prefix_;
  std::string property_scratch_;
  std::string row_scratch_;
  std::vector<QueueTarget> queue_targets_;  // scratch
  std::vector<std::uint32_t> queue_ids_;    // scratch: subscription ids of the targets
  std::vector<OwnedPublish> later_;
  std::size_t later_next_ = 0;
  TurnBatch turn_;
  // The last of each session that is not committed yet; shared with the workers that make its parts.
  std::unordered_map<const void*, std::shared_ptr<ExactlyOnce>> uncommitted_;
  WorkerCounters counters_;
  LimitCounters limits_;
  RateLimit refusals_logged_;
  Traffic traffic_;
  ConnectAdmission admission_;
  std::shared_ptr<WorkerLifeline> lifeline_;  // shared with what waits for the worker
  std::unique_ptr<Housekeeper> housekeeper_;  // of the first worker
};

}  // namespace iotcore::broker
