// SPDX-License-Identifier: Apache-2.0
#include "certificates.hpp"

#include <cstdio>
#include <stdexcept>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace sp2dpo::annotate::test {
namespace {

void require_ok(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("no certificate: ") + what);
}

template <class Write>
void write_file(const std::filesystem::path& path, Write write) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"),
                                                             &std::fclose);
  require_ok(file != nullptr && write(file.get()) == 1, path.c_str());
}

void extend(X509* certificate, X509* issuer, int extension, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> made(
      X509V3_EXT_conf_nid(nullptr, &context, extension, value.c_str()), &X509_EXTENSION_free);
  require_ok(made != nullptr && X509_add_ext(certificate, made.get(), -1) == 1, value.c_str());
}

}  // namespace

Certificate make_certificate(const std::filesystem::path& folder, const std::string& name,
                             const std::string& names, const Certificate* issuer, int days) {
  Certificate made{.key = std::unique_ptr<EVP_PKEY, FreeOpenSsl>(EVP_EC_gen("P-256")),
                   .x509 = std::unique_ptr<X509, FreeOpenSsl>(X509_new()),
                   .file = folder / (name + ".pem"),
                   .key_file = folder / (name + "_key.pem")};
  X509* const x509 = made.x509.get();
  X509* const signer = issuer != nullptr ? issuer->x509.get() : x509;
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509),
                   static_cast<long>(std::hash<std::string>()(name) >> 34U));
  X509_gmtime_adj(X509_getm_notBefore(x509), -3L * 86400);
  X509_gmtime_adj(X509_getm_notAfter(x509), days * 86400L);
  X509_set_pubkey(x509, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(signer));
  extend(x509, signer, NID_basic_constraints, names.empty() ? "critical,CA:TRUE" : "CA:FALSE");
  if (!names.empty()) extend(x509, signer, NID_subject_alt_name, names);
  require_ok(X509_sign(x509, (issuer != nullptr ? issuer->key : made.key).get(), EVP_sha256()) > 0,
             "sign");
  write_file(made.file, [&](std::FILE* file) { return PEM_write_X509(file, x509); });
  write_file(made.key_file, [&](std::FILE* file) {
    return PEM_write_PrivateKey(file, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return made;
}

}  // namespace sp2dpo::annotate::test
