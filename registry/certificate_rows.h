#pragma once

#include "base/clock.h"
#include "proto/record/principals.pb.h"
#include "registry/arn.h"
#include "registry/pki/certificate.h"
#include "registry/rows.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::registry {

// How a certificate comes to be registered.
struct NewCertificate {
  record::CertificateStatus status = record::INACTIVE;
  record::CertificateMode mode = record::DEFAULT;
  std::string ca_certificate_id;  // empty: of no registered CA
};

// The record of a certificate that is not registered yet, and its rows: itself and its places in the lists.
record::Certificate certificate_record(
    const pki::Certificate& certificate, const NewCertificate& as, std::int64_t now_ms
);
void put_new_certificate(
    store::Batch& batch, std::string_view id, const record::Certificate& record
);
// Its places in the lists and its row.
void erase_certificate(store::Batch& batch, std::string_view id, const record::Certificate& record);

// Its place among those that are offered to other accounts.
void put_outgoing(store::Batch& batch, std::string_view id, std::int64_t offered_ms);
void erase_outgoing(store::Batch& batch, std::string_view id, std::int64_t offered_ms);

// kNotFound.
Result<Stored<record::Certificate>> read_certificate(store::Store& store, std::string_view id);
// Writes it anew, expecting its revision.
void put_certificate(
    store::Batch& batch, std::string_view id, const Stored<record::Certificate>& certificate
);

// How many certificates end in that time, `most` at most.
Result<std::size_t> count_ending(store::Store& store, WallTime from, WallTime to, std::size_t most);

// As a request names it: ACTIVE, INACTIVE or REVOKED. kInvalidRequest for those that callers may not set.
Result<record::CertificateStatus> status_from_request(std::string_view name);

// kAlreadyExists with AWS's details.
tl::unexpected<Error> certificate_exists(const std::string& id, const std::string& arn);

}  // namespace iotcore::registry
