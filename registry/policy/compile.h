#pragma once

#include "registry/policy/action.h"
#include "registry/policy/context.h"
#include "registry/policy/decision.h"
#include "registry/policy/document.h"
#include "registry/policy/evaluate.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

class CompiledPolicies;

// A set of policies bound to one connection: what its variables stand for and which statements its
// circumstances leave alive. A decision compares bytes and allocates nothing. Const use from any
// thread.
class BoundPolicies {
 public:
  BoundPolicies(BoundPolicies&& other) noexcept;
  BoundPolicies& operator=(BoundPolicies&& other) noexcept;
  ~BoundPolicies();

  // `name`: topic, filter, client id, thing …: what follows "topic/" in the ARN.
  Decision decide(Action action, std::string_view name) const;
  // Of any action and whole ARNs.
  Decision decide(std::string_view action, std::span<const std::string_view> resources) const;

  const CompiledPolicies& policies() const { return *policies_; }

 private:
  friend class CompiledPolicies;
  explicit BoundPolicies(std::shared_ptr<const CompiledPolicies> policies);
  template <typename MatchesResource>
  bool statement_matches(std::size_t index, const MatchesResource& matches_resource) const;

  // Shared by every connection that has the same policies in the same versions.
  std::shared_ptr<const CompiledPolicies> policies_;
  // A bit for each statement that may match, then the ends of the variables' values, then their
  // bytes: one block, because every connection has one.
  std::unique_ptr<std::uint64_t[]> block_;
  // Only if a condition asks for the time.
  std::unique_ptr<const Context> context_;
};

// Policies of one principal (and of its thing's groups), compiled once per set of versions.
// Immutable; any thread.
class CompiledPolicies : public std::enable_shared_from_this<CompiledPolicies> {
 public:
  // `arn_prefix`: "arn:aws:iot:us-east-1:000000000000:".
  static std::shared_ptr<const CompiledPolicies> compile(
      std::vector<NamedDocument> policies, std::string_view arn_prefix
  );
  ~CompiledPolicies();

  // `context` is read now; a copy is kept only if a condition asks for the time.
  BoundPolicies bind(const Context& context) const;
  // Binds, decides and tells all about it: TestAuthorization, refusals' logs.
  Explanation explain(
      const Context& context, std::string_view action, std::span<const std::string_view> resources
  ) const;

  std::span<const NamedDocument> policies() const;
  std::string_view policy_name(const Decision& decision) const;
  std::string_view sid(const Decision& decision) const;

 private:
  friend class BoundPolicies;
  struct Program;
  explicit CompiledPolicies(std::unique_ptr<const Program> program);

  std::unique_ptr<const Program> program_;
};

}  // namespace iotcore::registry::policy
