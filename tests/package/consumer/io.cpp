// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/io/schedule.hpp>

int main() {
  sp2dpo::io::write_schedule("s.jsonl", sp2dpo::Schedule({{"p", 0.1}}), {});
  return sp2dpo::io::read_schedule("s.jsonl").schedule.find("p")->beta == 0.1 ? 0 : 1;
}
