// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "text/sha256.hpp"

#include <sp2dpo/annotate/panel.hpp>

namespace sp2dpo::annotate {

Order random_order(std::string_view pair_id, std::uint64_t seed) {
  text::Sha256 hash;
  hash.update(std::to_string(seed) + "\n");
  hash.update(pair_id);
  return (hash.finish()[0] & 1U) == 0 ? Order::chosen_first : Order::rejected_first;
}

Question PanelMember::about(std::string_view pair_id) const {
  Question question{judge, prompt, order, sample};
  if (prompt->form() == Form::blind && !order) question.order = random_order(pair_id, seed);
  return question;
}

}  // namespace sp2dpo::annotate
