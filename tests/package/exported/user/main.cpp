// SPDX-License-Identifier: Apache-2.0
#include <cstddef>

std::size_t n_missing();

int main() {
  return static_cast<int>(n_missing());
}
