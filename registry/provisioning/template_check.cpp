#include "registry/provisioning/expression.h"
#include "registry/provisioning/template.h"

#include <algorithm>
#include <array>

// What a template that is kept must be, as far as that can be said before it is used.
namespace iotcore::registry::provisioning {
namespace {

tl::unexpected<Error> invalid(std::string what) {
  return fail(Errc::kInvalidRequest, "The template is not valid: " + std::move(what));
}

bool has(const json::object& properties, std::string_view name) {
  const json::value* found = find_member(properties, name);
  return found != nullptr && !found->is_null();
}

std::string_view name_of(const json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}

// Words that are written out; functions are left to the evaluation.
Status check_overrides(const std::string& resource, const json::object& overrides) {
  constexpr std::array<std::string_view, 4> kWords = {"DO_NOTHING", "REPLACE", "FAIL", "MERGE"};
  for (const auto& setting : overrides) {
    const json::value& value = setting.value();
    const bool known =
        value.is_string() &&
        std::find(kWords.begin(), kWords.end(), std::string_view(value.get_string())) !=
            kWords.end();
    if (!known && !function_of(value)) {
      return invalid(
          resource + ".OverrideSettings." + std::string(name_of(setting)) +
          " must be DO_NOTHING, REPLACE, FAIL or MERGE"
      );
    }
  }
  return {};
}

Status check_properties(
    const std::string& resource, std::string_view type, const json::object& properties
) {
  if (type == "AWS::IoT::Thing" && !has(properties, "ThingName")) {
    return invalid(resource + " needs a ThingName");
  }
  if (type == "AWS::IoT::Certificate" &&
      (!has(properties, "CertificateId") || has(properties, "CertificatePem") ||
       has(properties, "CertificateSigningRequest"))) {
    return invalid(resource + " must name its certificate by its CertificateId alone");
  }
  if (type == "AWS::IoT::Policy" &&
      has(properties, "PolicyName") == has(properties, "PolicyDocument")) {
    return invalid(resource + " needs either PolicyName or PolicyDocument");
  }
  return {};
}

}  // namespace

Status Template::check_for(Purpose purpose) const {
  int things = 0;
  int certificates = 0;
  const json::object none;
  const auto part = [&none](const json::object& resource, std::string_view name) -> auto& {
    const json::value* found = find_member(resource, name);
    return found == nullptr ? none : found->get_object();
  };
  for (const auto& resource : resources_) {
    const json::object& object = resource.value().get_object();
    const std::string_view type = find_member(object, "Type")->get_string();
    things += int{type == "AWS::IoT::Thing"};
    certificates += int{type == "AWS::IoT::Certificate"};
    const std::string name(name_of(resource));
    IOTCORE_TRY(check_properties(name, type, part(object, "Properties")));
    IOTCORE_TRY(check_overrides(name, part(object, "OverrideSettings")));
  }
  if (things > 1 || certificates != 1) {
    return invalid("it needs one certificate, and one thing at most");
  }
  for (const auto& member : device_configuration_) {
    const json::value& value = member.value();
    if (value.is_array() || (value.is_object() && !function_of(value))) {
      return invalid("DeviceConfiguration." + std::string(name_of(member)) + " must be plain");
    }
  }
  if (purpose == Purpose::kJustInTime && !(device_configuration_.empty() && mappings_.empty())) {
    return invalid("DeviceConfiguration and Mappings are for templates of type FLEET_PROVISIONING");
  }
  return {};
}

}  // namespace iotcore::registry::provisioning
