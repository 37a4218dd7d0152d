// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include <fmt/format.h>

#include <sp2dpo/annotate/chat_annotator.hpp>
#include <sp2dpo/annotate/question.hpp>

namespace sp2dpo::annotate {

ChatAnnotator::ChatAnnotator(Judge judge, Prompt prompt, Endpoint& endpoint,
                             std::optional<Order> order, std::int32_t sample)
    : judge_(std::move(judge)),
      prompt_(std::move(prompt)),
      endpoint_(endpoint),
      order_(prompt_.form() == Form::blind ? std::optional(order.value_or(Order::chosen_first))
                                           : std::nullopt),
      sample_(sample) {}

AnnotatorId ChatAnnotator::id() const {
  return annotator_id({.judge = &judge_, .prompt = &prompt_, .order = order_, .sample = sample_});
}

AnnotationOutcome ChatAnnotator::annotate(const PreferencePair& pair) const {
  const Question question{.judge = &judge_, .prompt = &prompt_, .order = order_, .sample = sample_};
  ChatRequest request = make_request(question, pair);
  const std::string key = request.key;
  const ChatReply reply = endpoint_.ask(std::move(request));
  if (reply.kind != ChatReply::Kind::answered) {
    if (const std::string why = endpoint_.stopped(); !why.empty())
      throw EndpointStopped(fmt::format("{}: {}", judge_.name, why));
  }
  return read_reply(question, pair, key, reply);
}

}  // namespace sp2dpo::annotate
