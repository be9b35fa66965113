#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/result.h"
#include "store/store.h"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace iotcore::rules {

// The built-in target of sqs actions: standard queues as SQS has them, in the store. A message stays until it is deleted or too old; one that was received is
// hidden until its time is over. Who has received what is forgotten when the server ends: what was hidden is there again then.
class MessageQueues {
 public:
  struct Limits {
    std::size_t messages_max = 1'000'000;  // of one queue
    std::size_t queues_max = 1'000;
    std::chrono::milliseconds retention = std::chrono::hours(4 * 24);
  };

  struct Message {
    std::string id;
    std::string receipt;
    std::string body;
    std::int64_t sent_ms = 0;
    std::int64_t first_received_ms = 0;
    std::uint32_t receives = 0;
  };

  struct Counts {
    std::size_t visible = 0;
    std::size_t hidden = 0;
    std::int64_t created_ms = 0;
  };

  using Received = Function<void(Result<std::vector<Message>>)>;

  MessageQueues(store::Store& store, const Clock& clock, Limits limits);
  ~MessageQueues();
  MessageQueues(const MessageQueues&) = delete;
  MessageQueues& operator=(const MessageQueues&) = delete;

  // Blocks. Before everything else.
  Status load();

  // These block; what they did is durable when they return. kInvalidRequest: not the name of a queue.
  Status create(std::string_view queue);
  // kNotFound if there is no such queue, here and below.
  Status remove(std::string_view queue);
  Status purge(std::string_view queue);
  Status wipe();
  // Makes the queue if there is none. The ids of the messages. kQuotaExceeded: the queue is full.
  Result<std::vector<std::string>> send(
      std::string_view queue, std::span<const std::string_view> bodies
  );
  Status erase(std::string_view queue, std::string_view receipt);
  Status set_visibility(
      std::string_view queue, std::string_view receipt, std::chrono::seconds hidden
  );

  // At most `count` messages, hidden for so long; answers at once if there are any, else when there are or when the time is over. Called on any thread.
  void receive(
      std::string_view queue,
      std::size_t count,
      std::chrono::seconds hidden,
      std::chrono::seconds wait,
      Received done
  );

  Result<Counts> counts(std::string_view queue);
  std::vector<std::string> list(std::string_view prefix);

  // The name of the queue in a URL: what follows the last slash. kInvalidRequest: there is none, or one of .fifo, which rules cannot send to.
  static Result<std::string> name_in(std::string_view url);

 private:
  struct State;
  struct Queue;
  struct Taken;
  struct Waiter;

  Queue* find(std::string_view queue);
  Result<Queue*> find_or_make(std::string_view queue, store::Batch& batch);
  void note_kept(std::string_view queue);
  std::vector<Taken> take(Queue& queue, std::size_t count, std::chrono::seconds hidden);
  Result<std::vector<Message>> read(const std::string& queue, std::vector<Taken> taken);
  void drop_old(const std::string& name, Queue& queue, store::Batch& batch);
  void serve();

  store::Store& store_;
  const Clock& clock_;
  const Limits limits_;
  std::mutex mutex_;  // and what follows
  std::condition_variable changed_;
  std::map<std::string, std::unique_ptr<Queue>, std::less<>> queues_;
  std::vector<Waiter> waiters_;
  bool stopping_ = false;
  std::thread thread_;  // answers those who wait
};

}  // namespace iotcore::rules
