// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/parquet/rows.hpp>
#include <sp2dpo/parquet/schedule.hpp>

int main() {
  sp2dpo::io::write_parquet_schedule("s.parquet", sp2dpo::Schedule({{"p", 0.1}}), {});
  const auto file = sp2dpo::io::read_schedule(sp2dpo::io::parquet_rows("s.parquet"));
  return file.schedule.find("p")->beta == 0.1 ? 0 : 1;
}
