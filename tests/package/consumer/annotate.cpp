// SPDX-License-Identifier: Apache-2.0
#include <sp2dpo/annotate/endpoint.hpp>

int main() {
  const sp2dpo::annotate::Endpoint endpoint({.base_url = "http://127.0.0.1:1/v1"});
  return endpoint.unfinished() == 0 ? 0 : 1;
}
