// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/panel_config.hpp>
#include <sp2dpo/annotate/store.hpp>

int main() {
  using namespace sp2dpo::annotate;
  const Endpoint endpoint({.base_url = "http://127.0.0.1:1/v1"});
  std::filesystem::remove("store.db");
  Store store("store.db");
  store.add(StoredReply{.key = "k", .body = "{}"});
  store.commit();
  return endpoint.unfinished() == 0 && store.count_replies("k") == 1 &&
                 built_in_prompts().size() == 3
             ? 0
             : 1;
}
