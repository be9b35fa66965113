#include "registry/certificates.h"

#include "registry/certificate_rows.h"
#include "registry/pki/certificate.h"
#include "tests/unit/registry/fixture.h"

namespace iotcore::registry {
namespace {

// A PKCS #10 request with a P-256 key and the subject CN=device.
constexpr const char* kRequest = R"(-----BEGIN CERTIFICATE REQUEST-----
MIHMMHMCAQAwETEPMA0GA1UEAwwGZGV2aWNlMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEXqB1Dsvh5KjGf7mgm375MrMFQGJuB3MRN5X+kkNu3CxFNM4eGWjgOrEa
27UWYcaP/iGri5Ouw1nLnkX83GZ7D6AAMAoGCCqGSM49BAMCA0kAMEYCIQDFd0AH
X6BJEtoGZqoS9xTiRp5Dckg9JlBF0BBt8iMCOQIhAOukxoFXvegbQk1LUxi4fEdq
9CWnww8yGz58Rw5AKptr
-----END CERTIFICATE REQUEST-----
)";

auto describe(Fixture& f, const std::string& id) {
  return f.registry.certificates().describe(
      Fixture::request<api::DescribeCertificateRequest>("certificate_id: '" + id + "'")
  );
}

auto list(Fixture& f, const std::string& text) {
  return f.registry.certificates().list(Fixture::request<api::ListCertificatesRequest>(text));
}

TEST_CASE("keys and a certificate are made together and only the certificate is kept") {
  Fixture f;
  const auto made = f.certificate(false);
  CHECK(made.certificate_arn() == std::string(kArn) + "cert/" + made.certificate_id());
  CHECK(made.key_pair().private_key().starts_with("-----BEGIN EC PRIVATE KEY-----"));
  CHECK(made.key_pair().public_key().starts_with("-----BEGIN PUBLIC KEY-----"));
  CHECK(pki::parse_certificate_pem(made.certificate_pem())->id == made.certificate_id());

  const auto described = describe(f, made.certificate_id());
  REQUIRE(described);
  const api::CertificateDescription& out = described->certificate_description();
  CHECK(out.certificate_pem() == made.certificate_pem());
  CHECK(out.status() == "INACTIVE");
  CHECK(out.certificate_mode() == "DEFAULT");
  CHECK(out.owned_by() == "000000000000");
  CHECK(out.customer_version() == 1);
  CHECK(out.creation_date() == to_epoch_ms(f.clock.wall()));
  CHECK(out.validity().not_after() == 2524607999000);
  CHECK_FALSE(out.has_ca_certificate_id());

  std::string upper = made.certificate_id();
  for (char& c : upper) {
    c = static_cast<char>(std::toupper(c));
  }
  CHECK(describe(f, upper)->certificate_description().certificate_id() == made.certificate_id());
  CHECK(code_of(describe(f, std::string(64, '0'))) == Errc::kNotFound);
  const auto rows = f.store.scan(store::Table::kPrincipals, {}, {}, 100);
  REQUIRE(rows);
  for (const auto& row : *rows) {
    CHECK(row.value.find("PRIVATE") == std::string::npos);
  }

  Options rsa;
  rsa.key_type = pki::KeyType::kRsa2048;
  Fixture with_rsa(rsa);
  CHECK(
      with_rsa.certificate().key_pair().private_key().starts_with("-----BEGIN RSA PRIVATE KEY-----")
  );
}

TEST_CASE("one CSR gives a new certificate each time") {
  Fixture f;
  api::CreateCertificateFromCsrRequest create;
  create.set_certificate_signing_request(kRequest);
  create.set_set_as_active(true);
  const auto first = f.registry.certificates().create_from_csr(create);
  const auto second = f.registry.certificates().create_from_csr(create);
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->certificate_id() != second->certificate_id());
  CHECK(describe(f, first->certificate_id())->certificate_description().status() == "ACTIVE");
  CHECK(
      pki::parse_certificate_pem(first->certificate_pem())->subject.at("CommonName").front() ==
      "device"
  );
  create.set_certificate_signing_request("-----BEGIN CERTIFICATE REQUEST-----");
  CHECK(code_of(f.registry.certificates().create_from_csr(create)) == Errc::kInvalidRequest);
}

TEST_CASE("a certificate's status is set by callers within bounds") {
  Fixture f;
  const std::string id = f.certificate(false).certificate_id();
  const auto now = [&] { return describe(f, id)->certificate_description(); };
  f.clock.advance(std::chrono::seconds(5));
  REQUIRE(f.set_status(id, "ACTIVE"));
  CHECK(now().status() == "ACTIVE");
  CHECK(now().customer_version() == 2);
  CHECK(now().last_modified_date() == now().creation_date() + 5000);
  REQUIRE(f.set_status(id, "ACTIVE"));
  CHECK(now().customer_version() == 2);
  REQUIRE(f.set_status(id, "REVOKED"));
  REQUIRE(f.set_status(id, "INACTIVE"));
  for (const char* status : {"PENDING_TRANSFER", "PENDING_ACTIVATION", "REGISTER_INACTIVE", "?"}) {
    CHECK(code_of(f.set_status(id, status)) == Errc::kInvalidRequest);
  }
  CHECK(now().status() == "INACTIVE");
  CHECK(code_of(f.set_status(std::string(64, 'a'), "ACTIVE")) == Errc::kNotFound);
}

TEST_CASE("deleting a certificate asks for its status, things and policies") {
  Fixture f;
  const auto certificate = f.certificate();
  const std::string& id = certificate.certificate_id();
  const std::string& arn = certificate.certificate_arn();
  REQUIRE(f.create_thing("thing_name: 't'"));
  REQUIRE(f.create_policy("p", allow("iot:Connect", "*")));
  REQUIRE(f.attach_thing("t", arn));
  REQUIRE(f.attach_policy("p", arn));
  CHECK(code_of(f.delete_certificate(id)) == Errc::kCertificateState);
  REQUIRE(f.set_status(id, "INACTIVE"));
  CHECK(code_of(f.delete_certificate(id, true)) == Errc::kDeleteConflict);  // the thing
  REQUIRE(f.detach_thing("t", arn));
  CHECK(code_of(f.delete_certificate(id)) == Errc::kDeleteConflict);  // the policy
  CHECK(f.delete_certificate(id, true));
  CHECK(code_of(f.delete_certificate(id)) == Errc::kNotFound);
  const auto targets = f.registry.policy_attachments().list_targets(
      Fixture::request<api::ListTargetsForPolicyRequest>("policy_name: 'p'")
  );
  CHECK(targets->targets_size() == 0);
  CHECK(list(f, "")->certificates_size() == 0);
}

TEST_CASE("certificates are listed by age") {
  Fixture f;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(f.certificate(i == 1).certificate_id());
    f.clock.advance(std::chrono::seconds(1));
  }
  auto page = list(f, "page_size: 2");
  REQUIRE(page->certificates_size() == 2);
  CHECK(page->certificates(0).certificate_id() == ids[2]);
  CHECK(page->certificates(1).certificate_id() == ids[1]);
  CHECK(page->certificates(1).status() == "ACTIVE");
  page = list(f, "page_size: 2 marker: '" + page->next_marker() + "'");
  REQUIRE(page->certificates_size() == 1);
  CHECK(page->certificates(0).certificate_id() == ids[0]);
  CHECK_FALSE(page->has_next_marker());
  page = list(f, "page_size: 2 ascending_order: true");
  CHECK(page->certificates(0).certificate_id() == ids[0]);
  CHECK(
      code_of(list(f, "ascending_order: false marker: '" + page->next_marker() + "'")) ==
      Errc::kInvalidRequest
  );
}

TEST_CASE("certificates that end soon are counted") {
  Fixture f;
  const auto made = f.certificate(false);
  const WallTime end = from_epoch_ms(2524607999000);
  const auto around = [&](std::int64_t seconds_before) {
    const WallTime from = end - std::chrono::seconds(seconds_before);
    return count_ending(f.store, from, from + std::chrono::seconds(10), 100).value();
  };
  CHECK(around(5) == 1);
  CHECK(around(20) == 0);
  CHECK(around(-1) == 0);
  REQUIRE(f.delete_certificate(made.certificate_id()));
  CHECK(around(5) == 0);
}

}  // namespace
}  // namespace iotcore::registry
