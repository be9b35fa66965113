#include "registry/thing_registration.h"

namespace iotcore::registry {
namespace {

constexpr std::size_t kValueBytesMax = 4096;

// The operation models one error for whatever a single resource says.
Error of_resource(Error error) {
  switch (error.code()) {
    case Errc::kNotFound:
    case Errc::kAlreadyExists:
    case Errc::kMalformedPolicy:
    case Errc::kCertificateValidation:
    case Errc::kCertificateState:
    case Errc::kCertificateConflict:
    case Errc::kLimitExceeded:
      return Error(Errc::kResourceRegistrationFailure, std::string(error.message()));
    default:
      return error;
  }
}

}  // namespace

Result<api::RegisterThingResponse> ThingRegistration::register_thing(
    const api::RegisterThingRequest& request
) {
  IOTCORE_ASSIGN(const auto parsed, provisioning::Template::parse(request.template_body()));
  const provisioning::Parameters parameters(
      request.parameters().begin(), request.parameters().end()
  );
  for (const auto& [name, value] : parameters) {
    if (value.size() > kValueBytesMax) {
      return fail(
          Errc::kInvalidRequest,
          "The parameter " + name + " is longer than " + std::to_string(kValueBytesMax) + " bytes"
      );
    }
  }
  IOTCORE_ASSIGN(const provisioning::Resources resources, parsed.evaluate(parameters));
  const auto made = provisioner_.apply(resources);
  if (!made) {
    return fail(of_resource(made.error()));
  }
  api::DescribeCertificateRequest describe;
  describe.set_certificate_id(made->certificate_id);
  IOTCORE_ASSIGN(const auto certificate, certificates_.describe(describe));
  api::RegisterThingResponse response;
  response.set_certificate_pem(certificate.certificate_description().certificate_pem());
  response.mutable_resource_arns()->insert(made->arns.begin(), made->arns.end());
  return response;
}

}  // namespace iotcore::registry
