#pragma once

#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/pki/certificate.h"

#include <string>
#include <string_view>

namespace iotcore::registry {

// What the descriptions of certificates and of CA certificates have in common; `kind` is "cert" or "cacert".
template <typename Description, typename Record>
void describe_certificate(
    Description& out,
    const Record& record,
    const Account& account,
    std::string_view kind,
    const std::string& id
) {
  out.set_certificate_arn(account.arn(kind, id));
  out.set_certificate_id(id);
  out.set_status(record::CertificateStatus_Name(record.status()));
  out.set_certificate_pem(pki::pem_from_der(record.der()));
  out.set_owned_by(account.id);
  out.set_creation_date(record.created_ms());
  out.set_last_modified_date(record.modified_ms());
  out.set_customer_version(record.customer_version());
  out.set_generation_id(record.generation_id());
  out.mutable_validity()->set_not_before(record.not_before_ms());
  out.mutable_validity()->set_not_after(record.not_after_ms());
  out.set_certificate_mode(record::CertificateMode_Name(record.mode()));
}

}  // namespace iotcore::registry
