#include "registry/provisioning_templates.h"

#include "tests/unit/registry/fixture.h"

namespace iotcore::registry {
namespace {

const std::string kBody =
    R"({"Resources":{"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}}})";

struct TemplatesFixture : Fixture {
  ProvisioningTemplates& templates = registry.provisioning_templates();

  auto create(const std::string& name, const std::string& body, const std::string& type = "") {
    api::CreateProvisioningTemplateRequest create;
    create.set_template_name(name);
    create.set_template_body(body);
    create.set_provisioning_role_arn("arn:aws:iam::000000000000:role/r");
    if (!type.empty()) {
      create.set_type(type);
    }
    return templates.create(create);
  }

  auto describe(const std::string& name) {
    api::DescribeProvisioningTemplateRequest describe;
    describe.set_template_name(name);
    return templates.describe(describe);
  }

  auto add_version(const std::string& name, bool as_default = false) {
    api::CreateProvisioningTemplateVersionRequest create;
    create.set_template_name(name);
    create.set_template_body(kBody);
    create.set_set_as_default(as_default);
    return templates.create_version(create);
  }

  auto update(const std::string& text) {
    return templates.update(request<api::UpdateProvisioningTemplateRequest>(text));
  }
};

TEST_CASE("a template's role must look like one, of whatever account") {
  TemplatesFixture f;
  const auto with = [&](const std::string& name, const std::string& role) {
    api::CreateProvisioningTemplateRequest create;
    create.set_template_name(name);
    create.set_template_body(kBody);
    create.set_provisioning_role_arn(role);
    return f.templates.create(create);
  };
  int made = 0;
  for (const std::string role :
       {"arn:aws:iam::000000000000:role/r",
        "arn:aws:iam::123456789012:role/service-role/r",
        "arn:aws-cn:iam::123456789012:role/r",
        "arn:aws-us-gov:iam::123456789012:role/a+b=c,d.e@f-g_h"}) {
    INFO(role);
    CHECK(with("t" + std::to_string(++made), role));
  }
  for (const std::string role :
       {"a role that is called so",
        "arn:aws:iam::12345678901:role/r",
        "arn:aws:iam::1234567890123:role/r",
        "arn:aws:iam::12345678901x:role/r",
        "arn:aws:iam:us-east-1:123456789012:role/r",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/a b",
        "arn:aws:iam::123456789012:user/rrr",
        "arn:aws:iot:us-east-1:123456789012:role/r",
        "arn:azure:iam::123456789012:role/r",
        "arn:aws:iam::123456789012"}) {
    INFO(role);
    CHECK(code_of(with("x", role)) == Errc::kInvalidRequest);
    CHECK(
        code_of(f.update("template_name: 't1' provisioning_role_arn: '" + role + "'")) ==
        Errc::kInvalidRequest
    );
  }
  CHECK(f.describe("t1")->provisioning_role_arn() == "arn:aws:iam::000000000000:role/r");
}

TEST_CASE("a template that is kept must be one") {
  TemplatesFixture f;
  const std::string certificate =
      R"("c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":"x"}})";
  const auto with = [&](const std::string& more) {
    return R"({"Resources":{)" + certificate + (more.empty() ? "" : "," + more) + "}}";
  };
  const auto also = [&](const std::string& section) {
    return R"({"Resources":{)" + certificate + "}," + section + "}";
  };
  for (const std::string& body : {
           std::string("{"),
           std::string(
               R"({"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"}}}})"
           ),
           std::string(
               R"({"Resources":{"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificatePem":"x"}}}})"
           ),
           std::string(R"({"Resources":{"c":{"Type":"AWS::IoT::Certificate"}}})"),
           with(R"("d":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":"y"}})"),
           with(R"("t":{"Type":"AWS::IoT::Thing","Properties":{}})"),
           with(
               R"("p":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"a","PolicyDocument":"b"}})"
           ),
           with(
               R"("t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"},"OverrideSettings":{"ThingGroups":"ADD"}})"
           ),
           with(
               R"("t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Sub":"${Absent}"}}})"
           ),
           with(R"("t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Trim":"x"}}})"),
           also(R"("DeviceConfiguration":{"a":{"b":"c"}})"),
           also(R"("Parameters":{"a":{"Type":"String","Default":1}})"),
           also(R"("Parameters":{"a":"String"})"),
       }) {
    INFO(body);
    CHECK(code_of(f.create("t", body)) == Errc::kInvalidRequest);
  }
  CHECK(f.create("fleet", also(R"("DeviceConfiguration":{"a":{"Fn::Join":["",["b"]]},"c":"d"})")));
  const auto sub =
      R"("t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Sub":["${a}${!b}",{"a":"x"}]}}})";
  CHECK(f.create("sub", with(sub)));
  CHECK(
      code_of(f.create("j", also(R"("DeviceConfiguration":{"a":"b"})"), "JITP")) ==
      Errc::kInvalidRequest
  );
  CHECK(code_of(f.create("j", also(R"("Mappings":{"a":{}})"), "JITP")) == Errc::kInvalidRequest);
  CHECK(code_of(f.create("j", kBody, "OTHER")) == Errc::kInvalidRequest);
  CHECK(f.create("j", kBody, "JITP"));
  CHECK(code_of(f.create("j", kBody, "JITP")) == Errc::kAlreadyExists);
}

TEST_CASE("versions of templates") {
  TemplatesFixture f;
  REQUIRE(f.create("t", kBody));
  CHECK(f.describe("t")->type() == "FLEET_PROVISIONING");
  CHECK_FALSE(f.describe("t")->enabled());
  CHECK(f.add_version("t")->version_id() == 2);
  CHECK(f.describe("t")->default_version_id() == 1);
  CHECK(f.add_version("t", true)->is_default_version());
  CHECK(f.describe("t")->default_version_id() == 3);
  REQUIRE(f.add_version("t"));
  REQUIRE(f.add_version("t"));
  CHECK(code_of(f.add_version("t")) == Errc::kVersionsLimitExceeded);
  CHECK(code_of(f.add_version("absent")) == Errc::kNotFound);

  api::DeleteProvisioningTemplateVersionRequest remove;
  remove.set_template_name("t");
  remove.set_version_id(3);
  CHECK(code_of(f.templates.remove_version(remove)) == Errc::kDeleteConflict);
  remove.set_version_id(5);
  CHECK(f.templates.remove_version(remove));
  CHECK(code_of(f.templates.remove_version(remove)) == Errc::kNotFound);
  // Ids are not used again.
  CHECK(f.add_version("t")->version_id() == 6);

  api::ListProvisioningTemplateVersionsRequest list;
  list.set_template_name("t");
  list.set_max_results(2);
  std::vector<int> ids;
  for (int page = 0; page < 3; ++page) {
    const auto found = f.templates.list_versions(list);
    REQUIRE(found);
    for (const auto& version : found->versions()) {
      ids.push_back(version.version_id());
      CHECK(version.is_default_version() == (version.version_id() == 3));
    }
    CHECK(found->has_next_token() == (page < 2));
    list.set_next_token(found->next_token());
  }
  CHECK(ids == std::vector<int>{6, 4, 3, 2, 1});
  list.set_next_token("x");
  CHECK(code_of(f.templates.list_versions(list)) == Errc::kInvalidRequest);

  CHECK(f.update("template_name: 't' default_version_id: 1"));
  CHECK(f.describe("t")->default_version_id() == 1);
  CHECK(code_of(f.update("template_name: 't' default_version_id: 5")) == Errc::kNotFound);
}

TEST_CASE("a template is changed member by member") {
  TemplatesFixture f;
  REQUIRE(f.create("t", kBody));
  CHECK(f.update(
      "template_name: 't' description: 'd' enabled: true pre_provisioning_hook { target_arn: 'a' }"
  ));
  const auto changed = f.describe("t");
  CHECK(changed->description() == "d");
  CHECK(changed->enabled());
  CHECK(changed->pre_provisioning_hook().target_arn() == "a");
  CHECK(changed->pre_provisioning_hook().payload_version() == "2020-04-01");
  CHECK(f.update("template_name: 't' remove_pre_provisioning_hook: true"));
  CHECK_FALSE(f.describe("t")->has_pre_provisioning_hook());
  CHECK(f.describe("t")->enabled());
  for (const std::string& refused : {
           std::string("description: 'a\\nb'"),
           std::string("description: 'a\\302\\205'"),
           "description: '" + std::string(501, 'x') + "'",
           std::string("pre_provisioning_hook { target_arn: 'a' payload_version: '2020' }"),
           std::string("pre_provisioning_hook { target_arn: 'a' payload_version: '2020.04.01' }"),
           std::string(
               "pre_provisioning_hook { target_arn: 'a' } remove_pre_provisioning_hook: true"
           ),
       }) {
    INFO(refused);
    CHECK(code_of(f.update("template_name: 't' " + refused)) == Errc::kInvalidRequest);
  }
  CHECK(code_of(f.update("template_name: 'absent' enabled: true")) == Errc::kNotFound);
  REQUIRE(f.create("j", kBody, "JITP"));
  CHECK(
      code_of(f.update("template_name: 'j' pre_provisioning_hook { target_arn: 'a' }")) ==
      Errc::kInvalidRequest
  );
  CHECK(code_of(f.templates.body_in_use("j")) == Errc::kInvalidRequest);
  CHECK(f.update("template_name: 'j' enabled: true"));
  CHECK(f.templates.body_in_use("j") == kBody);
}

}  // namespace
}  // namespace iotcore::registry
