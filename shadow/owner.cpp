#include "shadow/owner.h"

#include "base/log.h"
#include "broker/topic_tree.h"
#include "broker/worker_broker.h"
#include "shadow/document/names.h"
#include "shadow/rows.h"
#include "shadow/turn_commit.h"
#include "store/keys.h"

#include <algorithm>
#include <utility>

namespace iotcore::shadow {
namespace {

Error rate_exceeded() {
  return {Errc::kThrottled, "Rate exceeded"};
}

}  // namespace

std::size_t Request::bytes() const {
  // What it costs besides its message.
  constexpr std::size_t kOverhead = 512;
  const broker::PublishView& view = message->view();
  return kOverhead + view.topic.size() + view.payload.size();
}

std::size_t Answer::bytes() const {
  return request.bytes() + (body ? body->size() : 0) + documents.size() +
         (delta ? delta->size() : 0);
}

void TurnCommit::on_complete(PendingAck& self, std::optional<Errc> failure) {
  auto& commit = static_cast<TurnCommit&>(self);
  const auto finish = [&commit, failure] {
    if (commit.owner_ != nullptr) {
      commit.owner_->committed(commit, !failure);
    }
    delete &commit;
  };
  if (commit.owner_ == nullptr || commit.owner_->worker().is_current()) {
    finish();
  } else {
    commit.owner_->worker().executor().post(finish);
  }
}

Owner::Owner(
    const ServiceOptions& options,
    const SettingsTable& settings,
    broker::Broker& broker,
    WorkerId worker
)
    : options_(options),
      settings_(settings),
      broker_(broker),
      worker_(worker),
      cache_(options.cache_bytes_max / std::max<std::size_t>(broker.workers().count(), 1)),
      metrics_(broker.metrics()) {}

Owner::~Owner() {
  for (TurnCommit* commit : commits_) {
    commit->abandon();
  }
}

broker::WorkerBroker& Owner::worker() {
  return broker_.workers().broker(worker_);
}

std::int64_t Owner::now_s() const {
  return to_epoch_s(broker_.clock().wall());
}

std::uint64_t Owner::tombstone_version(const Shadow& shadow) const {
  if (!shadow.tombstone ||
      now_s() - shadow.tombstone->deleted_at_s >= options_.tombstone_life.count()) {
    return 0;
  }
  return shadow.tombstone->version;
}

void Owner::serve(std::vector<Request> requests) {
  for (Request& request : requests) {
    serve_one(std::move(request));
  }
  finish_turn();
}

void Owner::finish_turn() {
  write_dirty();
  start_loads();
  metrics_.cached.set(static_cast<std::int64_t>(cache_.size()));
  metrics_.cached_bytes.set(static_cast<std::int64_t>(cache_.bytes()));
  metrics_.waiting_bytes.set(static_cast<std::int64_t>(waiting_bytes_));
  metrics_.stale.set(static_cast<std::int64_t>(watch_list_.stale()));
  metrics_.overdue.set(static_cast<std::int64_t>(watch_list_.overdue()));
}

void Owner::serve_one(Request request) {
  if (const Status valid = validate_names(request.topic); !valid) {
    refuse(std::move(request), valid.error());
    return;
  }
  Shadow* shadow = cache_.find(request.topic.prefix);
  if (is_overloaded(shadow, request.topic.operation)) {
    refuse(std::move(request), rate_exceeded());
    return;
  }
  if (shadow == nullptr) {
    shadow = &cache_.insert(request.topic);
    load(*shadow);
  }
  if (shadow->readable()) {
    apply(*shadow, std::move(request));
  } else {
    wait(*shadow, std::move(request));
  }
}

bool Owner::is_overloaded(const Shadow* shadow, Operation operation) const {
  if (shadow != nullptr && shadow->idle() && operation == Operation::kGet) {
    return false;
  }
  if (waiting_bytes_ >= options_.waiting_bytes_max) {
    return true;
  }
  return shadow != nullptr &&
         shadow->unanswered + (shadow->waiting == nullptr ? 0 : shadow->waiting->size()) >=
             options_.waiting_requests_max;
}

void Owner::refuse(Request request, Error error) {
  Answer answer{.request = std::move(request), .body = fail(std::move(error))};
  answer.client_token = document::client_token_of(
      answer.request.message->view().payload, options_.settings.document.limits
  );
  send(std::move(answer));
}

void Owner::wait(Shadow& shadow, Request request) {
  waiting_bytes_ += request.bytes();
  if (shadow.waiting == nullptr) {
    shadow.waiting = std::make_unique<std::deque<Request>>();
  }
  shadow.waiting->push_back(std::move(request));
}

void Owner::apply(Shadow& shadow, Request request) {
  Answer answer{.request = std::move(request), .body = std::string()};
  switch (answer.request.topic.operation) {
    case Operation::kGet:
      get(shadow, std::move(answer));
      break;
    case Operation::kUpdate:
      update(shadow, std::move(answer));
      break;
    case Operation::kDelete:
      erase(shadow, std::move(answer));
      break;
  }
  cache_.settle(shadow);
}

void Owner::get(Shadow& shadow, Answer answer) {
  answer.client_token = document::client_token_of(
      answer.request.message->view().payload, options_.settings.document.limits
  );
  if (shadow.document) {
    answer.body = document::get(*shadow.document, now_s(), answer.client_token);
  } else {
    answer.body = fail(document::no_such_shadow(shadow.thing, shadow.name));
  }
  unchanged(shadow, std::move(answer));
}

void Owner::update(Shadow& shadow, Answer answer) {
  document::ParsedUpdate parsed = document::parse_update(
      answer.request.message->view().payload, shadow.settings->document.limits
  );
  answer.client_token = std::move(parsed.client_token);
  if (!parsed.request) {
    answer.body = fail(std::move(parsed.request).error());
    send(std::move(answer));
    return;
  }
  Result<document::Applied> applied = document::apply_update(
      shadow.document ? &*shadow.document : nullptr,
      tombstone_version(shadow),
      *parsed.request,
      now_s(),
      shadow.settings->document,
      wanted_of(shadow, answer.request)
  );
  if (!applied) {
    answer.body = fail(std::move(applied).error());
    unchanged(shadow, std::move(answer));
    return;
  }
  answer.body = std::move(applied->accepted);
  answer.documents = std::move(applied->documents);
  answer.delta = std::move(applied->delta);
  const document::Record before = shadow.document && shadow.settings->is_watched()
                                      ? shadow.document->record()
                                      : document::Record();
  shadow.document = std::move(applied->document);
  shadow.tombstone.reset();
  changed(shadow, std::move(answer));
  keep_history(shadow);
  if (shadow.settings->is_watched()) {
    tell_recovery(shadow, before);
    plan(shadow);
  }
}

document::Wanted Owner::wanted_of(Shadow& shadow, const Request& request) {
  // Read first: a subscription that comes meanwhile makes what follows look older than it is.
  const std::uint64_t generation = broker_.tree().generation();
  if (shadow.wanted_generation != generation) {
    shadow.wanted = {
        .accepted = has_receivers(request, "/accepted"),
        .documents = has_receivers(request, "/documents"),
        .delta = has_receivers(request, "/delta"),
    };
    shadow.wanted_generation = generation;
  }
  document::Wanted wanted = shadow.wanted;
  wanted.accepted = wanted.accepted || request.call != nullptr;
  return wanted;
}

void Owner::erase(Shadow& shadow, Answer answer) {
  answer.client_token = document::client_token_of(
      answer.request.message->view().payload, options_.settings.document.limits
  );
  if (!shadow.document) {
    answer.body = fail(document::no_such_shadow(shadow.thing, shadow.name));
    unchanged(shadow, std::move(answer));
    return;
  }
  const std::int64_t now = now_s();
  document::Deleted deleted = document::apply_delete(*shadow.document, now, answer.client_token);
  answer.body = std::move(deleted.accepted);
  shadow.document.reset();
  shadow.tombstone = Tombstone{.version = deleted.tombstone_version, .deleted_at_s = now};
  changed(shadow, std::move(answer));
  watch_list_.forget(shadow.prefix);
  if (settings_.any_history()) {
    worker().turn().durable_rows({}).erase_prefix(
        store::Table::kShadows, history_of(shadow.thing, shadow.name)
    );
  }
}

void Owner::keep_history(Shadow& shadow) {
  const std::size_t kept = shadow.settings->history_versions;
  if (kept == 0) {
    return;
  }
  const std::uint64_t version = shadow.document->version();
  store::Batch& batch = worker().turn().durable_rows({});
  batch.put(
      store::Table::kShadows,
      history_key(shadow.thing, shadow.name, version),
      shadow.document->encode()
  );
  if (version <= kept) {
    return;
  }
  const std::string oldest = history_key(shadow.thing, shadow.name, version - kept);
  if (std::exchange(shadow.history_excess, false)) {
    batch.erase_range(
        store::Table::kShadows, oldest, store::prefix_end(history_of(shadow.thing, shadow.name))
    );
  } else {
    batch.erase(store::Table::kShadows, oldest);
  }
}

void Owner::changed(Shadow& shadow, Answer answer) {
  mark_dirty(shadow);
  answer_with_commit(shadow, std::move(answer));
}

void Owner::mark_dirty(Shadow& shadow) {
  shadow.commit = &commit_of_turn();
  if (!shadow.dirty) {
    shadow.dirty = true;
    dirty_.push_back(&shadow);
  }
}

void Owner::unchanged(Shadow& shadow, Answer answer) {
  if (shadow.commit == nullptr) {
    send(std::move(answer));
  } else {
    answer_with_commit(shadow, std::move(answer));
  }
}

void Owner::answer_with_commit(Shadow& shadow, Answer answer) {
  cache_.hold(shadow);
  ++shadow.unanswered;
  const std::size_t bytes = answer.bytes();
  waiting_bytes_ += bytes;
  shadow.commit->answers.push_back({&shadow, bytes, std::move(answer)});
}

TurnCommit& Owner::commit_of_turn() {
  const std::uint64_t number = worker().turn().number();
  if (commits_.empty() || number != last_commit_number_) {
    last_commit_number_ = number;
    auto* commit = new TurnCommit(*this);
    commits_.push_back(commit);
    worker().turn().durable_rows(commit->hold());
  }
  return *commits_.back();
}

void Owner::write_dirty() {
  if (dirty_.empty()) {
    return;
  }
  store::Batch& batch = worker().turn().durable_rows({});
  for (Shadow* shadow : dirty_) {
    const std::string key = document_key(shadow->thing, shadow->name);
    if (shadow->document) {
      batch.put(store::Table::kShadows, key, shadow->document->encode());
      if (std::exchange(shadow->tombstone_kept, false)) {
        batch.erase(store::Table::kShadows, tombstone_key(shadow->thing, shadow->name));
      }
    } else {
      batch.erase(store::Table::kShadows, key);
      batch.put(
          store::Table::kShadows,
          tombstone_key(shadow->thing, shadow->name),
          encode(*shadow->tombstone)
      );
      shadow->tombstone_kept = true;
    }
    shadow->dirty = false;
  }
  dirty_.clear();
}

void Owner::committed(TurnCommit& commit, bool ok) {
  std::erase(commits_, &commit);
  for (TurnCommit::Waiting& waiting : commit.answers) {
    Shadow& shadow = *waiting.shadow;
    Answer& answer = waiting.answer;
    waiting_bytes_ -= waiting.bytes;
    if (shadow.commit == &commit) {
      shadow.commit = nullptr;
    }
    if (!ok) {
      shadow.doubtful = true;
      if (answer.body && answer.request.topic.operation != Operation::kGet) {
        answer.request.hold.fail();
      }
      answer.body = fail(Errc::kUnavailable, "Internal service failure");
    }
    send(std::move(answer));
    if (--shadow.unanswered == 0) {
      settled(shadow);
    }
  }
  send_events(commit, ok);
  finish_turn();
}

void Owner::settled(Shadow& shadow) {
  if (!shadow.doubtful) {
    cache_.settle(shadow);
  } else if (shadow.look || (shadow.waiting != nullptr && !shadow.waiting->empty())) {
    shadow.doubtful = false;
    load(shadow);
  } else {
    cache_.erase(shadow);
  }
}

void Owner::forget_all() {
  watch_list_.clear();
  cache_.for_each([this](Shadow& shadow) {
    if (shadow.idle()) {
      cache_.erase(shadow);
    } else {
      shadow.doubtful = true;
    }
  });
}

}  // namespace iotcore::shadow
