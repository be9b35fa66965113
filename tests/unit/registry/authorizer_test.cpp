#include "registry/device_authorizer.h"
#include "registry/http_authorizer.h"
#include "registry/operators.h"
#include "registry/pki/certificate.h"
#include "tests/unit/registry/fixture.h"

#include <memory>

namespace iotcore::registry {
namespace {

using broker::Action;
using broker::PeerIdentity;

class ManualWorkers final : public broker::Workers {
 public:
  std::size_t count() const override { return 2; }

  Executor& executor(WorkerId id) override { return workers[index(id)]; }

  broker::WorkerBroker& broker(WorkerId) override { std::abort(); }

  Executor& blocking() override { return pool; }

  explicit ManualWorkers(ManualExecutor& blocking_pool) : pool(blocking_pool) {}

  ManualExecutor& pool;
  ManualExecutor workers[2];
};

struct AuthorizerFixture : Fixture {
  AuthorizerFixture() {
    registry.devices().on_revoked([this](const std::string& id) { revoked.push_back(id); });
  }

  static PeerIdentity peer(const std::string& principal) {
    PeerIdentity out;
    out.kind = PeerIdentity::Kind::kCertificate;
    out.principal = principal;
    out.source_ip = "192.0.2.1";
    out.server_name = "data.example";
    return out;
  }

  Result<std::unique_ptr<broker::Permissions>> connect(
      const PeerIdentity& who, const std::string& client_id, bool persistent = false
  ) {
    std::optional<Result<std::unique_ptr<broker::Permissions>>> answer;
    broker::ConnectRequest connect{who};
    connect.worker = WorkerId(1);
    connect.client_id = client_id;
    connect.persistent_connect = persistent;
    authorizer.connect(connect, [&](auto got) { answer = std::move(got); });
    pool.run();
    workers.workers[1].run();
    REQUIRE(answer.has_value());
    return *std::move(answer);
  }

  // A device with a policy of its own that allows `document`.
  PeerIdentity device(const std::string& document) {
    const auto made = certificate();
    certificate_id = made.certificate_id();
    arn = made.certificate_arn();
    REQUIRE(create_policy("policy", document));
    REQUIRE(attach_policy("policy", arn));
    return peer(certificate_id);
  }

  static bool may(broker::Permissions& permissions, Action action, const std::string& resource) {
    const bool first = permissions.allows(action, resource, stable_hash(resource));
    CHECK(permissions.allows(action, resource, stable_hash(resource)) == first);
    return first;
  }

  Metrics metrics;
  ManualWorkers workers{pool};
  DeviceAuthorizer authorizer{registry.devices(), {}, workers, clock, metrics};
  HttpAuthorizer http{registry.devices(), clock, metrics};
  std::vector<std::string> revoked;
  std::string certificate_id;
  std::string arn;
};

std::string policy_of(const std::string& statements) {
  return R"({"Version":"2012-10-17","Statement":[)" + statements + "]}";
}

std::string statement(
    const std::string& effect, const std::string& action, const std::string& resource
) {
  return R"({"Effect":")" + effect + R"(","Action":")" + action + R"(","Resource":")" +
         std::string(kArn) + resource + R"("})";
}

TEST_CASE("who comes without a certificate may do everything in development and nothing else") {
  AuthorizerFixture f;
  PeerIdentity nobody;
  CHECK(code_of(f.connect(nobody, "c")) == Errc::kNotAuthorized);
  nobody.development = true;
  const auto permissions = f.connect(nobody, "c");
  REQUIRE(permissions);
  CHECK((*permissions)->allows(Action::kPublish, "any/thing", 1));
  CHECK((*permissions)->thing_name().empty());
  PeerIdentity operator_key;
  operator_key.kind = PeerIdentity::Kind::kAccessKey;
  operator_key.principal = "AKIA";
  CHECK(code_of(f.connect(operator_key, "c")) == Errc::kNotAuthorized);
  const auto signed_by = [&operator_key](const std::string& resource, bool administrator) {
    Operator who;
    who.access_key_id = "AKIA";
    who.resource = resource;
    who.administrator = administrator;
    auto evidence = std::make_shared<broker::PeerEvidence>();
    evidence->authenticated = std::make_shared<const OperatorPeer>(std::move(who));
    operator_key.evidence = evidence;
  };
  signed_by("user/admin", true);
  CHECK(f.connect(operator_key, "c"));
  // Others by the policies that are attached to them, which are followed while they are connected.
  signed_by("role/reader", false);
  CHECK(code_of(f.connect(operator_key, "c")) == Errc::kNotAuthorized);
  REQUIRE(f.create_policy(
      "reader",
      policy_of(
          statement("Allow", "iot:*", "client/c") + "," + statement("Allow", "iot:*", "topic/a")
      )
  ));
  REQUIRE(f.attach_policy("reader", "arn:aws:iam::000000000000:role/reader"));
  const auto reader = f.connect(operator_key, "c");
  REQUIRE(reader);
  CHECK(AuthorizerFixture::may(**reader, Action::kReceive, "a"));
  CHECK_FALSE(AuthorizerFixture::may(**reader, Action::kReceive, "b"));
}

TEST_CASE("only a registered certificate that is active and in its time connects") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(allow("iot:*", "*"));
  CHECK(f.connect(peer, "c"));
  CHECK(code_of(f.connect(f.peer(std::string(64, '0')), "c")) == Errc::kNotAuthorized);
  REQUIRE(f.set_status(f.certificate_id, "INACTIVE"));
  CHECK(code_of(f.connect(peer, "c")) == Errc::kNotAuthorized);
  REQUIRE(f.set_status(f.certificate_id, "REVOKED"));
  CHECK(code_of(f.connect(peer, "c")) == Errc::kNotAuthorized);
  REQUIRE(f.set_status(f.certificate_id, "ACTIVE"));
  CHECK(f.connect(peer, "c"));
  f.clock.advance(std::chrono::hours(24 * 365 * 40));
  CHECK(code_of(f.connect(peer, "c")) == Errc::kNotAuthorized);
}

TEST_CASE("policies decide on connecting and on each topic, with the connection's variables") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(policy_of(
      statement("Allow", "iot:Connect", "client/dev-*") + "," +
      statement("Allow", "iot:Publish", "topic/up/${iot:ClientId}/*") + "," +
      statement("Deny", "iot:Publish", "topic/up/*/secret") + "," +
      statement("Allow", "iot:Subscribe", "topicfilter/down/${iot:ClientId}/#") + "," +
      statement("Allow", "iot:Receive", "topic/down/${iot:CertificateId}")
  ));
  CHECK(code_of(f.connect(peer, "other")) == Errc::kNotAuthorized);
  const auto permissions = f.connect(peer, "dev-1");
  REQUIRE(permissions);
  broker::Permissions& p = **permissions;
  CHECK(f.may(p, Action::kPublish, "up/dev-1/a/b"));
  CHECK_FALSE(f.may(p, Action::kPublish, "up/dev-2/a"));
  CHECK_FALSE(f.may(p, Action::kPublish, "up/dev-1/secret"));
  CHECK_FALSE(f.may(p, Action::kRetainPublish, "up/dev-1/a"));
  CHECK(f.may(p, Action::kSubscribe, "down/dev-1/#"));
  CHECK_FALSE(f.may(p, Action::kSubscribe, "down/#"));
  CHECK(f.may(p, Action::kReceive, "down/" + f.certificate_id));
  CHECK_FALSE(f.may(p, Action::kReceive, "up/dev-1/a/b"));
  CHECK(f.metrics.to_text().find("iotcore_authorization_denied_total") != std::string::npos);
}

TEST_CASE("policies may ask what stands in the certificate") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(policy_of(
      statement("Allow", "iot:Connect", "*") + "," +
      statement("Allow", "iot:Publish", "topic/${iot:Certificate.Subject.CommonName}/up") + "," +
      statement("Allow", "iot:Publish", "topic/${iot:Certificate.Issuer.Organization}") + "," +
      statement("Allow", "iot:Publish", "topic/${iot:Certificate.SerialNumber}")
  ));
  const auto permissions = f.connect(peer, "c");
  REQUIRE(permissions);
  const auto described =
      f.registry.certificates().describe(Fixture::request<api::DescribeCertificateRequest>(
          "certificate_id: '" + f.certificate_id + "'"
      ));
  const auto parsed =
      pki::parse_certificate_pem(described->certificate_description().certificate_pem());
  CHECK(f.may(**permissions, Action::kPublish, "AWS IoT Certificate/up"));
  CHECK(f.may(**permissions, Action::kPublish, "iotcore"));
  CHECK(f.may(**permissions, Action::kPublish, parsed->serial_number));
}

TEST_CASE("no policy, no rights") {
  AuthorizerFixture f;
  CHECK(code_of(f.connect(f.peer(f.certificate().certificate_id()), "c")) == Errc::kNotAuthorized);
}

TEST_CASE("a persistent session is the policy's to allow") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(policy_of(
      R"({"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":)"
      R"({"ForAllValues:StringNotEquals":{"iot:ConnectAttributes":["PersistentConnect"]}}})"
  ));
  CHECK(f.connect(peer, "c", false));
  CHECK(code_of(f.connect(peer, "c", true)) == Errc::kNotAuthorized);
}

TEST_CASE("live connections follow policies, attachments and things") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(policy_of(
      statement("Allow", "iot:Connect", "*") + "," + statement("Allow", "iot:Publish", "topic/a") +
      "," + statement("Allow", "iot:Publish", "topic/${iot:Connection.Thing.Attributes[site]}")
  ));
  const auto permissions = f.connect(peer, "thing");
  REQUIRE(permissions);
  broker::Permissions& p = **permissions;
  CHECK(f.may(p, Action::kPublish, "a"));
  CHECK_FALSE(f.may(p, Action::kPublish, "oslo"));
  CHECK(p.thing_name().empty());

  REQUIRE(f.create_thing(
      "thing_name: 'thing' attribute_payload { attributes { key: 'site' value: 'oslo' } }"
  ));
  REQUIRE(f.attach_thing("thing", f.arn));
  f.pool.run();
  CHECK(f.may(p, Action::kPublish, "oslo"));
  CHECK(p.thing_name() == "thing");
  REQUIRE(f.update_thing(
      "thing_name: 'thing' attribute_payload { attributes { key: 'site' value: 'bergen' } }"
  ));
  f.pool.run();
  CHECK_FALSE(f.may(p, Action::kPublish, "oslo"));
  CHECK(f.may(p, Action::kPublish, "bergen"));

  REQUIRE(f.create_version("policy", allow("iot:Publish", "*"), false));
  f.pool.run();
  CHECK_FALSE(f.may(p, Action::kPublish, "b"));
  REQUIRE(f.registry.policies().set_default_version(
      Fixture::request<api::SetDefaultPolicyVersionRequest>(
          "policy_name: 'policy' policy_version_id: '2'"
      )
  ));
  f.pool.run();
  CHECK(f.may(p, Action::kPublish, "b"));

  REQUIRE(f.create_policy("denying", policy_of(statement("Deny", "iot:Publish", "topic/b"))));
  REQUIRE(f.attach_policy("denying", f.arn));
  f.pool.run();
  CHECK_FALSE(f.may(p, Action::kPublish, "b"));
  REQUIRE(f.detach_policy("denying", f.arn));
  f.pool.run();
  CHECK(f.may(p, Action::kPublish, "b"));

  REQUIRE(f.detach_thing("thing", f.arn));
  f.pool.run();
  f.may(p, Action::kPublish, "b");
  CHECK(p.thing_name().empty());
  REQUIRE(f.detach_policy("policy", f.arn));
  f.pool.run();
  CHECK_FALSE(f.may(p, Action::kPublish, "b"));
  CHECK(f.revoked.empty());
}

TEST_CASE("an exclusive thing is the connection's, whatever its client id") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(
      policy_of(statement("Allow", "iot:Connect", "client/*-${iot:Connection.Thing.ThingName}"))
  );
  REQUIRE(f.create_thing("thing_name: 'pump'"));
  REQUIRE(f.attach_thing("pump", f.arn));
  CHECK(code_of(f.connect(peer, "x-pump")) == Errc::kNotAuthorized);
  REQUIRE(f.attach_thing("pump", f.arn, "thing_principal_type: 'EXCLUSIVE_THING'"));
  const auto permissions = f.connect(peer, "x-pump");
  REQUIRE(permissions);
  CHECK((*permissions)->thing_name() == "pump");
}

TEST_CASE("a certificate that leaves ACTIVE takes its live connections with it") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(allow("iot:*", "*"));
  const auto one = f.connect(peer, "one");
  const auto two = f.connect(peer, "two");
  const auto other = f.certificate();
  REQUIRE(f.attach_policy("policy", other.certificate_arn()));
  const auto untouched = f.connect(f.peer(other.certificate_id()), "three");
  REQUIRE(untouched);
  REQUIRE(f.set_status(f.certificate_id, "INACTIVE"));
  f.pool.run();
  CHECK(f.revoked == std::vector<std::string>{f.certificate_id});
  CHECK_FALSE(f.may(**one, Action::kPublish, "a"));
  CHECK_FALSE(f.may(**two, Action::kReceive, "a"));
  CHECK(f.may(**untouched, Action::kPublish, "a"));
  // Back again: what is still connected has its rights again.
  REQUIRE(f.set_status(f.certificate_id, "ACTIVE"));
  f.pool.run();
  CHECK(f.may(**one, Action::kPublish, "a"));

  REQUIRE(f.registry.wipe());
  f.pool.run();
  CHECK(f.revoked.size() == 3);
  CHECK_FALSE(f.may(**untouched, Action::kPublish, "a"));
}

TEST_CASE("a change of a policy reaches a thousand connections and no closed one") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(allow("iot:*", "*"));
  std::vector<std::unique_ptr<broker::Permissions>> all;
  for (int i = 0; i < 1000; ++i) {
    all.push_back(*f.connect(peer, std::to_string(i)));
  }
  for (std::size_t i = 0; i < all.size(); i += 2) {
    all[i].reset();
  }
  REQUIRE(f.create_version("policy", allow("iot:Publish", std::string(kArn) + "topic/only"), true));
  f.pool.run();
  for (const auto& permissions : all) {
    if (permissions != nullptr) {
      CHECK_FALSE(permissions->allows(Action::kPublish, "a", stable_hash("a")));
      CHECK(permissions->allows(Action::kPublish, "only", stable_hash("only")));
    }
  }
}

TEST_CASE("requests over HTTPS are the policies' to allow, without MQTT's variables") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(policy_of(
      statement("Allow", "iot:Publish", "topic/up") + "," +
      statement("Allow", "iot:Publish", "topic/${iot:ClientId}") + "," +
      statement("Allow", "iot:GetThingShadow", "thing/t/*")
  ));
  using policy::Action;
  CHECK(f.http.authenticate(peer));
  CHECK(f.http.allows(peer, Action::kPublish, "up"));
  CHECK(code_of(f.http.allows(peer, Action::kPublish, "")) == Errc::kForbidden);
  CHECK(f.http.allows(peer, Action::kGetThingShadow, "t/shadow"));
  CHECK(code_of(f.http.allows(peer, Action::kGetThingShadow, "t")) == Errc::kForbidden);
  CHECK(code_of(f.http.allows(peer, Action::kUpdateThingShadow, "t/shadow")) == Errc::kForbidden);

  REQUIRE(f.set_status(f.certificate_id, "INACTIVE"));
  f.pool.run();
  CHECK(code_of(f.http.allows(peer, Action::kPublish, "up")) == Errc::kForbidden);
  REQUIRE(f.set_status(f.certificate_id, "ACTIVE"));
  f.pool.run();
  CHECK(f.http.allows(peer, Action::kPublish, "up"));

  PeerIdentity nobody;
  CHECK(code_of(f.http.authenticate(nobody)) == Errc::kForbidden);
  nobody.development = true;
  CHECK(f.http.allows(nobody, Action::kPublish, "x"));
  CHECK(code_of(f.http.authenticate(f.peer(std::string(64, '0')))) == Errc::kForbidden);
}

TEST_CASE("policies of groups hold for the things in them and below them, while they are there") {
  AuthorizerFixture f;
  const PeerIdentity peer = f.device(policy_of(
      statement("Allow", "iot:Connect", "client/*") + "," +
      statement("Allow", "iot:Publish", "topic/own")
  ));
  REQUIRE(f.create_policy("of-root", policy_of(statement("Allow", "iot:Publish", "topic/root"))));
  REQUIRE(f.create_policy("of-leaf", policy_of(statement("Deny", "iot:Publish", "topic/own"))));
  const auto create = [&](const std::string& text) {
    return f.registry.thing_groups().create(Fixture::request<api::CreateThingGroupRequest>(text));
  };
  REQUIRE(create("thing_group_name: 'root'"));
  REQUIRE(create("thing_group_name: 'leaf' parent_group_name: 'root'"));
  REQUIRE(f.create_thing("thing_name: 'pump'"));
  REQUIRE(f.attach_thing("pump", f.arn));
  REQUIRE(f.attach_policy("of-root", std::string(kArn) + "thinggroup/root"));
  CHECK(
      code_of(f.attach_policy("of-root", std::string(kArn) + "thinggroup/none")) == Errc::kNotFound
  );

  const auto permissions = f.connect(peer, "pump");
  REQUIRE(permissions);
  // Another client id: not associated with the thing, so that its groups do not count.
  const auto stranger = f.connect(peer, "other");
  REQUIRE(stranger);
  CHECK_FALSE(f.may(**permissions, Action::kPublish, "root"));
  REQUIRE(f.registry.group_members().add(Fixture::request<api::AddThingToThingGroupRequest>(
      "thing_name: 'pump' thing_group_name: 'leaf'"
  )));
  f.pool.run();
  CHECK(f.may(**permissions, Action::kPublish, "root"));
  CHECK(f.may(**permissions, Action::kPublish, "own"));
  CHECK_FALSE(f.may(**stranger, Action::kPublish, "root"));

  REQUIRE(f.attach_policy("of-leaf", std::string(kArn) + "thinggroup/leaf"));
  f.pool.run();
  CHECK_FALSE(f.may(**permissions, Action::kPublish, "own"));
  CHECK(f.may(**stranger, Action::kPublish, "own"));
  REQUIRE(f.detach_policy("of-leaf", std::string(kArn) + "thinggroup/leaf"));
  f.pool.run();
  CHECK(f.may(**permissions, Action::kPublish, "own"));

  REQUIRE(f.registry.thing_groups().remove(
      Fixture::request<api::DeleteThingGroupRequest>("thing_group_name: 'leaf'")
  ));
  f.pool.run();
  CHECK_FALSE(f.may(**permissions, Action::kPublish, "root"));
}

}  // namespace
}  // namespace iotcore::registry
