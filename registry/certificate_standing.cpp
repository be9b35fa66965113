#include "registry/certificate_standing.h"

#include "base/bytes.h"

namespace iotcore::registry {

CertificateStanding standing_of(const record::Certificate& certificate) {
  return {certificate.status(), certificate.not_before_ms(), certificate.not_after_ms()};
}

Status check_standing(const CertificateStanding& standing, WallTime now) {
  const auto refused = [](const char* code, std::string why) {
    return fail(Error(Errc::kNotAuthorized, std::move(why)).with("code", code));
  };
  switch (standing.status) {
    case record::ACTIVE:
      break;
    case record::PENDING_ACTIVATION:
      return fail(Error(Errc::kNotAuthorized, "the certificate waits for its activation")
                      .with("code", "DEVICE_CERTIFICATE_INACTIVE")
                      .with(std::string(kMayRegister), ""));
    case record::REVOKED:
      return refused("DEVICE_CERTIFICATE_REVOKED", "the certificate is revoked");
    default:
      return refused("DEVICE_CERTIFICATE_INACTIVE", "the certificate is not active");
  }
  const std::int64_t now_ms = to_epoch_ms(now);
  if (now_ms < standing.not_before_ms || now_ms > standing.not_after_ms) {
    return refused("NOT_AUTHENTICATED", "the certificate is out of its validity");
  }
  return {};
}

tl::unexpected<Error> certificate_not_registered() {
  return fail(Error(Errc::kNotAuthorized, "the certificate is not registered")
                  .with("code", "DEVICE_CERTIFICATE_NOT_REGISTERED")
                  .with(std::string(kMayRegister), ""));
}

std::string standing_to_row(const CertificateStanding& standing) {
  std::string row(1, static_cast<char>(standing.status));
  append_u64(row, static_cast<std::uint64_t>(standing.not_before_ms));
  append_u64(row, static_cast<std::uint64_t>(standing.not_after_ms));
  return row;
}

std::optional<CertificateStanding> standing_in_row(std::string_view row) {
  ByteReader reader(row);
  CertificateStanding standing;
  const int status = reader.u8();
  standing.not_before_ms = static_cast<std::int64_t>(reader.u64());
  standing.not_after_ms = static_cast<std::int64_t>(reader.u64());
  if (!reader.ok() || !record::CertificateStatus_IsValid(status)) {
    return std::nullopt;
  }
  standing.status = static_cast<record::CertificateStatus>(status);
  return standing;
}

}  // namespace iotcore::registry
