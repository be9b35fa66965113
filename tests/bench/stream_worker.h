#pragma once

#include "tests/bench/streams.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <sys/epoll.h>
#include <vector>

namespace iotcore::bench {

class StreamWorker;

// What the threads of a run and the one that measures them share.
struct StreamRun {
  StreamRun(const Options& the_options, const StreamPlan& the_plan)
      : options(the_options), plan(the_plan) {}

  const Options& options;
  const StreamPlan& plan;
  std::uint32_t publishers = 0;
  std::vector<std::unique_ptr<StreamWorker>> workers;
  std::atomic<bool> publishing = true;
  std::atomic<bool> stopping = false;
  // Latencies count from this due time on.
  std::atomic<std::uint64_t> measured_from_ns = ~0ULL;
};

// One thread of the load: an epoll loop over its share of publishers and subscribers.
class alignas(64) StreamWorker {
 public:
  StreamWorker(StreamRun& run, std::uint32_t number, Clients& publishers, Clients& subscribers);
  ~StreamWorker();
  StreamWorker(const StreamWorker&) = delete;
  StreamWorker& operator=(const StreamWorker&) = delete;

  void loop();

  // For any thread.
  std::uint64_t deliveries() const { return deliveries_.load(std::memory_order_relaxed); }

  std::uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }

  // Messages of `publisher` that all of this thread's subscribers have had.
  std::uint32_t reached(std::uint32_t publisher) const {
    return reached_[publisher].load(std::memory_order_relaxed);
  }

  bool has_subscribers() const { return !subscribers_.empty(); }

  // Messages of this thread's publishers that have not reached everybody.
  std::uint64_t outstanding() const { return outstanding_.load(std::memory_order_relaxed); }

  void wake();

  // Once its thread has ended.
  std::uint64_t disorder() const { return disorder_; }

  const Latencies& latencies() const { return latencies_; }

 private:
  struct Publisher {
    Client* client = nullptr;
    std::uint32_t window = 0;
    std::uint32_t sent = 0;
    std::uint32_t acknowledged = 0;
    std::uint32_t topic = 0;  // its only one, or its place in the order
    bool dirty = false;
  };

  void turn(int timeout_ms);
  void read(Client& client);
  void on_frame(Client& client, const FrameView& frame);
  void on_delivery(const Client& client, const FrameView& frame);
  void count_for_all(const Client& client, const Stamp& stamp);
  void mark_dirty(std::uint32_t publisher);
  void pump_dirty();
  void pump_all();
  void pump(Publisher& publisher);
  void publish(Publisher& publisher, std::uint32_t count, std::uint64_t due_ns);
  void send_due();
  int timeout_ms() const;
  int wait(int timeout_ms);
  std::uint32_t completed(const Publisher& publisher) const;
  void count_outstanding();

  Publisher& at(std::uint32_t index) { return publishers_[index / threads_]; }

  StreamRun& run_;
  const StreamPlan& plan_;
  const std::uint32_t number_;
  const std::uint32_t threads_;
  const int version_;
  int epoll_;
  int wake_fd_;
  std::vector<Publisher> publishers_;
  std::vector<Client*> subscribers_;
  PublishBatch batch_;
  std::array<epoll_event, 512> events_;
  std::vector<std::uint8_t> buffer_;
  std::string acks_;
  std::vector<std::uint32_t> dirty_;
  std::vector<bool> to_wake_;

  // What this thread's subscribers have had: per publisher, with kAll per publisher and subscriber.
  std::vector<std::uint32_t> had_;
  std::vector<std::uint32_t> at_floor_;  // kAll: subscribers that have had no more than the slowest
  std::unique_ptr<std::atomic<std::uint32_t>[]> reached_;

  // Open loop.
  std::uint64_t next_due_ns_ = 0;
  double due_ns_ = 0;
  std::size_t next_publisher_ = 0;
  std::uint64_t received_ns_ = 0;

  std::atomic<std::uint64_t> deliveries_ = 0;
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<std::uint64_t> outstanding_ = ~0ULL;  // until counted
  std::uint64_t disorder_ = 0;
  Latencies latencies_;
};

}  // namespace iotcore::bench
