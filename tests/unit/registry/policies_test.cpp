#include "registry/policies.h"

#include "tests/unit/registry/fixture.h"

namespace iotcore::registry {
namespace {

const std::string kDocument = allow("iot:Connect", "*");
const std::string kOther = allow("iot:Publish", "*");

auto get(Fixture& f, const std::string& name) {
  return f.registry.policies().get(
      Fixture::request<api::GetPolicyRequest>("policy_name: '" + name + "'")
  );
}

auto remove(Fixture& f, const std::string& name) {
  return f.registry.policies().remove(
      Fixture::request<api::DeletePolicyRequest>("policy_name: '" + name + "'")
  );
}

template <typename Request>
Request version(const std::string& id, const std::string& name = "p") {
  return Fixture::request<Request>("policy_name: '" + name + "' policy_version_id: '" + id + "'");
}

TEST_CASE("a policy is made once, checked first") {
  Fixture f;
  const auto made = f.create_policy("p", kDocument);
  REQUIRE(made);
  CHECK(made->policy_arn() == std::string(kArn) + "policy/p");
  CHECK(made->policy_version_id() == "1");
  CHECK(made->policy_document() == kDocument);
  const auto again = f.create_policy("p", kDocument);
  CHECK(code_of(again) == Errc::kAlreadyExists);
  CHECK(again.error().details()[1].second == made->policy_arn());
  CHECK(code_of(f.create_policy("q", "{}")) == Errc::kMalformedPolicy);
  CHECK(code_of(f.create_policy("q", "")) == Errc::kMalformedPolicy);
  CHECK(code_of(get(f, "q")) == Errc::kNotFound);

  const auto got = get(f, "p");
  REQUIRE(got);
  CHECK(got->policy_document() == kDocument);
  CHECK(got->default_version_id() == "1");
  CHECK(got->creation_date() == to_epoch_ms(f.clock.wall()));
  CHECK(got->generation_id().size() == 36);
}

TEST_CASE("a policy has five versions at most and never uses an id again") {
  Fixture f;
  REQUIRE(f.create_policy("p", kDocument));
  for (int i = 2; i <= 5; ++i) {
    const auto made = f.create_version("p", kOther, i == 3);
    REQUIRE(made);
    CHECK(made->policy_version_id() == std::to_string(i));
    CHECK(made->is_default_version() == (i == 3));
  }
  CHECK(code_of(f.create_version("p", kOther, false)) == Errc::kVersionsLimitExceeded);
  CHECK(code_of(f.create_version("none", kOther, false)) == Errc::kNotFound);
  CHECK(code_of(f.create_version("p", "[]", false)) == Errc::kMalformedPolicy);
  CHECK(get(f, "p")->default_version_id() == "3");
  CHECK(get(f, "p")->policy_document() == kOther);

  auto& policies = f.registry.policies();
  CHECK(
      code_of(policies.remove_version(version<api::DeletePolicyVersionRequest>("3"))) ==
      Errc::kDeleteConflict
  );
  CHECK(policies.remove_version(version<api::DeletePolicyVersionRequest>("5")));
  CHECK(
      code_of(policies.remove_version(version<api::DeletePolicyVersionRequest>("5"))) ==
      Errc::kNotFound
  );
  CHECK(f.create_version("p", kOther, false)->policy_version_id() == "6");

  CHECK(policies.set_default_version(version<api::SetDefaultPolicyVersionRequest>("1")));
  CHECK(get(f, "p")->policy_document() == kDocument);
  for (const char* id : {"5", "7", "99999999999999999999999"}) {
    CHECK(
        code_of(policies.set_default_version(version<api::SetDefaultPolicyVersionRequest>(id))) ==
        Errc::kNotFound
    );
    CHECK(
        code_of(policies.get_version(version<api::GetPolicyVersionRequest>(id))) == Errc::kNotFound
    );
  }
  const auto third = policies.get_version(version<api::GetPolicyVersionRequest>("3"));
  REQUIRE(third);
  CHECK(third->policy_document() == kOther);
  CHECK_FALSE(third->is_default_version());

  const auto all =
      policies.list_versions(Fixture::request<api::ListPolicyVersionsRequest>("policy_name: 'p'"));
  std::string ids;
  for (const auto& one : all->policy_versions()) {
    ids += one.version_id() + (one.is_default_version() ? "* " : " ");
  }
  CHECK(ids == "6 4 3 2 1* ");
}

TEST_CASE("a policy goes when nothing hangs on it") {
  Fixture f;
  REQUIRE(f.create_policy("p", kDocument));
  REQUIRE(f.create_version("p", kOther, true));
  const auto certificate = f.certificate();
  REQUIRE(f.attach_policy("p", certificate.certificate_arn()));
  CHECK(code_of(remove(f, "p")) == Errc::kDeleteConflict);
  REQUIRE(f.detach_policy("p", certificate.certificate_arn()));
  CHECK(code_of(remove(f, "p")) == Errc::kDeleteConflict);  // version 1
  REQUIRE(f.registry.policies().remove_version(version<api::DeletePolicyVersionRequest>("1")));
  CHECK(remove(f, "p"));
  CHECK(code_of(remove(f, "p")) == Errc::kNotFound);
  CHECK(f.create_policy("p", kDocument)->policy_version_id() == "1");
}

TEST_CASE("policies are attached to certificates and Cognito identities, ten at most") {
  Fixture f;
  const std::string arn = f.certificate().certificate_arn();
  const std::string cognito = "us-east-1:01234567-89ab-cdef-0123-456789abcdef";
  for (int i = 0; i < 11; ++i) {
    REQUIRE(f.create_policy("p" + std::to_string(i), kDocument));
  }
  for (int i = 0; i < 10; ++i) {
    REQUIRE(f.attach_policy("p" + std::to_string(i), arn));
  }
  CHECK(f.attach_policy("p3", arn));
  CHECK(code_of(f.attach_policy("p10", arn)) == Errc::kLimitExceeded);
  CHECK(f.attach_policy("p10", cognito));
  CHECK(code_of(f.attach_policy("none", arn)) == Errc::kNotFound);
  CHECK(
      code_of(f.attach_policy("p1", std::string(kArn) + "cert/" + std::string(64, '0'))) ==
      Errc::kNotFound
  );
  CHECK(code_of(f.attach_policy("p1", std::string(kArn) + "thinggroup/g")) == Errc::kNotFound);
  CHECK(code_of(f.attach_policy("p1", "nobody")) == Errc::kInvalidRequest);

  const auto policies = [&](const std::string& target, const std::string& more) {
    return f.registry.policy_attachments().list_policies(
        Fixture::request<api::ListAttachedPoliciesRequest>("target: '" + target + "' " + more)
    );
  };
  auto page = policies(arn, "page_size: 8");
  REQUIRE(page->policies_size() == 8);
  CHECK(page->policies(0).policy_name() == "p0");
  CHECK(page->policies(0).policy_arn() == std::string(kArn) + "policy/p0");
  page = policies(arn, "page_size: 8 marker: '" + page->next_marker() + "'");
  CHECK(page->policies_size() == 2);
  CHECK_FALSE(page->has_next_marker());
  CHECK(policies(cognito, "")->policies_size() == 1);
  CHECK(
      code_of(policies(std::string(kArn) + "cert/" + std::string(64, '0'), "")) == Errc::kNotFound
  );

  const auto targets = [&](const std::string& name) {
    return f.registry.policy_attachments().list_targets(
        Fixture::request<api::ListTargetsForPolicyRequest>("policy_name: '" + name + "'")
    );
  };
  CHECK(targets("p3")->targets(0) == arn);
  CHECK(targets("p10")->targets(0) == cognito);
  CHECK(f.detach_policy("p3", arn));
  CHECK(f.detach_policy("p3", arn));
  CHECK(f.detach_policy("none", arn));
  CHECK(targets("p3")->targets_size() == 0);
  CHECK(code_of(targets("none")) == Errc::kNotFound);
}

TEST_CASE("policies are listed by age") {
  Fixture f;
  for (const char* name : {"b", "c", "a"}) {
    REQUIRE(f.create_policy(name, kDocument));
    f.clock.advance(std::chrono::seconds(1));
  }
  const auto list = [&](const std::string& text) {
    const auto page = f.registry.policies().list(Fixture::request<api::ListPoliciesRequest>(text));
    REQUIRE(page);
    std::string names;
    for (const auto& policy : page->policies()) {
      names += policy.policy_name();
    }
    return names + (page->has_next_marker() ? "+" : "");
  };
  CHECK(list("") == "acb");
  CHECK(list("ascending_order: true") == "bca");
  CHECK(list("ascending_order: true page_size: 2") == "bc+");
}

TEST_CASE("clients are told where to find each service") {
  const Endpoints endpoints = {"data:8883", "credentials", "jobs"};
  const auto ask = [&](const std::string& text) {
    return describe_endpoint(endpoints, Fixture::request<api::DescribeEndpointRequest>(text));
  };
  CHECK(ask("")->endpoint_address() == "data:8883");
  CHECK(ask("endpoint_type: 'iot:Data'")->endpoint_address() == "data:8883");
  CHECK(ask("endpoint_type: 'iot:Data-ATS'")->endpoint_address() == "data:8883");
  CHECK(ask("endpoint_type: 'iot:Jobs'")->endpoint_address() == "jobs");
  CHECK(ask("endpoint_type: 'iot:CredentialProvider'")->endpoint_address() == "credentials");
  CHECK(code_of(ask("endpoint_type: 'iot:Other'")) == Errc::kInvalidRequest);
}

TEST_CASE("a reset empties the account") {
  Fixture f;
  REQUIRE(f.create_thing("thing_name: 't'"));
  REQUIRE(f.create_policy("p", kDocument));
  f.certificate();
  REQUIRE(f.registry.wipe());
  for (const auto table : {store::Table::kRegistry, store::Table::kPrincipals}) {
    CHECK(f.store.scan(table, {}, {}, 10)->empty());
  }
}

TEST_CASE("roles may stand behind a path, users not") {
  const Account account;
  const std::string iam = "arn:aws:iam::000000000000:";
  for (const char* role : {"role/r", "role/service-role/r", "role/a/b/r"}) {
    INFO(role);
    const auto principal = parse_principal(account, iam + role);
    REQUIRE(principal);
    CHECK(principal->kind == Principal::Kind::kRole);
    CHECK(principal_text(account, principal->resource) == iam + role);
  }
  for (const char* wrong : {"role/", "role//r", "role/a/", "role/a b/r", "user/a/b"}) {
    INFO(wrong);
    CHECK_FALSE(parse_principal(account, iam + wrong));
  }
}

}  // namespace
}  // namespace iotcore::registry
