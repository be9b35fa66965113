#include "base/crypto.h"
#include "base/files.h"
#include "registry/pki/certificate.h"
#include "registry/pki/certificate_authority.h"
#include "registry/pki/token_signature.h"

#include <catch2/catch.hpp>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace iotcore::registry::pki {
namespace {

using namespace std::chrono_literals;

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / new_uuid()) {
    std::filesystem::create_directory(path_);
  }

  ~Folder() { std::filesystem::remove_all(path_); }

  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Output and errors of a command run in the folder.
  std::string run(const std::string& command) const {
    const std::string line = "cd " + path_.string() + " && (" + command + ") 2>&1";
    std::FILE* pipe = ::popen(line.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string out;
    std::array<char, 4096> chunk;
    while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
      out.append(chunk.data(), n);
    }
    ::pclose(pipe);
    return out;
  }

  void put(const std::string& name, const std::string& bytes) const {
    REQUIRE(write_file(path_ / name, bytes, FileMode::kPublic));
  }

 private:
  std::filesystem::path path_;
};

// What is written to it stands on the standard input of this process.
class StandardInput {
 public:
  explicit StandardInput(const std::string& bytes) : before_(::dup(STDIN_FILENO)) {
    std::array<int, 2> ends = {};
    REQUIRE(::pipe(ends.data()) == 0);
    REQUIRE(::write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    ::close(ends[1]);
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
  }

  ~StandardInput() {
    ::dup2(before_, STDIN_FILENO);
    ::close(before_);
  }

  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

 private:
  int before_;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("the root CA is made once, kept, and never half overwritten") {
  const Folder folder;
  const SystemClock clock;
  const auto made = CertificateAuthority::open(folder.path(), clock);
  REQUIRE(made);
  const auto again = CertificateAuthority::open(folder.path(), clock);
  REQUIRE(again);
  CHECK(made->certificate_pem() == again->certificate_pem());
  CHECK(made->name() == again->name());
  struct stat about = {};
  REQUIRE(::stat((folder.path() / "ca.key").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  const std::string text = folder.run("openssl x509 -in ca.pem -noout -text");
  CHECK(has(text, "CA:TRUE"));
  CHECK(has(text, "ASN1 OID: prime256v1"));
  CHECK(folder.run("openssl verify -x509_strict -CAfile ca.pem ca.pem") == "ca.pem: OK\n");

  const Folder other;
  REQUIRE(CertificateAuthority::open(other.path(), clock));
  folder.put("ca.key", *read_file(other.path() / "ca.key"));
  CHECK(CertificateAuthority::open(folder.path(), clock).error().code() == Errc::kStoreCorrupt);
  std::filesystem::remove(folder.path() / "ca.key");
  CHECK(CertificateAuthority::open(folder.path(), clock).error().code() == Errc::kNotFound);
}

TEST_CASE("the CA's key is encrypted, and one that was not becomes so") {
  const Folder folder;
  const SystemClock clock;
  const std::string pem = CertificateAuthority::open(folder.path(), clock)->certificate_pem();
  CHECK(has(*read_file(folder.path() / "ca.key"), "BEGIN EC PRIVATE KEY"));
  CHECK(CertificateAuthority::open(folder.path(), clock, "words")->certificate_pem() == pem);
  CHECK(has(*read_file(folder.path() / "ca.key"), "BEGIN ENCRYPTED PRIVATE KEY"));
  CHECK(CertificateAuthority::open(folder.path(), clock, "words")->certificate_pem() == pem);
  for (const char* wrong : {"", "other"}) {
    CHECK(
        CertificateAuthority::open(folder.path(), clock, wrong).error().code() ==
        Errc::kStoreCorrupt
    );
  }
  CHECK(has(folder.run("openssl pkey -in ca.key -passin pass:words -noout -text"), "P-256"));
}

TEST_CASE("a rotated root is trusted by those who know the old one") {
  const Folder folder;
  const SystemClock clock;
  auto ca = CertificateAuthority::open(folder.path(), clock, "words");
  REQUIRE(ca);
  const std::string old_pem = ca->certificate_pem();
  folder.put("old.pem", old_pem);
  const std::vector<std::string> names;
  REQUIRE(ca->server_certificate(folder.path(), names));
  const std::string old_key = *read_file(folder.path() / "ca.key");
  REQUIRE(ca->rotate(CertificateAuthority::Rotation::kRoot));
  CHECK(ca->generation() == 1);
  const std::string new_pem = ca->certificate_pem();
  CHECK(new_pem != old_pem);
  CHECK(*read_file(folder.path() / "ca.pem") == new_pem + old_pem);
  REQUIRE(ca->server_certificate(folder.path(), names));
  folder.put("new.pem", new_pem);
  const std::string chain = "-untrusted server.pem server.pem";
  CHECK(folder.run("openssl verify -x509_strict -CAfile old.pem " + chain) == "server.pem: OK\n");
  CHECK(folder.run("openssl verify -x509_strict -CAfile new.pem " + chain) == "server.pem: OK\n");
  // The next start finds the same.
  const std::string sent = *read_file(folder.path() / "server.pem");
  const auto opened = CertificateAuthority::open(folder.path(), clock, "words");
  REQUIRE(opened);
  CHECK(opened->certificate_pem() == new_pem);
  CHECK(opened->server_certificate(folder.path(), names)->certificate_pem == sent);

  // Cut short before its last step.
  folder.run("cp ca.key ca.key.next");
  REQUIRE(write_file(folder.path() / "ca.key", old_key, FileMode::kPrivate));
  REQUIRE(CertificateAuthority::open(folder.path(), clock, "words"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "ca.key.next"));
  CHECK(CertificateAuthority::open(folder.path(), clock, "words")->certificate_pem() == new_pem);
}

TEST_CASE("the intermediate is another's to replace: by a rotation of its own, and when it is lost"
) {
  const Folder folder;
  const SystemClock clock;
  auto ca = CertificateAuthority::open(folder.path(), clock, "words");
  REQUIRE(ca);
  const std::string root = ca->certificate_pem();
  const std::string first = *read_file(folder.path() / "intermediate.pem");
  CHECK(has(*read_file(folder.path() / "intermediate.key"), "BEGIN ENCRYPTED PRIVATE KEY"));
  CHECK(has(folder.run("openssl x509 -in intermediate.pem -noout -text"), "CA:TRUE, pathlen:0"));
  REQUIRE(ca->rotate(CertificateAuthority::Rotation::kIntermediate));
  CHECK(ca->certificate_pem() == root);
  const std::string second = *read_file(folder.path() / "intermediate.pem");
  CHECK(second != first);
  for (const char* damage : {"rm intermediate.key", "cp ca.pem intermediate.pem"}) {
    folder.run(damage);
    REQUIRE(CertificateAuthority::open(folder.path(), clock, "words"));
    CHECK(
        folder.run("openssl verify -x509_strict -CAfile ca.pem intermediate.pem") ==
        "intermediate.pem: OK\n"
    );
  }
}

TEST_CASE("device certificates carry AWS's subject and end, and fit their keys") {
  const Folder folder;
  const SystemClock clock;
  const auto ca = CertificateAuthority::open(folder.path(), clock);
  REQUIRE(ca);
  for (const auto& [name, key] :
       {std::pair{"rsa2048", "Public-Key: (2048 bit)"}, std::pair{"p256", "NIST CURVE: P-256"}}) {
    const auto made = ca->make_device_certificate(*key_type_from(name));
    REQUIRE(made);
    folder.put("device.pem", made->certificate_pem);
    folder.put("device.key", made->private_key_pem);
    folder.put("device.pub", made->public_key_pem);
    CHECK(
        folder.run(
            "openssl verify -x509_strict -CAfile ca.pem -untrusted intermediate.pem device.pem"
        ) == "device.pem: OK\n"
    );
    const std::string text = folder.run("openssl x509 -in device.pem -noout -text");
    CHECK(has(text, "Subject: CN = AWS IoT Certificate"));
    CHECK(has(text, "Not After : Dec 31 23:59:59 2049 GMT"));
    CHECK(has(text, "CA:FALSE"));
    CHECK(has(text, key));
    const std::string public_key = folder.run("openssl x509 -in device.pem -noout -pubkey");
    CHECK(folder.run("openssl pkey -in device.key -pubout") == public_key);
    CHECK(made->public_key_pem == public_key);

    const auto parsed = parse_certificate_pem(made->certificate_pem);
    REQUIRE(parsed);
    const std::string fingerprint = folder.run(
        "openssl x509 -in device.pem -noout -fingerprint -sha256 | cut -d= -f2 | tr -d ':\\n' | "
        "tr A-F a-f"
    );
    CHECK(parsed->id == fingerprint);
    CHECK(pem_from_der(parsed->der) == made->certificate_pem);
    CHECK(to_epoch_s(parsed->not_after) == 2524607999);
    CHECK(parsed->valid_at(clock.wall()));
    CHECK_FALSE(parsed->valid_at(clock.wall() - 2h));
    CHECK(parsed->subject.at("CommonName").front() == "AWS IoT Certificate");
    CHECK(parsed->issuer.at("CommonName").front().starts_with("iotcore issuing CA"));
  }
  CHECK(key_type_from("rsa1024") == std::nullopt);
}

TEST_CASE("a CSR keeps its key and subject, and is refused when weak or forged") {
  const Folder folder;
  const SystemClock clock;
  const auto ca = CertificateAuthority::open(folder.path(), clock);
  REQUIRE(ca);
  const auto request = [&](const std::string& key, const std::string& subject) {
    folder.run(
        "openssl req -new -nodes -newkey " + key + " -keyout k.pem -out r.csr -subj '" + subject +
        "'"
    );
    return *read_file(folder.path() / "r.csr");
  };
  const auto signed_pem = ca->sign_device_request(
      request("ec -pkeyopt ec_paramgen_curve:P-384", "/C=NO/O=Acme/OU=lab/OU=field/CN=dev-1")
  );
  REQUIRE(signed_pem);
  folder.put("d.pem", *signed_pem);
  CHECK(
      folder.run("openssl verify -x509_strict -CAfile ca.pem -untrusted intermediate.pem d.pem") ==
      "d.pem: OK\n"
  );
  CHECK(
      folder.run("openssl x509 -in d.pem -noout -pubkey") ==
      folder.run("openssl pkey -in k.pem -pubout")
  );
  const auto parsed = parse_certificate_pem(*signed_pem);
  REQUIRE(parsed);
  CHECK(parsed->subject.at("CommonName") == std::vector<std::string>{"dev-1"});
  CHECK(parsed->subject.at("OrganizationalUnit") == std::vector<std::string>{"lab", "field"});
  CHECK(parsed->subject.at("Country") == std::vector<std::string>{"NO"});

  CHECK(ca->sign_device_request(request("rsa:2048", "/")));
  const std::string weak = request("rsa:1024", "/CN=x");
  CHECK(ca->sign_device_request(weak).error().code() == Errc::kInvalidRequest);
  const std::string curve = request("ec -pkeyopt ec_paramgen_curve:secp256k1", "/CN=x");
  CHECK(ca->sign_device_request(curve).error().code() == Errc::kInvalidRequest);
  CHECK(ca->sign_device_request("").error().code() == Errc::kInvalidRequest);
  CHECK(ca->sign_device_request("nonsense").error().code() == Errc::kInvalidRequest);
  // Another subject under the old signature.
  request("ec -pkeyopt ec_paramgen_curve:P-256", "/CN=honest");
  folder.run("openssl req -in r.csr -outform DER | sed 's/honest/forged/' > f.der");
  folder.run("openssl req -inform DER -in f.der -out f.csr");
  const auto forged = ca->sign_device_request(*read_file(folder.path() / "f.csr"));
  REQUIRE_FALSE(forged);
  CHECK(forged.error().message() == "The CSR is not signed by its own key.");
}

// A caller's PEM text may say that it is encrypted. Nobody is asked for the passphrase then.
TEST_CASE("PEM that is encrypted is refused without a question on the terminal") {
  const Folder folder;
  const SystemClock clock;
  const auto ca = CertificateAuthority::open(folder.path(), clock);
  REQUIRE(ca);
  const auto device = ca->make_device_certificate(KeyType::kP256);
  REQUIRE(device);
  // OpenSSL's tools encrypt keys only; what they make of one differs in its name from a certificate or request that is encrypted.
  folder.put("k.pem", device->private_key_pem);
  std::string encrypted =
      folder.run("openssl ec -in k.pem -aes128 -passout pass:secret 2>/dev/null");
  REQUIRE(has(encrypted, "ENCRYPTED"));
  const auto named = [&encrypted](const std::string& name) {
    std::string text = encrypted;
    for (std::size_t at = text.find("EC PRIVATE KEY"); at != std::string::npos;
         at = text.find("EC PRIVATE KEY")) {
      text.replace(at, 14, name);
    }
    return text;
  };
  const StandardInput typed("secret\nsecret\nsecret\nsecret\n");
  CHECK_FALSE(parse_certificate_pem(named("CERTIFICATE")));
  CHECK_FALSE(ca->sign_device_request(named("CERTIFICATE REQUEST")));
  CHECK_FALSE(check_token_key(named("PUBLIC KEY")));
  char first = 0;
  CHECK(::read(STDIN_FILENO, &first, 1) == 1);  // nothing has been read of it
}

TEST_CASE("the server certificate follows its names and is renewed in time") {
  const Folder folder;
  ManualClock clock(SystemClock().wall());
  const auto ca = CertificateAuthority::open(folder.path(), clock);
  REQUIRE(ca);
  const std::vector<std::string> names = {"iot.example.com", "192.0.2.7", "*.devices.example.com"};
  const auto first = ca->server_certificate(folder.path(), names);
  REQUIRE(first);
  CHECK(
      folder.run("openssl verify -x509_strict -purpose sslserver -CAfile ca.pem -untrusted "
                 "server.pem server.pem") == "server.pem: OK\n"
  );
  const std::string text = folder.run("openssl x509 -in server.pem -noout -ext subjectAltName");
  for (const char* name :
       {"DNS:localhost",
        "IP Address:127.0.0.1",
        "IP Address:0:0:0:0:0:0:0:1",
        "DNS:iot.example.com",
        "IP Address:192.0.2.7",
        "DNS:*.devices.example.com"}) {
    CHECK(has(text, name));
  }
  CHECK(ca->server_certificate(folder.path(), names)->certificate_pem == first->certificate_pem);
  const std::vector<std::string> fewer = {"iot.example.com"};
  CHECK(ca->server_certificate(folder.path(), fewer)->certificate_pem == first->certificate_pem);
  const std::vector<std::string> more = {"new.example.com"};
  CHECK(ca->server_certificate(folder.path(), more)->certificate_pem != first->certificate_pem);

  const auto before = ca->server_certificate(folder.path(), more);
  clock.advance((397 - 31) * 24h);
  CHECK(ca->server_certificate(folder.path(), more)->certificate_pem == before->certificate_pem);
  clock.advance(48h);
  CHECK(ca->server_certificate(folder.path(), more)->certificate_pem != before->certificate_pem);

  const std::vector<std::string> wrong = {"a,DNS:evil.example"};
  CHECK(ca->server_certificate(folder.path(), wrong).error().code() == Errc::kInvalidRequest);
}

TEST_CASE("what policies may ask of a certificate is read from it") {
  const Folder folder;
  folder.run(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -out "
      "c.pem "
      "-days 2 -set_serial 0x8a01 -subj '/CN=dev/title=T/serialNumber=77' -addext "
      "'subjectAltName=DNS:a.example,DNS:b.example,email:x@y.example,URI:urn:z,IP:192.0.2.1,IP:"
      "2001:db8::1'"
  );
  const auto parsed = parse_certificate_pem(*read_file(folder.path() / "c.pem"));
  REQUIRE(parsed);
  CHECK(parsed->serial_number == "8a01");
  CHECK(parsed->subject.at("Title").front() == "T");
  CHECK(parsed->subject.at("SerialNumber").front() == "77");
  CHECK(parsed->subject.at("AlternativeName.DNSName").size() == 2);
  CHECK(parsed->subject.at("AlternativeName.RFC822Name").front() == "x@y.example");
  CHECK(parsed->subject.at("AlternativeName.UniformResourceIdentifier").front() == "urn:z");
  CHECK(parsed->subject.at("AlternativeName.IPAddress").front() == "192.0.2.1");
  CHECK(parsed->subject.at("AlternativeName.IPAddress").back() == "2001:db8:0:0:0:0:0:1");
  CHECK(parse_certificate_der(parsed->der)->id == parsed->id);
  CHECK(parse_certificate_der("no").error().code() == Errc::kCertificateValidation);
  CHECK(parse_certificate_pem("").error().code() == Errc::kCertificateValidation);
}

}  // namespace
}  // namespace iotcore::registry::pki
