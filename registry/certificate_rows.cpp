#include "registry/certificate_rows.h"

#include "base/crypto.h"
#include "registry/age_lists.h"
#include "registry/certificate_standing.h"
#include "registry/keys.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

void set_attributes(
    google::protobuf::RepeatedPtrField<record::NameAttribute>& out,
    const pki::NameAttributes& attributes
) {
  for (const auto& [name, values] : attributes) {
    record::NameAttribute& attribute = *out.Add();
    attribute.set_name(name);
    attribute.mutable_values()->Assign(values.begin(), values.end());
  }
}

store::Key key_by_end(std::string_view id, const record::Certificate& record) {
  // What ended before 1970 counts as ended then.
  const auto end = static_cast<std::uint64_t>(std::max<std::int64_t>(record.not_after_ms(), 0));
  return std::move(keys::certificates_by_end().u64(end).text(id));
}

// The certificate's row, and what CertificateIndex reads.
void put_record(store::Batch& batch, std::string_view id, const record::Certificate& record) {
  batch.put(keys::kPrincipals, keys::certificate(id), to_row(record));
  batch.put(keys::kPrincipals, key_by_end(id, record), standing_to_row(standing_of(record)));
}

// Calls visit(key) for each place of a certificate in a list by age.
template <typename Visitor>
void for_each_place(std::string_view id, const record::Certificate& record, const Visitor& visit) {
  for (const bool oldest_first : {true, false}) {
    const std::uint64_t age = keys::age_segment(oldest_first, record.created_ms());
    visit(keys::certificates_by_age(oldest_first).u64(age).text(id));
    if (record.has_ca_certificate_id()) {
      visit(keys::certificates_of_ca(record.ca_certificate_id(), oldest_first).u64(age).text(id));
    }
  }
}

}  // namespace

record::Certificate certificate_record(
    const pki::Certificate& certificate, const NewCertificate& as, std::int64_t now_ms
) {
  record::Certificate record;
  record.set_der(certificate.der);
  record.set_status(as.status);
  record.set_mode(as.mode);
  record.set_created_ms(now_ms);
  record.set_modified_ms(now_ms);
  record.set_not_before_ms(to_epoch_ms(certificate.not_before));
  record.set_not_after_ms(to_epoch_ms(certificate.not_after));
  record.set_customer_version(1);
  record.set_generation_id(new_uuid());
  if (!as.ca_certificate_id.empty()) {
    record.set_ca_certificate_id(as.ca_certificate_id);
  }
  record.set_serial_number(certificate.serial_number);
  set_attributes(*record.mutable_subject(), certificate.subject);
  set_attributes(*record.mutable_issuer(), certificate.issuer);
  return record;
}

void put_new_certificate(
    store::Batch& batch, std::string_view id, const record::Certificate& record
) {
  batch.expect_absent(keys::kPrincipals, keys::certificate(id));
  put_record(batch, id, record);
  for_each_place(id, record, [&batch](const store::Key& key) {
    batch.put(keys::kPrincipals, key, {});
  });
}

void erase_certificate(
    store::Batch& batch, std::string_view id, const record::Certificate& record
) {
  batch.erase(keys::kPrincipals, keys::certificate(id));
  batch.erase(keys::kPrincipals, key_by_end(id, record));
  for_each_place(id, record, [&batch](const store::Key& key) {
    batch.erase(keys::kPrincipals, key);
  });
}

void put_outgoing(store::Batch& batch, std::string_view id, std::int64_t offered_ms) {
  put_in_age_lists(batch, keys::outgoing_certificates, offered_ms, id);
}

void erase_outgoing(store::Batch& batch, std::string_view id, std::int64_t offered_ms) {
  erase_from_age_lists(batch, keys::outgoing_certificates, offered_ms, id);
}

Result<Stored<record::Certificate>> read_certificate(store::Store& store, std::string_view id) {
  return get_record<record::Certificate>(
      store,
      keys::kPrincipals,
      keys::certificate(id),
      "Certificate " + std::string(id) + " does not exist"
  );
}

void put_certificate(
    store::Batch& batch, std::string_view id, const Stored<record::Certificate>& certificate
) {
  batch.expect_revision(keys::kPrincipals, keys::certificate(id), certificate.revision);
  put_record(batch, id, certificate.record);
}

Result<std::size_t> count_ending(
    store::Store& store, WallTime from, WallTime to, std::size_t most
) {
  const auto key_at = [](WallTime t) {
    return keys::certificates_by_end().u64(static_cast<std::uint64_t>(to_epoch_ms(t)));
  };
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store.scan(keys::kPrincipals, keys::certificates_by_end(), key_at(from), most)
  );
  const std::string end = key_at(to).take();
  return static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(), [&end](const store::Entry& row) { return row.key < end; }
  ));
}

Result<record::CertificateStatus> status_from_request(std::string_view name) {
  record::CertificateStatus status = record::INACTIVE;
  if (!record::CertificateStatus_Parse(std::string(name), &status) ||
      (status != record::ACTIVE && status != record::INACTIVE && status != record::REVOKED)) {
    return fail(
        Errc::kInvalidRequest,
        "The status must be ACTIVE, INACTIVE or REVOKED: " + std::string(name) +
            " is not for callers to set"
    );
  }
  return status;
}

tl::unexpected<Error> certificate_exists(const std::string& id, const std::string& arn) {
  return fail(Error(
                  Errc::kAlreadyExists,
                  "The certificate is already provisioned or registered (id: " + id + ")"
  )
                  .with("resourceId", id)
                  .with("resourceArn", arn));
}

}  // namespace iotcore::registry
