// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/evp.h>

namespace sp2dpo::text {

/// Incremental SHA-256. Not thread-safe.
class Sha256 {
 public:
  using Digest = std::array<unsigned char, 32>;

  Sha256();
  void update(std::string_view bytes);
  /// The digest of everything since the last finish().
  Digest finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

[[nodiscard]] std::string hex(const Sha256::Digest& digest);

/// SHA-256 of `bytes` in hex.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

}  // namespace sp2dpo::text
