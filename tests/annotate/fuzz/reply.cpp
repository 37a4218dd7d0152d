// SPDX-License-Identifier: Apache-2.0
// Whatever a server sends, read_reply() returns a verdict or a named failure and never throws.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "../questions.hpp"

#include <sp2dpo/annotate/question.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sp2dpo::annotate;
  static const Judge judge = test::judge_named("t");
  static const sp2dpo::PreferencePair pair = test::plain_pair();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const char* const name : {"direct", "criteria"}) {
    const Question question{&judge, &test::prompt_named(name)};
    for (const auto& body : {std::string(bytes), test::body_with(bytes)}) {
      const auto outcome = read_reply(question, pair, "key", body);
      const auto* read = std::get_if<sp2dpo::Annotation>(&outcome);
      if (read != nullptr && !(read->magnitude >= 0 && read->magnitude <= 1 &&
                               read->confidence >= 0 && read->confidence <= 1))
        std::abort();
    }
  }
  return 0;
}
