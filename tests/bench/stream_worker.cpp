#include "tests/bench/stream_worker.h"

#include "tests/bench/process.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace iotcore::bench {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kBatchBytes = 256 * 1024;

PublishBatch batch_for(const Options& options, const StreamPlan& plan) {
  const PublishBatch::Shape shape = {
      .version = static_cast<int>(options.version),
      .qos = plan.qos,
      .retain = plan.retain,
      .topic_bytes = plan.topics.width(),
      .payload_bytes = plan.payload_bytes};
  const auto frame_bytes = plan.payload_bytes + plan.topics.width() + 16;
  const auto most = std::max<std::size_t>(1, kBatchBytes / frame_bytes);
  return {shape, plan.rate > 0 ? 1 : std::min<std::size_t>(plan.window, most)};
}

void bump(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

StreamWorker::StreamWorker(
    StreamRun& run, std::uint32_t number, Clients& publishers, Clients& subscribers
)
    : run_(run),
      plan_(run.plan),
      number_(number),
      threads_(run.options.threads),
      version_(static_cast<int>(run.options.version)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      batch_(batch_for(run.options, plan_)),
      to_wake_(threads_) {
  buffer_.resize(std::max(kReadBytes, 4 * batch_.frame_bytes()));
  epoll_event event = {.events = EPOLLIN, .data = {.ptr = nullptr}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_fd_, &event);
  for (auto i = number; i < publishers.size(); i += threads_) {
    auto& client = *publishers[i];
    client.link.move_to(epoll_, &client);
    const auto window = plan_.qos == 0
                            ? plan_.window
                            : std::min<std::uint32_t>(plan_.window, client.receive_maximum);
    const auto topics = plan_.order.empty() ? plan_.topics.size() : plan_.order.size();
    publishers_.push_back(
        {.client = &client, .window = window, .topic = static_cast<std::uint32_t>(i % topics)}
    );
  }
  for (auto i = number; i < subscribers.size(); i += threads_) {
    subscribers[i]->link.move_to(epoll_, subscribers[i].get());
    subscribers_.push_back(subscribers[i].get());
  }
  const auto slots = plan_.wiring == Wiring::kAll ? subscribers_.size() : 1;
  had_.resize(publishers.size() * slots);
  at_floor_.assign(publishers.size(), static_cast<std::uint32_t>(slots));
  reached_ = std::make_unique<std::atomic<std::uint32_t>[]>(publishers.size());
}

StreamWorker::~StreamWorker() {
  ::close(wake_fd_);
  ::close(epoll_);
}

void StreamWorker::wake() {
  const std::uint64_t one = 1;
  if (::write(wake_fd_, &one, sizeof(one)) < 0) {
    return;  // full: it is awake already
  }
}

void StreamWorker::loop() {
  if (plan_.sleeps) {
    const sched_param first = {.sched_priority = 1};
    ::sched_setscheduler(
        0, SCHED_FIFO, &first
    );  // refused to who is not root: then it is one among others
  }
  if (plan_.rate > 0) {
    next_due_ns_ = now_ns();
    due_ns_ = static_cast<double>(next_due_ns_);
  } else {
    pump_all();
  }
  while (!run_.stopping.load(std::memory_order_relaxed)) {
    turn(timeout_ms());
    if (plan_.rate > 0 && run_.publishing.load(std::memory_order_relaxed)) {
      send_due();
    }
  }
}

int StreamWorker::timeout_ms() const {
  if (!run_.publishing.load(std::memory_order_relaxed)) {
    return 10;
  }
  // Spins when it has times to keep: a sleeping generator would measure its own waking up.
  return plan_.rate > 0 ? 0 : 100;
}

int StreamWorker::wait(int timeout_ms) {
  const auto most = static_cast<int>(events_.size());
  if (!plan_.sleeps || !run_.publishing.load(std::memory_order_relaxed)) {
    return ::epoll_wait(epoll_, events_.data(), most, timeout_ms);
  }
  const auto now = now_ns();
  const timespec left = {
      .tv_sec = 0, .tv_nsec = next_due_ns_ > now ? static_cast<long>(next_due_ns_ - now) : 0};
  return ::epoll_pwait2(epoll_, events_.data(), most, &left, nullptr);
}

void StreamWorker::turn(int timeout_ms) {
  const int n = wait(timeout_ms);
  for (int i = 0; i < n; ++i) {
    const auto event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      std::uint64_t count = 0;
      if (::read(wake_fd_, &count, sizeof(count)) > 0) {
        pump_all();
      }
      continue;
    }
    auto& client = *static_cast<Client*>(event.data.ptr);
    if (client.link.has_output()) {
      if (!client.link.flush()) {
        fail(fmt::format("{}: the server closed the connection", client.id));
      }
      if (client.role == Client::Role::kPublisher) {
        mark_dirty(client.index);
      }
    }
    if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
      read(client);
    }
    pump_dirty();
  }
  for (std::uint32_t t = 0; t < threads_; ++t) {
    if (to_wake_[t]) {
      to_wake_[t] = false;
      run_.workers[t]->wake();
    }
  }
  if (!run_.publishing.load(std::memory_order_relaxed) || plan_.limit > 0) {
    count_outstanding();
  }
}

void StreamWorker::read(Client& client) {
  auto& partial = client.link.partial();
  do {
    auto have = partial.size();
    std::memcpy(buffer_.data(), partial.data(), have);
    const auto got = client.link.receive(buffer_.data() + have, buffer_.size() - have);
    if (got < 0) {
      return;
    }
    if (got == 0) {
      fail(fmt::format("{}: the server closed the connection", client.id));
    }
    if (plan_.rate > 0) {
      received_ns_ = now_ns();
    }
    have += static_cast<std::size_t>(got);
    const std::uint8_t* at = buffer_.data();
    const std::uint8_t* end = at + have;
    FrameView frame;
    Framing framing = Framing::kWhole;
    while ((framing = next_frame(at, end, frame)) == Framing::kWhole) {
      on_frame(client, frame);
      at += frame.size_bytes;
    }
    if (framing == Framing::kMalformed) {
      fail(fmt::format("{}: malformed packet", client.id));
    }
    partial.assign(reinterpret_cast<const char*>(at), static_cast<std::size_t>(end - at));
    if (!acks_.empty()) {
      client.link.send(acks_);
      acks_.clear();
    }
  } while (client.link.has_hidden_input());
}

void StreamWorker::on_frame(Client& client, const FrameView& frame) {
  const auto kind = frame.kind();
  if (kind == kPublish) {
    on_delivery(client, frame);
    return;
  }
  const auto body = frame.body();
  if (body.size() < 2) {
    if (kind != kPingresp) {
      fail(fmt::format("{}: unexpected packet {:#04x}", client.id, frame.first()));
    }
    return;
  }
  if (body.size() > 2 && body[2] >= 0x80) {
    fail(fmt::format("{}: refused with reason {:#04x}", client.id, body[2]));
  }
  if (kind == kPuback || kind == kPubcomp) {
    if (client.role == Client::Role::kPublisher) {
      ++at(client.index).acknowledged;
      mark_dirty(client.index);
    }
  } else if (kind == kPubrec) {
    put_ack(acks_, kPubrel, load_u16(body.data()));
  } else if (kind == (kPubrel & 0xF0)) {
    put_ack(acks_, kPubcomp, load_u16(body.data()));
  } else {
    fail(fmt::format("{}: unexpected packet {:#04x}", client.id, frame.first()));
  }
}

void StreamWorker::on_delivery(const Client& client, const FrameView& frame) {
  PublishView message;
  Stamp stamp;
  if (!read_publish(frame, version_, message) || message.payload.size() < sizeof(stamp)) {
    fail(fmt::format("{}: malformed PUBLISH", client.id));
  }
  std::memcpy(&stamp, message.payload.data(), sizeof(stamp));
  if (stamp.publisher >= run_.publishers) {
    fail(fmt::format("{}: a message that nobody here sent", client.id));
  }
  if (frame.qos() > 0) {
    put_ack(acks_, frame.qos() == 1 ? kPuback : kPubrec, message.packet_id);
  }
  bump(deliveries_, 1);
  if (plan_.rate > 0 && stamp.due_ns >= run_.measured_from_ns.load(std::memory_order_relaxed)) {
    latencies_.add(received_ns_ > stamp.due_ns ? received_ns_ - stamp.due_ns : 0);
  }
  if (plan_.wiring == Wiring::kAll) {
    count_for_all(client, stamp);
    return;
  }
  auto& had = had_[stamp.publisher];
  if (plan_.wiring == Wiring::kPair && stamp.sequence != had) {
    ++disorder_;
  }
  reached_[stamp.publisher].store(++had, std::memory_order_relaxed);
  mark_dirty(stamp.publisher);
}

// Keeps the count that the slowest of this thread's subscribers has reached, looking at all of them
// only when the last of those that stood there has moved on.
void StreamWorker::count_for_all(const Client& client, const Stamp& stamp) {
  auto* const first = &had_[stamp.publisher * subscribers_.size()];
  auto& had = first[client.index / threads_];
  if (stamp.sequence != had) {
    ++disorder_;
  }
  const auto floor = reached(stamp.publisher);
  if (had++ != floor || --at_floor_[stamp.publisher] > 0) {
    return;
  }
  const auto* const last = first + subscribers_.size();
  const auto slowest = *std::min_element(first, first + subscribers_.size());
  at_floor_[stamp.publisher] =
      static_cast<std::uint32_t>(std::count(static_cast<const std::uint32_t*>(first), last, slowest)
      );
  reached_[stamp.publisher].store(slowest, std::memory_order_relaxed);
  mark_dirty(stamp.publisher);
}

void StreamWorker::mark_dirty(std::uint32_t publisher) {
  if (const auto home = publisher % threads_; home != number_) {
    to_wake_[home] = true;
    return;
  }
  auto& state = at(publisher);
  if (!state.dirty) {
    state.dirty = true;
    dirty_.push_back(publisher);
  }
}

void StreamWorker::pump_dirty() {
  for (const auto index : dirty_) {
    at(index).dirty = false;
    pump(at(index));
  }
  dirty_.clear();
}

void StreamWorker::pump_all() {
  for (auto& publisher : publishers_) {
    pump(publisher);
  }
}

// Messages that are done with: they have reached every subscriber and, from QoS 1 on, are
// acknowledged.
std::uint32_t StreamWorker::completed(const Publisher& publisher) const {
  const auto index = publisher.client->index;
  std::uint32_t count = publisher.sent;
  if (plan_.wiring == Wiring::kAll) {
    for (const auto& worker : run_.workers) {
      count = worker->has_subscribers() ? std::min(count, worker->reached(index)) : count;
    }
  } else if (plan_.wiring != Wiring::kNobody) {
    count = 0;
    for (const auto& worker : run_.workers) {
      count += worker->reached(index);
    }
  }
  return plan_.qos > 0 ? std::min(count, publisher.acknowledged) : count;
}

void StreamWorker::pump(Publisher& publisher) {
  if (plan_.rate > 0 || !run_.publishing.load(std::memory_order_relaxed)) {
    return;
  }
  const auto open = publisher.sent - completed(publisher);
  auto credit = publisher.window > open ? publisher.window - open : 0;
  if (plan_.limit > 0) {
    credit = std::min(credit, plan_.limit - publisher.sent);
  }
  while (credit > 0 && !publisher.client->link.has_output()) {
    const auto count = std::min(credit, static_cast<std::uint32_t>(batch_.capacity()));
    publish(publisher, count, 0);
    credit -= count;
  }
}

void StreamWorker::publish(Publisher& publisher, std::uint32_t count, std::uint64_t due_ns) {
  Stamp stamp = {.publisher = publisher.client->index, .sequence = 0, .due_ns = due_ns};
  for (std::uint32_t i = 0; i < count; ++i) {
    auto topic = publisher.topic;
    if (!plan_.order.empty()) {
      topic = plan_.order[topic];
      publisher.topic += run_.publishers;
      if (publisher.topic >= plan_.order.size()) {
        publisher.topic %= static_cast<std::uint32_t>(plan_.order.size());
      }
    }
    stamp.sequence = publisher.sent++;
    const auto packet_id = static_cast<std::uint16_t>(stamp.sequence % 65535 + 1);
    batch_.set(i, plan_.topics[topic], packet_id, stamp);
  }
  bump(sent_, count);
  if (!publisher.client->link.send({batch_.data(), count * batch_.frame_bytes()})) {
    fail(fmt::format("{}: the server closed the connection", publisher.client->id));
  }
}

void StreamWorker::send_due() {
  const auto share = static_cast<double>(publishers_.size()) / run_.publishers;
  const double interval_ns = 1e9 / (plan_.rate * share);
  const auto now = now_ns();
  while (!publishers_.empty() && next_due_ns_ <= now) {
    publish(publishers_[next_publisher_], 1, next_due_ns_);
    next_publisher_ = (next_publisher_ + 1) % publishers_.size();
    due_ns_ += interval_ns;
    next_due_ns_ = static_cast<std::uint64_t>(due_ns_);
  }
}

void StreamWorker::count_outstanding() {
  std::uint64_t open = 0;
  for (const auto& publisher : publishers_) {
    open += publisher.sent - completed(publisher);
    if (run_.publishing.load(std::memory_order_relaxed) && plan_.limit > 0) {
      open += plan_.limit - publisher.sent;
    }
  }
  outstanding_.store(open, std::memory_order_relaxed);
}

}  // namespace iotcore::bench
