// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "json_rows.hpp"
#include "text/json_writer.hpp"
#include "text/sha256.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/pairs.hpp>

namespace sp2dpo::io {

namespace {

using Messages = std::vector<Message>;

Messages messages(const text::Field& field) {
  Messages list;
  field.each_item([&](const text::Field& item) {
    std::optional<std::string> role;
    std::optional<std::string> content;
    item.each([&](const text::Field& part) {
      if (part.key() == "role")
        role = part.name();
      else if (part.key() == "content")
        content = part.text();
      else
        part.check();
    });
    if (!role) item.fail("role", "is missing");
    if (!content) item.fail("content", "is missing");
    list.push_back({std::move(*role), std::move(*content)});
  });
  if (list.empty()) field.fail("expected at least one message");
  return list;
}

void assign(Text& text, const text::Field& field) {
  if (field.is_list()) {
    text = messages(field);
  } else if (!field.is_text()) {
    field.fail(fmt::format("expected a string or a list of messages, not {}", field.json()));
  } else if (auto* plain = std::get_if<std::string>(&text)) {
    plain->assign(field.text());
  } else {
    text = std::string(field.text());
  }
}

/// Moves the messages that both responses start with to the prompt.
void split_off_prompt(const text::Field& row, PreferencePair& pair) {
  auto& chosen = std::get<Messages>(pair.chosen);
  auto& rejected = std::get<Messages>(pair.rejected);
  const auto shared = std::ranges::mismatch(chosen, rejected).in1 - chosen.begin();
  if (shared == 0)
    row.fail("prompt", "is missing, and the responses share no first message to use as the prompt");
  if (shared == std::ssize(chosen) && shared == std::ssize(rejected))
    row.fail("rejected", "is the same conversation as \"chosen\"");
  if (shared == std::ssize(chosen)) row.fail("chosen", "equals the beginning of \"rejected\"");
  if (shared == std::ssize(rejected)) row.fail("rejected", "equals the beginning of \"chosen\"");
  pair.prompt =
      Messages(std::move_iterator(chosen.begin()), std::move_iterator(chosen.begin() + shared));
  chosen.erase(chosen.begin(), chosen.begin() + shared);
  rejected.erase(rejected.begin(), rejected.begin() + shared);
}

std::string_view id_column(const PairReaderOptions& options) {
  if (options.id_field.empty()) return "id";
  return options.id_field;
}

std::string content_id(const PreferencePair& pair, text::Sha256& hash) {
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  text::append(json.key("chosen"), pair.chosen);
  text::append(json.key("prompt"), pair.prompt);
  text::append(json.key("rejected"), pair.rejected);
  json.close('}');
  hash.update(text);
  return text::hex(hash.finish()).substr(0, 16);
}

}  // namespace

std::string content_id(const PreferencePair& pair) {
  text::Sha256 hash;
  return content_id(pair, hash);
}

PairReader::PairReader(RowsFrom rows, PairReaderOptions options)
    : RowReader(std::move(rows), options.lenient),
      options_(std::move(options)),
      content_(std::make_unique<text::Sha256>()) {
  for (const std::string_view taken : {"prompt", "chosen", "rejected"})
    detail::require(options_.id_field != taken, "the column \"{}\" cannot also be the id", taken);
}

PairReader::~PairReader() = default;

bool PairReader::next(PreferencePair& pair) {
  return next_row([&] {
    parse(pair);
    if (ids_.add(pair.id)) return true;
    if (options_.duplicates == PairReaderOptions::Duplicates::error)
      throw DataError(path().string(), line(), std::string(id_column(options_)),
                      fmt::format("duplicate id {}{}", pair.id, first_place_of(pair.id)));
    ++duplicates_;
    return false;
  });
}

/// Reads the file again, since a reader does not keep the line of every id.
std::string PairReader::first_place_of(const std::string& id) const {
  auto rows = source().again();
  if (options_.lenient || rows == nullptr) return "";
  PairReader again(std::move(rows), options_);
  PreferencePair pair;
  while (again.next(pair))
    if (pair.id == id) return fmt::format(", first in line {}", again.line());
  return "";
}

void PairReader::parse(PreferencePair& pair) {
  const text::Field row = json().row();
  const std::string_view id_field = id_column(options_);
  std::optional<text::Field> prompt;
  bool has_id = false;
  bool has_chosen = false;
  bool has_rejected = false;
  pair.columns.clear();
  row.each([&](const text::Field& field) {
    if (field.key() == id_field) {
      field.id(pair.id);
      has_id = true;
    } else if (field.key() == "prompt") {
      prompt.emplace(field);
    } else if (field.key() == "chosen") {
      assign(pair.chosen, field);
      has_chosen = true;
    } else if (field.key() == "rejected") {
      assign(pair.rejected, field);
      has_rejected = true;
    } else {
      pair.columns.emplace(field.key(), field.json());
    }
  });
  if (!has_chosen) row.fail("chosen", "is missing");
  if (!has_rejected) row.fail("rejected", "is missing");
  const bool conversation = std::holds_alternative<Messages>(pair.chosen);
  if (conversation != std::holds_alternative<Messages>(pair.rejected))
    row.fail("rejected", "must be text or a conversation as \"chosen\" is");

  if (!prompt && !conversation) row.fail("prompt", "is missing; only conversations may omit it");
  if (prompt) assign(pair.prompt, *prompt);
  const bool prompt_is_conversation = prompt && prompt->is_list();
  if (prompt_is_conversation && !conversation)
    prompt->fail("is a conversation, but the responses are text");
  if (conversation && !prompt_is_conversation) {
    // A text prompt beside whole conversations (UltraFeedback) repeats their first message.
    if (prompt) pair.columns.emplace("prompt", prompt->json());
    split_off_prompt(row, pair);
  }

  if (!has_id && !options_.id_field.empty()) row.fail(id_field, "is missing");
  if (!own_ids_) own_ids_ = has_id;
  if (has_id != *own_ids_)
    row.fail(id_field, has_id ? "is present, but the first row lacks it" : "is missing");
  if (!has_id) pair.id = content_id(pair, *content_);
}

std::vector<PreferencePair> read_pairs(RowsFrom rows, const PairReaderOptions& options) {
  PairReader reader(std::move(rows), options);
  std::vector<PreferencePair> pairs;
  for (PreferencePair pair; reader.next(pair);) pairs.push_back(std::move(pair));
  return pairs;
}

}  // namespace sp2dpo::io
