#include "tests/unit/server/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <stdexcept>

namespace neptune::server::test {

namespace {

struct Free {
  void operator()(EVP_PKEY* it) const { EVP_PKEY_free(it); }
  void operator()(X509* it) const { X509_free(it); }
  void operator()(BIO* it) const { BIO_free(it); }
  void operator()(X509_EXTENSION* it) const { X509_EXTENSION_free(it); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

void must(bool good) {
  if (!good) throw std::runtime_error("OpenSSL could not make a certificate");
}

void extend(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  must(extension != nullptr);
  must(X509_add_ext(certificate, extension.get(), -1) == 1);
}

Owned<X509> blank(const char* name, EVP_PKEY* key, int serial, bool expired) {
  Owned<X509> certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), expired ? -3600 : 3600);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  return certificate;
}

template <class Write>
std::string pem(Write write) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  must(write(bio.get()) == 1);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

struct Authority::Keys {
  Owned<EVP_PKEY> key;
  Owned<X509> certificate;
};

Authority::Authority() : keys_(std::make_unique<Keys>()) {
  keys_->key.reset(EVP_EC_gen("P-256"));
  must(keys_->key != nullptr);
  keys_->certificate = blank("Test Authority", keys_->key.get(), 1, false);
  auto* const own = keys_->certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(own));
  extend(own, own, NID_basic_constraints, "critical,CA:TRUE");
  extend(own, own, NID_key_usage, "critical,keyCertSign");
  must(X509_sign(own, keys_->key.get(), EVP_sha256()) > 0);

  std::string path = (std::filesystem::temp_directory_path() / "neptune-ca-XXXXXX").string();
  const int descriptor = ::mkstemp(path.data());
  must(descriptor >= 0);
  ::close(descriptor);
  file_ = path;
  std::ofstream(file_) << pem([&](BIO* bio) { return PEM_write_bio_X509(bio, own); });
}

Authority::~Authority() {
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

Identity Authority::issue(const std::string& names, bool expired) const {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const auto certificate = blank("Test Server", key.get(), 2, expired);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(keys_->certificate.get()));
  extend(certificate.get(), keys_->certificate.get(), NID_subject_alt_name, names);
  must(X509_sign(certificate.get(), keys_->key.get(), EVP_sha256()) > 0);
  return {pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }), pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace neptune::server::test
