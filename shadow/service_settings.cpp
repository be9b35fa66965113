// The parts of Service that bring settings and watched shadows to the owners.
#include "base/log.h"
#include "broker/workers.h"
#include "shadow/document/names.h"
#include "shadow/document/operations.h"
#include "shadow/owner.h"
#include "shadow/rows.h"
#include "shadow/service.h"
#include "store/keys.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

namespace iotcore::shadow {

void Service::thing_changed(const store::Change& change) {
  store::KeyReader reader(change.key);
  const auto kind = reader.kind();
  const auto thing = reader.text();
  // All things at once are erased together with their shadows.
  if (change.kind != store::Change::Kind::kRangeErased && kind && thing) {
    renew_settings(*thing);
  }
}

void Service::renew_settings(const std::string& thing) {
  const auto settings = settings_.of(std::span(&thing, 1));
  auto named = list_named(ThingName(thing), ShadowName(), std::numeric_limits<std::int32_t>::max());
  if (!settings || !named) {
    log(LogLevel::kError,
        "shadow.settings_unreadable",
        {{"thing", thing}, {"why", settings ? named.error().message() : settings.error().message()}}
    );
    return;
  }
  std::vector<std::string> prefixes = {topic_prefix(thing, "")};
  for (const ShadowName& name : named->names) {
    prefixes.push_back(topic_prefix(thing, name.view()));
  }
  const WorkerId worker = broker_.workers().owner_of(thing);
  broker_.workers().executor(worker).post([&owner = *owners_[index(worker)],
                                           prefixes = std::move(prefixes),
                                           settings = settings->front()] {
    owner.set_settings(prefixes, *settings);
  });
}

Status Service::find_watched() {
  constexpr std::size_t kRowsPerScan = 1000;
  std::string from;
  while (true) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        broker_.store().scan(
            store::Table::kShadows, store::Key(kDocumentKind).view(), from, kRowsPerScan
        )
    );
    IOTCORE_TRY(find_watched(rows));
    if (rows.size() < kRowsPerScan) {
      return {};
    }
    from = store::key_after(rows.back().key);
  }
}

Status Service::find_watched(const std::vector<store::Entry>& rows) {
  std::vector<DocumentName> names;
  std::vector<std::string> things;
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(DocumentName name, document_name(row.key));
    things.push_back(name.thing);
    names.push_back(std::move(name));
  }
  IOTCORE_ASSIGN(const auto settings, settings_.of(things));
  std::vector<std::vector<Owner::Watched>> found(owners_.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!settings[i]->is_watched()) {
      continue;
    }
    const Result<document::Document> document = document::Document::decode(rows[i].value);
    if (!document) {
      continue;  // its first request says so
    }
    found[index(broker_.workers().owner_of(things[i]))].push_back(
        {topic_prefix(names[i].thing, names[i].shadow), document->record(), settings[i]}
    );
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i].empty()) {
      broker_.workers()
          .executor(static_cast<WorkerId>(i))
          .post([&owner = *owners_[i], found = std::move(found[i])] { owner.watch(found); });
    }
  }
  return {};
}

Result<Service::History> Service::history(
    const ShadowId& id, std::uint64_t before, std::size_t limit
) const {
  const std::string thing = id.thing.str();
  IOTCORE_ASSIGN(const auto settings, settings_.of(std::span(&thing, 1)));
  const std::size_t kept = settings.front()->history_versions;
  if (kept == 0) {
    return fail(Errc::kNotFound, "No history is kept of shadows of this thing");
  }
  const std::string document = document_key(id.thing.view(), id.shadow.view());
  IOTCORE_ASSIGN(const auto current, broker_.store().get(store::Table::kShadows, document));
  if (!current) {
    return fail(document::no_such_shadow(id.thing.view(), id.shadow.view()));
  }
  IOTCORE_ASSIGN(const auto newest, document::Document::decode(current->value));
  const std::uint64_t first =
      before == 0 ? newest.version() : std::min(before - 1, newest.version());
  IOTCORE_ASSIGN(
      std::vector<store::Entry> rows,
      broker_.store().scan(
          store::Table::kShadows,
          history_of(id.thing.view(), id.shadow.view()),
          history_key(id.thing.view(), id.shadow.view(), first),
          limit + 1
      )
  );
  History history;
  for (store::Entry& row : rows) {
    IOTCORE_ASSIGN(document::Document version, document::Document::decode(std::move(row.value)));
    if (version.version() + kept <= newest.version()) {
      break;
    }
    if (history.versions.size() == limit) {
      history.more = true;
      break;
    }
    history.versions.push_back(std::move(version));
  }
  return history;
}

Result<std::string> Service::read_committed(const ShadowId& id) const {
  IOTCORE_TRY(document::validate_thing_name(id.thing.view()));
  if (!id.shadow.view().empty()) {
    IOTCORE_TRY(document::validate_shadow_name(id.shadow.view()));
  }
  IOTCORE_ASSIGN(
      auto row,
      broker_.store().get(store::Table::kShadows, document_key(id.thing.view(), id.shadow.view()))
  );
  if (!row) {
    return fail(document::no_such_shadow(id.thing.view(), id.shadow.view()));
  }
  IOTCORE_ASSIGN(const auto document, document::Document::decode(std::move(row->value)));
  return document::get(document, to_epoch_s(broker_.clock().wall()), {});
}

}  // namespace iotcore::shadow
