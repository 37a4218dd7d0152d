// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/report/table.hpp>

int main() {
  const auto table = sp2dpo::report::beta_table(sp2dpo::Schedule({{"p", 0.1}}));
  return table.find("0.1") != std::string::npos ? 0 : 1;
}
