#include "registry/jitp.h"

#include <array>
#include <utility>

namespace iotcore::registry {

provisioning::Parameters parameters_of(const pki::Certificate& certificate) {
  constexpr std::array<std::pair<const char*, const char*>, 7> kAttributes = {{
      {"Country", "Country"},
      {"Organization", "Organization"},
      {"OrganizationalUnit", "OrganizationalUnit"},
      {"DistinguishedNameQualifier", "DistinguishedNameQualifier"},
      {"State", "StateName"},
      {"CommonName", "CommonName"},
      {"SerialNumber", "SerialNumber"},
  }};
  const std::string prefix = "AWS::IoT::Certificate::";
  provisioning::Parameters out;
  out[prefix + "Id"] = certificate.id;
  for (const auto& [attribute, parameter] : kAttributes) {
    const auto found = certificate.subject.find(attribute);
    if (found != certificate.subject.end() && !found->second.empty()) {
      out[prefix + parameter] = found->second.front();
    }
  }
  return out;
}

Status provision_just_in_time(
    provisioning::Provisioner& provisioner,
    const AutoProvisioning& what,
    std::string_view template_text
) {
  IOTCORE_ASSIGN(const provisioning::Template parsed, provisioning::Template::parse(template_text));
  IOTCORE_ASSIGN(
      const provisioning::Resources resources, parsed.evaluate(parameters_of(what.certificate))
  );
  if (resources.certificate.id != what.certificate.id) {
    return fail(
        Errc::kInvalidRequest,
        "The template must name the certificate by its CertificateId: {\"Ref\": "
        "\"AWS::IoT::Certificate::Id\"}"
    );
  }
  IOTCORE_TRY(provisioner.apply(resources));
  return {};
}

}  // namespace iotcore::registry
