// SPDX-License-Identifier: Apache-2.0
#include "text/sha256.hpp"

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::text {

namespace {

void check(int ok) {
  if (ok != 1) throw Error("SHA-256 of OpenSSL failed");
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  check(context_ ? 1 : 0);
  check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::update(std::string_view bytes) {
  check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

Sha256::Digest Sha256::finish() {
  Digest digest;
  check(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr));
  // Null keeps the algorithm; looking it up again takes longer than hashing a short text.
  check(EVP_DigestInit_ex(context_.get(), nullptr, nullptr));
  return digest;
}

std::string hex(const Sha256::Digest& digest) {
  std::string text;
  text.reserve(2 * digest.size());
  for (const unsigned char byte : digest) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hex(hash.finish());
}

}  // namespace sp2dpo::text
