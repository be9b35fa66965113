#include "registry/provisioning/template.h"

#include "base/crypto.h"
#include "registry/provisioning/expression.h"

#include <algorithm>
#include <array>

namespace iotcore::registry::provisioning {
namespace {

constexpr std::size_t kTextMax = 10'240;
constexpr std::string_view kThing = "AWS::IoT::Thing";
constexpr std::string_view kCertificate = "AWS::IoT::Certificate";
constexpr std::string_view kPolicy = "AWS::IoT::Policy";

tl::unexpected<Error> invalid(std::string what) {
  return fail(Errc::kInvalidRequest, "The template is not valid: " + std::move(what));
}

std::string_view name_of(const json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}

// A section of the template; an empty one if there is none.
Result<json::object> section(const json::object& whole, std::string_view name) {
  const json::value* found = find_member(whole, name);
  if (found == nullptr) {
    return json::object();
  }
  if (!found->is_object()) {
    return invalid(std::string(name) + " must be an object");
  }
  return found->get_object();
}

Result<std::optional<std::string>> text_property(
    const json::object& properties, std::string_view name
) {
  const json::value* found = find_member(properties, name);
  if (found == nullptr || found->is_null()) {
    return std::nullopt;
  }
  if (!found->is_string()) {
    return invalid(std::string(name) + " must be a text");
  }
  return std::optional<std::string>(std::string(found->get_string()));
}

// The guide spells the keys ATTRIBUTE_PAYLOAD, the samples AttributePayload.
Result<Override> override_of(
    const json::object& settings,
    std::string_view name,
    std::string_view shouted,
    Override otherwise
) {
  const json::value* found = find_member(settings, name);
  found = found == nullptr ? find_member(settings, shouted) : found;
  if (found == nullptr) {
    return otherwise;
  }
  const std::string_view word = found->is_string() ? std::string_view(found->get_string()) : "";
  if (word == "DO_NOTHING") {
    return Override::kDoNothing;
  }
  if (word == "REPLACE") {
    return Override::kReplace;
  }
  if (word == "FAIL") {
    return Override::kFail;
  }
  if (word == "MERGE") {
    return Override::kMerge;
  }
  return invalid("OverrideSettings." + std::string(name) + " is not one of its words");
}

Status read_attributes(const json::object& properties, ThingResource& thing) {
  const json::value* found = find_member(properties, "AttributePayload");
  if (found == nullptr) {
    return {};
  }
  if (!found->is_object()) {
    return invalid("AttributePayload must be an object");
  }
  thing.attributes.emplace();
  for (const auto& attribute : found->get_object()) {
    if (!attribute.value().is_string()) {
      return invalid("the attribute " + std::string(name_of(attribute)) + " must be a text");
    }
    thing.attributes->emplace(name_of(attribute), std::string(attribute.value().get_string()));
  }
  return {};
}

Status read_groups(const json::object& properties, ThingResource& thing) {
  const json::value* found = find_member(properties, "ThingGroups");
  if (found == nullptr) {
    return {};
  }
  if (!found->is_array()) {
    return invalid("ThingGroups must be a list");
  }
  thing.groups.emplace();
  for (const json::value& group : found->get_array()) {
    if (!group.is_string()) {
      return invalid("each of ThingGroups must be a text");
    }
    thing.groups->emplace_back(group.get_string());
  }
  return {};
}

Status read_thing(
    const json::object& properties, const json::object& overrides, ThingResource& thing
) {
  IOTCORE_ASSIGN(const auto name, text_property(properties, "ThingName"));
  if (!name) {
    return invalid("a thing needs a ThingName");
  }
  thing.name = *name;
  IOTCORE_ASSIGN(thing.type, text_property(properties, "ThingTypeName"));
  IOTCORE_ASSIGN(thing.billing_group, text_property(properties, "BillingGroup"));
  IOTCORE_TRY(read_attributes(properties, thing));
  IOTCORE_TRY(read_groups(properties, thing));
  constexpr Override kNothing = Override::kDoNothing;
  IOTCORE_ASSIGN(
      thing.attributes_override,
      override_of(overrides, "AttributePayload", "ATTRIBUTE_PAYLOAD", kNothing)
  );
  IOTCORE_ASSIGN(
      thing.type_override, override_of(overrides, "ThingTypeName", "THING_TYPE_NAME", kNothing)
  );
  IOTCORE_ASSIGN(
      thing.groups_override, override_of(overrides, "ThingGroups", "THING_GROUPS", kNothing)
  );
  if (thing.type_override == Override::kMerge) {
    return invalid("OverrideSettings.ThingTypeName cannot be MERGE");
  }
  return {};
}

Status read_certificate(
    const json::object& properties, const json::object& overrides, CertificateResource& certificate
) {
  IOTCORE_ASSIGN(certificate.id, text_property(properties, "CertificateId"));
  IOTCORE_ASSIGN(
      certificate.signing_request, text_property(properties, "CertificateSigningRequest")
  );
  IOTCORE_ASSIGN(certificate.pem, text_property(properties, "CertificatePem"));
  IOTCORE_ASSIGN(certificate.ca_pem, text_property(properties, "CACertificatePem"));
  const int sources = int{certificate.id.has_value()} +
                      int{certificate.signing_request.has_value()} +
                      int{certificate.pem.has_value()};
  if (sources != 1) {
    return invalid(
        "a certificate needs one of CertificateId, CertificateSigningRequest and CertificatePem"
    );
  }
  IOTCORE_ASSIGN(auto status, text_property(properties, "Status"));
  if (status) {
    std::transform(status->begin(), status->end(), status->begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    if (*status != "ACTIVE" && *status != "INACTIVE") {
      return invalid("a certificate's Status is ACTIVE or INACTIVE");
    }
    certificate.active = *status == "ACTIVE";
  }
  IOTCORE_ASSIGN(const auto type, text_property(properties, "ThingPrincipalType"));
  certificate.exclusive = type == "EXCLUSIVE_THING";
  IOTCORE_ASSIGN(
      certificate.status_override, override_of(overrides, "Status", "STATUS", Override::kReplace)
  );
  if (certificate.status_override == Override::kMerge) {
    return invalid("OverrideSettings.Status cannot be MERGE");
  }
  return {};
}

Status read_policy(const json::object& properties, PolicyResource& policy) {
  IOTCORE_ASSIGN(const auto name, text_property(properties, "PolicyName"));
  const json::value* document = find_member(properties, "PolicyDocument");
  if (name.has_value() == (document != nullptr)) {
    return invalid("a policy needs either PolicyName or PolicyDocument");
  }
  if (name) {
    policy.name = *name;
    return {};
  }
  if (!document->is_string() && !document->is_object()) {
    return invalid("PolicyDocument must be a text or an object");
  }
  policy.document =
      document->is_string() ? std::string(document->get_string()) : to_json(*document);
  // 40 hexadecimal digits in capitals, as in AWS's samples.
  policy.name = to_hex(as_text(sha256(*policy.document))).substr(0, 40);
  std::transform(policy.name.begin(), policy.name.end(), policy.name.begin(), [](char c) {
    return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return {};
}

Status check_resource(const json::key_value_pair& resource) {
  const std::string name(name_of(resource));
  if (!resource.value().is_object()) {
    return invalid("the resource " + name + " must be an object");
  }
  const json::object& object = resource.value().get_object();
  const json::value* type = find_member(object, "Type");
  const std::string_view word =
      type != nullptr && type->is_string() ? std::string_view(type->get_string()) : "";
  if (word != kThing && word != kCertificate && word != kPolicy) {
    return invalid("the resource " + name + " has no Type that is known");
  }
  for (const char* part : {"Properties", "OverrideSettings"}) {
    const json::value* found = find_member(object, part);
    if (found != nullptr && !found->is_object()) {
      return invalid(name + "." + part + " must be an object");
    }
  }
  return {};
}

Status check_name(std::string_view name, const json::object& parameters) {
  const bool known = name.starts_with("AWS::") || find_member(parameters, name) != nullptr;
  return known ? Status() : invalid("there is no parameter " + std::string(name));
}

// Each ${name} in the text of Fn::Sub is a parameter, or one of the names that come with the text.
Status check_substitutions(const json::value& argument, const json::object& parameters) {
  const bool with_names = argument.is_array() && argument.get_array().size() == 2;
  const json::value& whole = with_names ? argument.get_array()[0] : argument;
  if (!whole.is_string()) {
    return {};
  }
  const json::object none;
  const json::value* names = with_names ? &argument.get_array()[1] : nullptr;
  const json::object& own = names != nullptr && names->is_object() ? names->get_object() : none;
  std::string_view rest = whole.get_string();
  for (auto begin = rest.find("${"); begin != rest.npos; begin = rest.find("${")) {
    rest.remove_prefix(begin + 2);
    const auto end = rest.find('}');
    if (end == rest.npos) {
      break;
    }
    const std::string_view name = rest.substr(0, end);
    if (!name.starts_with('!') && find_member(own, name) == nullptr) {
      IOTCORE_TRY(check_name(name, parameters));
    }
    rest.remove_prefix(end);
  }
  return {};
}

// Functions are known ones, and name parameters that are declared.
Status check_references(const json::value& value, const json::object& parameters) {
  const auto function = function_of(value);
  if (function == "Ref") {
    const json::value& argument = value.get_object().begin()->value();
    return check_name(
        argument.is_string() ? std::string_view(argument.get_string()) : std::string_view(),
        parameters
    );
  }
  if (function == "Fn::Sub") {
    IOTCORE_TRY(check_substitutions(value.get_object().begin()->value(), parameters));
  }
  if (value.is_object()) {
    for (const auto& member : value.get_object()) {
      if (!function && name_of(member).starts_with("Fn::")) {
        return invalid("there is no function " + std::string(name_of(member)));
      }
      IOTCORE_TRY(check_references(member.value(), parameters));
    }
  } else if (value.is_array()) {
    for (const json::value& element : value.get_array()) {
      IOTCORE_TRY(check_references(element, parameters));
    }
  }
  return {};
}

Status check_parameter(const json::key_value_pair& parameter) {
  const std::string name(name_of(parameter));
  if (!parameter.value().is_object()) {
    return invalid("the parameter " + name + " must be an object");
  }
  const json::object& object = parameter.value().get_object();
  const json::value* type = find_member(object, "Type");
  if (type == nullptr || !type->is_string() || type->get_string() != "String") {
    return invalid("the parameter " + name + " must have the Type String");
  }
  const json::value* otherwise = find_member(object, "Default");
  if (otherwise != nullptr && !otherwise->is_string()) {
    return invalid("the Default of the parameter " + name + " must be a text");
  }
  return {};
}

}  // namespace

Result<Template> Template::parse(std::string_view text) {
  if (text.size() > kTextMax) {
    return invalid("it has more than " + std::to_string(kTextMax) + " characters");
  }
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) {
    return invalid("it is not a JSON object");
  }
  const json::object& whole = parsed->get_object();
  constexpr std::array<std::string_view, 4> kSections = {
      "Parameters", "Mappings", "Resources", "DeviceConfiguration"};
  for (const auto& member : whole) {
    if (std::find(kSections.begin(), kSections.end(), name_of(member)) == kSections.end()) {
      return invalid("there is no section " + std::string(name_of(member)));
    }
  }
  Template out;
  IOTCORE_ASSIGN(out.parameters_, section(whole, "Parameters"));
  IOTCORE_ASSIGN(out.mappings_, section(whole, "Mappings"));
  IOTCORE_ASSIGN(out.resources_, section(whole, "Resources"));
  IOTCORE_ASSIGN(out.device_configuration_, section(whole, "DeviceConfiguration"));
  for (const auto& parameter : out.parameters_) {
    IOTCORE_TRY(check_parameter(parameter));
  }
  if (out.resources_.empty()) {
    return invalid("it has no Resources");
  }
  for (const auto& resource : out.resources_) {
    IOTCORE_TRY(check_resource(resource));
  }
  IOTCORE_TRY(check_references(json::value(out.resources_), out.parameters_));
  IOTCORE_TRY(check_references(json::value(out.device_configuration_), out.parameters_));
  return out;
}

Result<Resources> Template::evaluate(const Parameters& parameters) const {
  const Environment environment = {
      [&](std::string_view name) -> std::optional<std::string> {
        if (const auto given = parameters.find(name); given != parameters.end()) {
          return given->second;
        }
        const json::value* declared = find_member(parameters_, name);
        const json::value* otherwise =
            declared == nullptr ? nullptr : find_member(declared->get_object(), "Default");
        return otherwise != nullptr && otherwise->is_string()
                   ? std::optional<std::string>(std::string(otherwise->get_string()))
                   : std::nullopt;
      },
      mappings_};
  for (const auto& parameter : parameters_) {
    if (!environment.parameter(name_of(parameter))) {
      return fail(
          Errc::kInvalidRequest,
          "The parameter " + std::string(name_of(parameter)) + " has no value"
      );
    }
  }
  Resources out;
  int things = 0;
  int certificates = 0;
  for (const auto& resource : resources_) {
    IOTCORE_ASSIGN(
        const json::value evaluated, provisioning::evaluate(resource.value(), environment)
    );
    const json::object& object = evaluated.get_object();
    IOTCORE_ASSIGN(const json::object properties, section(object, "Properties"));
    IOTCORE_ASSIGN(const json::object overrides, section(object, "OverrideSettings"));
    const std::string_view type = find_member(object, "Type")->get_string();
    const std::string logical_name(name_of(resource));
    if (type == kThing) {
      ++things;
      out.thing.emplace();
      out.thing->logical_name = logical_name;
      IOTCORE_TRY(read_thing(properties, overrides, *out.thing));
    } else if (type == kCertificate) {
      ++certificates;
      out.certificate.logical_name = logical_name;
      IOTCORE_TRY(read_certificate(properties, overrides, out.certificate));
    } else {
      PolicyResource policy;
      policy.logical_name = logical_name;
      IOTCORE_TRY(read_policy(properties, policy));
      out.policies.push_back(std::move(policy));
    }
  }
  if (things > 1 || certificates != 1) {
    return invalid("it needs one certificate, and one thing at most");
  }
  IOTCORE_ASSIGN(
      json::value configuration,
      provisioning::evaluate(json::value(device_configuration_), environment)
  );
  out.device_configuration = std::move(configuration.get_object());
  return out;
}

}  // namespace iotcore::registry::provisioning
