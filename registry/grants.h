#pragma once

#include "base/clock.h"
#include "proto/record/principals.pb.h"
#include "registry/certificate_index.h"
#include "registry/options.h"
#include "registry/policy/compile.h"
#include "store/store.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::registry {

// What a custom authorizer adds to the rights of a certificate (CUSTOM_AUTH_X509), as it last said. Thread-safe.
class AddedPolicies {
 public:
  // Nothing: it has withdrawn what it allowed.
  void set(std::optional<std::vector<policy::NamedDocument>> documents) {
    const std::lock_guard lock(mutex_);
    documents_ = std::move(documents);
  }

  std::optional<std::vector<policy::NamedDocument>> get() const {
    const std::lock_guard lock(mutex_);
    return documents_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<std::vector<policy::NamedDocument>> documents_ =
      std::vector<policy::NamedDocument>();
};

// Who a device is on one connection, as far as its policies may ask; or an operator who connects like one. Does not change while the connection lasts.
struct DeviceFacts {
  std::string certificate_id;        // a device's
  std::string operator_resource;     // an operator's: "user/<name>" or "role/<name>"
  std::string access_key_id;         // with which the operator signed
  std::string authorizer_principal;  // of whom a custom authorizer let in
  std::string client_id;             // empty over HTTPS
  std::string source_ip;
  std::string server_name;  // SNI, or empty
  policy::Protocol protocol = policy::Protocol::kMqtt;
  bool persistent_connect = false;
  bool has_will = false;
  std::shared_ptr<AddedPolicies> added;  // may be null; second owner: the refresh of an authorizer

  // What the principal of the connection is called in logs and events.
  const std::string& principal() const {
    return !authorizer_principal.empty() ? authorizer_principal
           : operator_resource.empty()   ? certificate_id
                                         : access_key_id;
  }
};

// What a device may do at this moment. Immutable.
struct Grants {
  policy::BoundPolicies policies;
  std::string thing_name;  // the associated thing (auth.md section 7), or empty
  WallTime not_after;      // of the certificate; an operator's have no end
  // Of the thing, as policy targets: a change of theirs changes these.
  std::vector<std::string> groups;
  // What the thing's type has put into each message of the device (propagatingAttributes): user properties, encoded as in a property block.
  std::string message_properties = {};
  std::string thing_type = {};  // or empty
};

// Works out what a device may do from the rows of its certificate, things, groups and policies. Blocking; any thread.
class GrantReader {
 public:
  using Compiled = std::shared_ptr<const policy::CompiledPolicies>;

  // `index` may be null: then the store is asked for every certificate.
  GrantReader(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      CertificateIndex* index = nullptr
  )
      : store_(store), clock_(clock), options_(options), index_(index) {}

  // kNotAuthorized, with the detail "code" (auth.md section 3), if the certificate is unknown, not ACTIVE or out of its time; with the detail
  // kMayRegister if automatic registration may change that.
  Result<Grants> read(const DeviceFacts& facts);
  // The same refusals as far as memory tells, without asking the store: for workers, too.
  Status check_certificate(const DeviceFacts& facts) const;

  // The parts of it, for those who ask what a device could do.

  // The thing that has the principal exclusively; else the one named like the client id, if the principal is attached to it.
  Result<std::optional<policy::ThingFacts>> associated_thing(
      std::string_view principal, std::string_view client_id
  );
  // Appends the groups that a thing is in and their parents, as policy targets ("thinggroup/<name>").
  Status add_groups_of(std::string_view thing, std::vector<std::string>& targets);
  // The names of the policies of all targets, each once, those of the first target first.
  Result<std::vector<std::string>> policy_names(const std::vector<std::string>& targets);
  // Of an operator: those that are attached, and the one of the role. kNotAuthorized if there is no such user.
  Result<std::vector<std::string>> operator_policy_names(std::string_view resource);
  // Of these policies those that there are, in their default versions.
  Result<Compiled> compiled(const std::vector<std::string>& policy_names);

 private:
  Result<std::string> message_properties(const DeviceFacts& facts, const policy::ThingFacts& thing);
  Result<Grants> read_operator(const DeviceFacts& facts);
  // Of one device: with what an authorizer has added.
  Result<Compiled> compiled_for(
      const DeviceFacts& facts, const std::vector<std::string>& policy_names
  );
  static Result<std::vector<policy::NamedDocument>> documents_of(
      const std::vector<std::string>& names, const std::vector<std::optional<store::Row>>& rows
  );

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  CertificateIndex* const index_;

  // By names and revisions: devices that have the same policies share one compiled form.
  std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<const policy::CompiledPolicies>> compiled_;
  std::size_t sweep_at_ = 0;  // entries with which those that nobody uses any more are looked for
};

// What policies may ask about a device. `certificate` may be null; `thing` does not count over HTTPS.
policy::Context context_of(
    const DeviceFacts& facts,
    const record::Certificate* certificate,
    std::optional<policy::ThingFacts> thing,
    const Clock& clock
);

}  // namespace iotcore::registry
