#include "shadow/service.h"

#include "base/log.h"
#include "broker/on_all_workers.h"
#include "broker/worker_broker.h"
#include "broker/workers.h"
#include "registry/keys.h"
#include "shadow/owner.h"
#include "shadow/request_consumer.h"
#include "shadow/rows.h"
#include "store/keys.h"
#include "store/store.h"

#include <utility>

namespace iotcore::shadow {
namespace {

// The worker whose timer it is that old tombstones are swept by.
constexpr WorkerId kSweeper = WorkerId(0);

// What is told of differences, documents have to know.
ServiceOptions with_tracking(ServiceOptions options) {
  const auto track = [](ShadowSettings& settings) {
    settings.document.difference_tracked = settings.overdue_after.count() != 0;
  };
  track(options.settings);
  for (auto& [type, settings] : options.by_thing_type) {
    track(settings);
  }
  return options;
}

}  // namespace

Service::Service(ServiceOptions options, broker::Broker& broker)
    : options_(with_tracking(std::move(options))),
      broker_(broker),
      settings_(options_, broker.store()) {
  for (std::size_t i = 0; i < broker.workers().count(); ++i) {
    owners_.push_back(std::make_unique<Owner>(options_, settings_, broker, static_cast<WorkerId>(i))
    );
  }
  consumer_ = std::make_unique<RequestConsumer>(broker.workers(), owners_);
}

Service::~Service() {
  for (const broker::ConsumerId id : subscriptions_) {
    broker_.remove_consumer(id, nullptr);
  }
}

void Service::start() {
  for (const std::string_view filter : kRequestFilters) {
    subscriptions_.push_back(broker_.add_consumer(filter, *consumer_));
  }
  // Soon, too, so that a server that is restarted every day sweeps at all.
  broker_.workers().executor(kSweeper).post([this] { schedule_sweep(std::chrono::minutes(1)); });
  if (settings_.has_types()) {
    things_ = broker_.store().watch(
        registry::keys::kRegistry,
        registry::keys::things(),
        broker_.workers().blocking(),
        [this](const store::Change& change) { thing_changed(change); }
    );
  }
  if (settings_.any_watched()) {
    for (std::size_t i = 0; i < owners_.size(); ++i) {
      broker_.workers().executor(static_cast<WorkerId>(i)).post([&owner = *owners_[i]] {
        owner.start_watching();
      });
    }
    broker_.workers().blocking().post([this] {
      if (const Status found = find_watched(); !found) {
        log(LogLevel::kError, "shadow.watch_failed", {{"why", found.error().message()}});
      }
    });
  }
}

void Service::schedule_sweep(Duration in) {
  broker::Workers& workers = broker_.workers();
  workers.broker(kSweeper).timers().schedule(broker_.clock().now() + in, [this, &workers] {
    workers.blocking().post([this, &workers] {
      if (const Status swept = forget_old_tombstones(); !swept) {
        log(LogLevel::kWarn, "shadow.sweep_failed", {{"why", swept.error().message()}});
      }
      workers.executor(kSweeper).post([this] { schedule_sweep(std::chrono::hours(1)); });
    });
  });
}

void Service::get(const ShadowId& id, Done done) {
  call(id, Operation::kGet, {}, std::move(done));
}

void Service::update(const ShadowId& id, std::string_view payload, Done done) {
  call(id, Operation::kUpdate, payload, std::move(done));
}

void Service::erase(const ShadowId& id, Done done) {
  call(id, Operation::kDelete, {}, std::move(done));
}

void Service::call(const ShadowId& id, Operation operation, std::string_view payload, Done done) {
  std::string topic = topic_prefix(id.thing.view(), id.shadow.view());
  topic.append("/").append(name(operation));
  broker::PublishView view;
  view.topic = topic;
  view.payload = payload;
  view.origin = broker::Origin::kHttp;
  Request request;
  request.message = broker::Message::make(view);
  auto* api_call = new ApiCall(std::move(done));
  request.hold = api_call->hold();
  request.call = api_call;
  const auto parsed = parse_request_topic(request.message->view().topic);
  if (!parsed) {
    // A slash in a name makes another topic of it.
    api_call->set_answer(fail(Errc::kInvalidRequest, "Invalid thing name or shadow name"));
    return;
  }
  request.topic = *parsed;
  const WorkerId worker = broker_.workers().owner_of(parsed->thing);
  broker_.workers().executor(worker).post([&owner = *owners_[index(worker)],
                                           request = std::move(request)]() mutable {
    std::vector<Request> requests;
    requests.push_back(std::move(request));
    owner.serve(std::move(requests));
  });
}

Result<Service::NamedShadows> Service::list_named(
    const ThingName& thing, const ShadowName& after, std::size_t limit
) const {
  // The classic one has no name, so every name comes after it.
  const std::string from = store::key_after(document_key(thing.view(), after.view()));
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> found,
      broker_.store().scan(store::Table::kShadows, documents_of(thing.view()), from, limit + 1)
  );
  NamedShadows listed;
  for (const store::Entry& entry : found) {
    if (listed.names.size() == limit) {
      listed.more = true;
      break;
    }
    IOTCORE_ASSIGN(DocumentName name, document_name(entry.key));
    listed.names.emplace_back(std::move(name.shadow));
  }
  return listed;
}

Status Service::forget_old_tombstones() {
  constexpr std::size_t kRowsPerScan = 1000;
  store::Store& store = broker_.store();
  const std::int64_t now_s = to_epoch_s(broker_.clock().wall());
  std::string from;
  while (true) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        store.scan(store::Table::kShadows, store::Key(kTombstoneKind).view(), from, kRowsPerScan)
    );
    for (const store::Entry& row : rows) {
      IOTCORE_ASSIGN(const Tombstone tombstone, decode_tombstone(row.value));
      if (now_s - tombstone.deleted_at_s < options_.tombstone_life.count()) {
        continue;
      }
      store::Batch batch;
      // Its owner may have deleted the shadow once more meanwhile.
      batch.expect_revision(store::Table::kShadows, row.key, row.revision);
      batch.erase(store::Table::kShadows, row.key);
      store.commit(std::move(batch), nullptr, nullptr);
    }
    if (rows.size() < kRowsPerScan) {
      return {};
    }
    from = store::key_after(rows.back().key);
  }
}

void Service::wipe(Function<void(Status)> done) {
  store::Batch batch;
  batch.erase_prefix(store::Table::kShadows, "");
  if (const auto erased = broker_.store().commit_wait(std::move(batch)); !erased) {
    done(fail(erased.error()));
    return;
  }

  broker::run_on_all(
      broker_.workers(),
      [this](WorkerId worker) { owners_[index(worker)]->forget_all(); },
      [done = std::move(done)]() mutable { done({}); }
  );
}

}  // namespace iotcore::shadow
