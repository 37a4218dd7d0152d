// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>

int main() {
  return at::ones({3}).sum().item<double>() == 3 ? 0 : 1;
}
