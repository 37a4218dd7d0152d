// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "requests.hpp"
#include "text/json_writer.hpp"
#include "text/sha256.hpp"

#include <sp2dpo/annotate/question.hpp>

namespace sp2dpo::annotate {
namespace {

/// Tokens that a provider adds to a message.
constexpr std::uint64_t around_a_message = 16;

std::string json_of(std::string_view text) {
  std::string json;
  text::append_json(json, text);
  return json;
}

std::string json_of(double number) {
  std::string json;
  text::append_json(json, number);
  return json;
}

std::string json_of(const std::vector<Message>& messages) {
  std::string text;
  text::JsonWriter json(text);
  json.open('[');
  for (const auto& [role, content] : messages) {
    json.item().open('{');
    json.key("content").text(content);
    json.key("role").text(role);
    json.close('}');
  }
  json.close(']');
  return text;
}

/// Puts the schema into the message for servers that do not enforce one. Some servers require the
/// word "json". Version 1 keeps its sentence, which is part of the requests' keys.
void append_schema(std::string& to, const Prompt& prompt) {
  to += prompt.library_version() == 1 ? "\n\nThe object is to be as this JSON schema says:"
                                      : "\n\nThe object must match this JSON schema:";
  to += "\n```json\n" + prompt.schema() + "\n```";
}

/// Renders a request, given its messages.
ChatRequest request_with(const Question& question, std::vector<Message> messages) {
  const Judge& judge = *question.judge;
  const Prompt& prompt = *question.prompt;
  const Decoding& decoding = judge.decoding;

  std::map<std::string, std::string, std::less<>> fields = decoding.extra;
  ChatRequest request;
  request.max_tokens = decoding.max_tokens;
  switch (judge.capabilities.structured) {
    case Structured::json_schema:
      // The schema keeps the order of its properties, in which the judge writes them: reasons come
      // before the verdict that follows from them. All other keys are sorted.
      fields["response_format"] = R"({"json_schema":{"name":"verdict","schema":)" +
                                  prompt.schema() + R"(,"strict":true},"type":"json_schema"})";
      request.prompt_bytes += prompt.schema().size();
      break;
    case Structured::json_object:
      fields["response_format"] = R"({"type":"json_object"})";
      append_schema(messages.front().content, prompt);
      break;
    case Structured::text:
      append_schema(messages.front().content, prompt);
      break;
  }
  for (const auto& message : messages)
    request.prompt_bytes += message.content.size() + around_a_message;

  fields["model"] = json_of(judge.model);
  fields["messages"] = json_of(messages);
  fields[judge.capabilities.max_tokens_field] = std::to_string(decoding.max_tokens);
  if (decoding.temperature) fields["temperature"] = json_of(*decoding.temperature);
  if (decoding.top_p) fields["top_p"] = json_of(*decoding.top_p);
  if (decoding.seed) fields["seed"] = std::to_string(*decoding.seed + question.sample);
  if (decoding.top_logprobs) {
    fields["logprobs"] = "true";
    fields["top_logprobs"] = std::to_string(*decoding.top_logprobs);
  }
  text::JsonWriter body(request.body);
  body.open('{');
  for (const auto& [name, value] : fields) body.key(name).raw(value);
  body.close('}');

  std::string identity;
  text::JsonWriter json(identity);
  json.open('{');
  json.key("family").text(judge.family);
  json.key("request").raw(request.body);
  json.key("revision").text(judge.revision);
  json.key("sample").integer(question.sample);
  json.key("version").integer(1);
  json.close('}');
  text::Sha256 hash;
  hash.update(identity);
  request.key = text::hex(hash.finish());
  return request;
}

}  // namespace

ChatRequest make_request(const Question& question, const PreferencePair& pair) {
  ++requests_made;
  return request_with(question,
                      question.prompt->render(pair, question.order.value_or(Order::chosen_first)));
}

bool may_reply_otherwise(const Judge& judge) {
  const Decoding& decoding = judge.decoding;
  return decoding.seed.has_value() || decoding.temperature != 0.0;
}

std::string request_identity(const Question& question) {
  // Two prompts render every pair to the same messages if and only if they have the template, on
  // which the mark in each user message depends, the form and the system message in common.
  const Prompt& prompt = *question.prompt;
  const char* const form = prompt.form() == Form::blind ? " blind" : " informed";
  return request_with(question, {{"system", prompt.system()}, {"user", prompt.sha256() + form}})
      .key;
}

AnnotatorId annotator_id(const Question& question) {
  return {question.judge->name, question.prompt->name()};
}

}  // namespace sp2dpo::annotate
