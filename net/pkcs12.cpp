#include "net/pkcs12.h"

#include "net/free_with.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include <memory>

namespace iotcore::net {
namespace {

using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;

std::string text_of(BIO* bio) {
  const char* data = nullptr;
  // The function behind BIO_get_mem_data, which casts in the old style.
  const long size = BIO_ctrl(bio, BIO_CTRL_INFO, 0, &data);
  return size <= 0 ? std::string() : std::string(data, static_cast<std::size_t>(size));
}

std::string pem_of(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

// sk_X509_num and sk_X509_value cast in the old style.
int count_of(const STACK_OF(X509) * all) {
  return OPENSSL_sk_num(reinterpret_cast<const OPENSSL_STACK*>(all));
}

X509* certificate_at(const STACK_OF(X509) * all, int at) {
  return static_cast<X509*>(OPENSSL_sk_value(reinterpret_cast<const OPENSSL_STACK*>(all), at));
}

}  // namespace

Result<Pkcs12> open_pkcs12(std::string_view bytes, const std::string& password) {
  const Bio bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  const std::unique_ptr<PKCS12, FreeWith<PKCS12_free>> store(d2i_PKCS12_bio(bio.get(), nullptr));
  if (store == nullptr) {
    ERR_clear_error();
    return fail(Errc::kInvalidRequest, "is neither PEM nor PKCS#12");
  }
  EVP_PKEY* raw_key = nullptr;
  X509* raw_certificate = nullptr;
  STACK_OF(X509)* raw_others = nullptr;
  const int parsed =
      PKCS12_parse(store.get(), password.c_str(), &raw_key, &raw_certificate, &raw_others);
  const std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>> key(raw_key);
  const std::unique_ptr<X509, FreeWith<X509_free>> certificate(raw_certificate);
  Pkcs12 opened;
  for (int i = 0; raw_others != nullptr && i < count_of(raw_others); ++i) {
    X509* each = certificate_at(raw_others, i);
    opened.ca_pem += pem_of(each);
    X509_free(each);
  }
  OPENSSL_sk_free(reinterpret_cast<OPENSSL_STACK*>(raw_others));
  if (parsed != 1) {
    ERR_clear_error();
    return fail(Errc::kInvalidRequest, "cannot be opened with that password");
  }
  if (certificate != nullptr) {
    opened.certificate_pem = pem_of(certificate.get());
  }
  if (key != nullptr) {
    const Bio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    opened.key_pem = text_of(out.get());
  }
  return opened;
}

}  // namespace iotcore::net
