#include "registry/provisioning/template.h"

#include "registry/jitp.h"
#include "registry/provisioning/expression.h"
#include "tests/unit/registry/fixture.h"

namespace iotcore::registry::provisioning {
namespace {

Result<std::string> value_of(const std::string& expression) {
  const json::object mappings =
      parse_json(R"({"places":{"north":{"site":"oslo","odd":{"Ref":"name"}}}})")->get_object();
  const Environment environment = {
      [](std::string_view name) -> std::optional<std::string> {
        return name == "name" ? std::optional<std::string>("lamp") : std::nullopt;
      },
      mappings};
  IOTCORE_ASSIGN(const json::value value, evaluate(*parse_json(expression), environment));
  return to_json(value);
}

TEST_CASE("functions of templates") {
  struct Row {
    const char* expression;
    const char* value;  // null: an error
  };

  const Row rows[] = {
      {R"("text")", R"("text")"},
      {R"({"Ref":"name"})", R"("lamp")"},
      {R"({"Ref":"absent"})", nullptr},
      {R"({"Ref":1})", nullptr},
      {R"({"Fn::Join":["-",["a",{"Ref":"name"},"b"]]})", R"("a-lamp-b")"},
      {R"({"Fn::Join":["",[]]})", R"("")"},
      // What comes of a function is a value, though it may look like one.
      {R"({"Fn::Join":["",[{"Fn::FindInMap":["places","north","odd"]}]]})", nullptr},
      {R"({"Fn::Select":["0",[{"Fn::FindInMap":["places","north","odd"]}]]})", R"({"Ref":"name"})"},
      {R"({"Fn::Join":["-",[1]]})", nullptr},
      {R"({"Fn::Join":["-"]})", nullptr},
      {R"({"Fn::Select":[1,["a","b"]]})", R"("b")"},
      {R"({"Fn::Select":["0",["a","b"]]})", R"("a")"},
      {R"({"Fn::Select":[2,["a","b"]]})", nullptr},
      {R"({"Fn::Select":[-1,["a"]]})", nullptr},
      {R"({"Fn::Select":["x",["a"]]})", nullptr},
      {R"({"Fn::Select":[0,[null]]})", nullptr},
      {R"({"Fn::Split":["|","a||b"]})", R"(["a","","b"])"},
      {R"({"Fn::Split":["","ab"]})", nullptr},
      {R"({"Fn::Select":[1,{"Fn::Split":[",","x,y"]}]})", R"("y")"},
      {R"({"Fn::Sub":"is ${name}, not ${!name}"})", R"("is lamp, not ${name}")"},
      {R"({"Fn::Sub":["${a}/${name}",{"a":{"Fn::Join":["",["x","y"]]}}]})", R"("xy/lamp")"},
      {R"({"Fn::Sub":"${absent}"})", nullptr},
      {R"({"Fn::Sub":"open ${name"})", R"("open ${name")"},
      {R"({"Fn::FindInMap":["places","north","site"]})", R"("oslo")"},
      {R"({"Fn::FindInMap":["places","south","site"]})", nullptr},
      {R"({"a":{"Ref":"name"},"b":[{"Ref":"name"}]})", R"({"a":"lamp","b":["lamp"]})"},
  };
  for (const Row& row : rows) {
    INFO(row.expression);
    const auto value = value_of(row.expression);
    CHECK(value.has_value() == (row.value != nullptr));
    if (value && row.value != nullptr) {
      CHECK(*value == row.value);
    }
  }
  std::string deep = R"("x")";
  for (int i = 0; i < 20; ++i) {
    deep = R"({"Fn::Join":["",[)" + deep + "]]}";
  }
  CHECK_FALSE(value_of(deep));
}

constexpr const char* kTemplate = R"({
  "Parameters": {"Name": {"Type": "String"}, "Site": {"Type": "String", "Default": "north"},
                 "AWS::IoT::Certificate::Id": {"Type": "String"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing",
              "Properties": {"ThingName": {"Ref": "Name"}, "AttributePayload": {"site": {"Ref": "Site"}},
                             "ThingTypeName": "lamp", "ThingGroups": ["a", "b"], "BillingGroup": "bill"},
              "OverrideSettings": {"AttributePayload": "MERGE", "THING_GROUPS": "REPLACE"}},
    "certificate": {"Type": "AWS::IoT::Certificate",
                    "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Inactive"}},
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {"Version": "2012-10-17"}}},
    "named": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}}},
  "DeviceConfiguration": {"url": {"Fn::Sub": "https://${Site}.example"}}})";

TEST_CASE("a template says what there is to make") {
  const auto parsed = Template::parse(kTemplate);
  REQUIRE(parsed);
  const auto out =
      parsed->evaluate({{"Name", "l1"}, {"AWS::IoT::Certificate::Id", "c1"}, {"More", "x"}});
  REQUIRE(out);
  REQUIRE(out->thing);
  CHECK(out->thing->name == "l1");
  CHECK(out->thing->attributes->at("site") == "north");
  CHECK(out->thing->type == "lamp");
  CHECK(out->thing->groups == std::vector<std::string>{"a", "b"});
  CHECK(out->thing->billing_group == "bill");
  CHECK(out->thing->attributes_override == Override::kMerge);
  CHECK(out->thing->groups_override == Override::kReplace);
  CHECK(out->thing->type_override == Override::kDoNothing);
  CHECK(out->certificate.id == "c1");
  CHECK_FALSE(out->certificate.active);
  REQUIRE(out->policies.size() == 2);
  CHECK(out->policies[0].name.size() == 40);
  CHECK(out->policies[0].document == R"({"Version":"2012-10-17"})");
  CHECK(out->policies[1].name == "p");
  CHECK(out->device_configuration.at("url") == "https://north.example");
  CHECK_FALSE(parsed->evaluate({{"AWS::IoT::Certificate::Id", "c1"}}));
}

TEST_CASE("templates that are not right are refused") {
  const std::string certificate =
      R"("c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":"x"}})";
  for (const std::string& text : {
           std::string("no json"),
           std::string("{}"),
           std::string(R"({"Resources":{}})"),
           std::string(R"({"Surprises":{},"Resources":{)") + certificate + "}}",
           std::string(R"({"Parameters":{"a":{"Type":"Number"}},"Resources":{)") + certificate +
               "}}",
           std::string(R"({"Resources":{"x":{"Type":"AWS::IoT::Bucket"}}})"),
           std::string(R"({"Resources":{"x":5}})"),
           std::string(
               R"({"Resources":{"c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"b"}}}}})"
           ),
           std::string(10'241, ' '),
       }) {
    INFO(text.substr(0, 100));
    CHECK_FALSE(Template::parse(text));
  }
  for (const std::string& resources : {
           std::string(R"("t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"}})"),
           std::string(R"("t":{"Type":"AWS::IoT::Thing","Properties":{}},)") + certificate,
           std::string(
               R"("c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":"x","CertificatePem":"y"}})"
           ),
           std::string(
               R"("c":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":"x","Status":"REVOKED"}})"
           ),
           std::string(R"("p":{"Type":"AWS::IoT::Policy","Properties":{}},)") + certificate,
           std::string(
               R"("t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"},"OverrideSettings":{"ThingTypeName":"MERGE"}},)"
           ) + certificate,
       }) {
    INFO(resources);
    const auto parsed = Template::parse("{\"Resources\":{" + resources + "}}");
    REQUIRE(parsed);
    CHECK_FALSE(parsed->evaluate({}));
  }
}

Resources resources_for(const std::string& thing, const std::string& certificate) {
  Resources out;
  out.thing.emplace();
  out.thing->logical_name = "thing";
  out.thing->name = thing;
  out.certificate.logical_name = "certificate";
  out.certificate.id = certificate;
  out.policies.push_back({"policy", "made", allow("iot:Connect", "*")});
  return out;
}

TEST_CASE("what a template says is made whole or not at all") {
  Fixture f;
  Provisioner& provisioner = f.registry.provisioner();
  const auto certificate = f.certificate(false);
  Resources wanted = resources_for("t", certificate.certificate_id());
  wanted.thing->attributes = std::map<std::string, std::string>{{"site", "north"}};
  const auto made = provisioner.apply(wanted);
  REQUIRE(made);
  CHECK(made->arns.at("thing") == std::string(kArn) + "thing/t");
  CHECK(made->arns.at("certificate") == certificate.certificate_arn());
  CHECK(f.describe_thing("t")->attributes().at("site") == "north");
  CHECK(
      f.delete_certificate(certificate.certificate_id()).error().code() == Errc::kCertificateState
  );

  // A second device of that name: by default, what is there stays.
  const auto second = f.certificate(false);
  wanted = resources_for("t", second.certificate_id());
  wanted.thing->attributes = std::map<std::string, std::string>{{"site", "south"}};
  REQUIRE(provisioner.apply(wanted));
  CHECK(f.describe_thing("t")->attributes().at("site") == "north");
  wanted.thing->attributes_override = Override::kReplace;
  REQUIRE(provisioner.apply(wanted));
  CHECK(f.describe_thing("t")->attributes().at("site") == "south");
  wanted.thing->attributes_override = Override::kFail;
  CHECK(code_of(provisioner.apply(wanted)) == Errc::kConflictingResourceUpdate);

  // A type that is not there: nothing is left of the attempt.
  const auto third = f.certificate(false);
  wanted = resources_for("u", third.certificate_id());
  wanted.policies[0].name = "other";
  wanted.thing->type = "absent";
  CHECK_FALSE(provisioner.apply(wanted));
  CHECK(code_of(f.describe_thing("u")) == Errc::kNotFound);
  CHECK(f.create_policy("other", allow("iot:Connect", "*")));
  wanted.certificate.id = std::string(64, '0');
  CHECK(code_of(provisioner.apply(wanted)) == Errc::kNotFound);
}

TEST_CASE("what was there before a template that fails stays") {
  Fixture f;
  Provisioner& provisioner = f.registry.provisioner();
  const auto certificate = f.certificate(false);
  Resources wanted = resources_for("t", certificate.certificate_id());
  REQUIRE(provisioner.apply(wanted));
  // Another time, by a template that wants the certificate INACTIVE but may not change it: only that is found out last.
  wanted.certificate.active = false;
  wanted.certificate.status_override = Override::kFail;
  CHECK(code_of(provisioner.apply(wanted)) == Errc::kConflictingResourceUpdate);
  CHECK(f.registry.thing_principals().find("t", certificate.certificate_arn()).value());
  CHECK(f.registry.policy_attachments().is_attached("made", certificate.certificate_arn()).value());
}

}  // namespace
}  // namespace iotcore::registry::provisioning
