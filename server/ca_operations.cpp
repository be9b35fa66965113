#include "server/ca_operations.h"

#include "base/log.h"
#include "proto/api/installation.pb.h"
#include "registry/pki/certificate_authority.h"

namespace iotcore::server {

void register_ca_operations(
    gateway::OperationRegistry& operations, registry::pki::CertificateAuthority& authority
) {
  using registry::pki::CertificateAuthority;
  operations
      .add<api::DescribeCertificateAuthorityRequest, api::DescribeCertificateAuthorityResponse>(
          "DescribeCertificateAuthority",
          [&authority](const gateway::CallContext&, const api::DescribeCertificateAuthorityRequest&)
              -> Result<api::DescribeCertificateAuthorityResponse> {
            api::DescribeCertificateAuthorityResponse response;
            response.set_name(authority.name());
            response.set_certificate_pem(authority.certificate_pem());
            return response;
          }
      );
  operations.add<api::RotateCertificateAuthorityRequest, api::RotateCertificateAuthorityResponse>(
      "RotateCertificateAuthority",
      [&authority](
          const gateway::CallContext&, const api::RotateCertificateAuthorityRequest& request
      ) -> Result<api::RotateCertificateAuthorityResponse> {
        IOTCORE_TRY(authority.rotate(
            request.intermediate_only() ? CertificateAuthority::Rotation::kIntermediate
                                        : CertificateAuthority::Rotation::kRoot
        ));
        log(LogLevel::kWarn,
            "ca.rotated",
            {{"root", authority.name()}, {"new_root", !request.intermediate_only()}});
        api::RotateCertificateAuthorityResponse response;
        response.set_name(authority.name());
        response.set_certificate_pem(authority.certificate_pem());
        return response;
      }
  );
}

}  // namespace iotcore::server
