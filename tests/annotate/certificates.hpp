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

/// A fresh certificate and its key, in memory and as PEM files.
struct Certificate {
  std::unique_ptr<EVP_PKEY, FreeOpenSsl> key;
  std::unique_ptr<X509, FreeOpenSsl> x509;
  std::filesystem::path file;
  std::filesystem::path key_file;
};

/// Makes a certificate for `names` ("DNS:localhost,IP:127.0.0.1"), signed by `issuer`, or by itself
/// if that is null. Empty names make an authority. It is valid for `days` from now; a negative
/// number makes one that has expired.
[[nodiscard]] Certificate make_certificate(const std::filesystem::path& folder,
                                           const std::string& name, const std::string& names,
                                           const Certificate* issuer, int days = 1);

}  // namespace sp2dpo::annotate::test
