#pragma once

#include "base/json.h"
#include "base/result.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Provisioning templates (provisioning.md section 3). Pure.
namespace iotcore::registry::provisioning {

// What is done with a part of a resource that is there already.
enum class Override { kDoNothing, kReplace, kMerge, kFail };

struct ThingResource {
  std::string logical_name;
  std::string name;
  std::optional<std::map<std::string, std::string>> attributes;
  std::optional<std::string> type;
  std::optional<std::vector<std::string>> groups;
  std::optional<std::string> billing_group;
  Override attributes_override = Override::kDoNothing;
  Override type_override = Override::kDoNothing;
  Override groups_override = Override::kDoNothing;
};

// One of id, CSR and PEM.
struct CertificateResource {
  std::string logical_name;
  std::optional<std::string> id;
  std::optional<std::string> signing_request;
  std::optional<std::string> pem;
  std::optional<std::string> ca_pem;
  bool active = true;
  bool exclusive = false;  // attached to its thing alone
  Override status_override = Override::kReplace;
};

// A policy that is there, by its name; or a document, which is made unless an equal one was: its name is its digest.
struct PolicyResource {
  std::string logical_name;
  std::string name;
  std::optional<std::string> document;
};

struct Resources {
  std::optional<ThingResource> thing;
  CertificateResource certificate;
  std::vector<PolicyResource> policies;
  json::object device_configuration;
};

// What a template that is kept is for: devices that come with a claim, or with a certificate of a registered CA.
enum class Purpose { kFleet, kJustInTime };

using Parameters = std::map<std::string, std::string, std::less<>>;

// A template whose form is right. Immutable; any thread.
class Template {
 public:
  // kInvalidRequest: what is wrong and where.
  static Result<Template> parse(std::string_view text);

  // What can be said before there are parameters: the resources there must be, and which of their properties. kInvalidRequest.
  Status check_for(Purpose purpose) const;

  // What it says for these parameters; the pseudo parameters ("AWS::IoT::Certificate::Id", …) are among them. kInvalidRequest.
  Result<Resources> evaluate(const Parameters& parameters) const;

 private:
  json::object parameters_;
  json::object mappings_;
  json::object resources_;
  json::object device_configuration_;
};

}  // namespace iotcore::registry::provisioning
