// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace sp2dpo::annotate::test {

struct FreeOpenSsl {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

/// A certificate made on the spot, and its key, both also as PEM files.
struct Certificate {
  std::unique_ptr<EVP_PKEY, FreeOpenSsl> key;
  std::unique_ptr<X509, FreeOpenSsl> x509;
  std::filesystem::path file;
  std::filesystem::path key_file;
};

/// For `names` ("DNS:localhost,IP:127.0.0.1"), signed by `issuer`, by itself where that is null; an
/// authority where `names` is empty. Good for `days` from now on, or past by so many.
[[nodiscard]] Certificate make_certificate(const std::filesystem::path& folder,
                                           const std::string& name, const std::string& names,
                                           const Certificate* issuer, int days = 1);

}  // namespace sp2dpo::annotate::test
