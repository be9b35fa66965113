#pragma once

#include "base/clock.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/policy/compile.h"
#include "store/store.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::registry {

// Who a device is on one connection, as far as its policies may ask. Does not change while the connection lasts.
struct DeviceFacts {
  std::string certificate_id;
  std::string client_id;  // empty over HTTPS
  std::string source_ip;
  std::string server_name;  // SNI, or empty
  policy::Protocol protocol = policy::Protocol::kMqtt;
  bool persistent_connect = false;
  bool has_will = false;
};

// What a device may do at this moment. Immutable.
struct Grants {
  policy::BoundPolicies policies;
  std::string thing_name;  // the associated thing (auth.md section 7), or empty
  WallTime not_after;      // of the certificate
  // Whose policies are in it, too: the groups of the thing and those above them.
  std::vector<std::string> groups = {};
};

// Works out what a device may do from the rows of its certificate, things and policies. Blocking; any thread.
class GrantReader {
 public:
  GrantReader(store::Store& store, const Clock& clock, const Options& options)
      : store_(store), clock_(clock), options_(options) {}

  // kNotAuthorized, with the detail "code" (auth.md section 3), if the certificate is unknown, not ACTIVE or out of its time.
  Result<Grants> read(const DeviceFacts& facts);

 private:
  using Compiled = std::shared_ptr<const policy::CompiledPolicies>;

  Status check(const record::Certificate& certificate) const;
  Result<std::optional<policy::ThingFacts>> associated_thing(const DeviceFacts& facts);
  // Adds the groups whose policies reach the thing.
  Status add_groups_of(std::string_view thing, std::vector<std::string>& groups);
  Result<Compiled> policies_of(const std::vector<std::string>& targets);
  Result<Compiled> compile(
      const std::vector<std::string>& names, const std::vector<std::optional<store::Row>>& rows
  ) const;

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;

  // By names and revisions: devices that have the same policies share one compiled form.
  std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<const policy::CompiledPolicies>> compiled_;
};

}  // namespace iotcore::registry
