// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "presets.hpp"
#include "text/json_writer.hpp"
#include "text/sha256.hpp"
#include "toml_table.hpp"

#include <sp2dpo/annotate/panel_config.hpp>
#include <sp2dpo/annotate/question.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;

constexpr double very_large = 1e15;

/// A choice among names.
template <class Choice, std::size_t N>
void read_choice(TomlTable& table, std::string_view key, Choice& to,
                 const std::pair<std::string_view, Choice> (&choices)[N]) {
  std::string name;
  if (!table.read(key, name)) return;
  std::string known;
  for (const auto& [text, choice] : choices) {
    if (text == name) {
      to = choice;
      return;
    }
    ((known += known.empty() ? "\"" : ", \"") += text) += '"';
  }
  table.fail(key, fmt::format("expected one of {}, not \"{}\"", known, name));
}

void read_seconds(TomlTable& table, std::string_view key, milliseconds& to) {
  double seconds = 0;
  if (table.read(key, seconds, 0.001, 1e6))
    to = milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

std::string json_of(const TomlTable& table, const std::string& name, const toml::node& node);

std::string json_of_items(const TomlTable& table, const std::string& name, const toml::node& node) {
  std::string text;
  text::JsonWriter json(text);
  if (const auto* list = node.as_array()) {
    json.open('[');
    for (const toml::node& item : *list) json.item().raw(json_of(table, name, item));
    json.close(']');
    return text;
  }
  std::map<std::string, std::string> fields;
  for (const auto& [key, item] : *node.as_table())
    fields.emplace(std::string(key.str()), json_of(table, name, item));
  json.open('{');
  for (const auto& [key, value] : fields) json.key(key).raw(value);
  json.close('}');
  return text;
}

/// A field of the request, of whatever type.
std::string json_of(const TomlTable& table, const std::string& name, const toml::node& node) {
  if (node.is_array() || node.is_table()) return json_of_items(table, name, node);
  std::string json;
  if (const auto text = node.value_exact<std::string>())
    text::append_json(json, *text);
  else if (const auto yes = node.value_exact<bool>())
    json = *yes ? "true" : "false";
  else if (const auto integer = node.value_exact<std::int64_t>())
    json = std::to_string(*integer);
  else if (const auto number = node.value_exact<double>(); number && std::isfinite(*number))
    text::append_json(json, *number);
  else
    table.fail(name, fmt::format("JSON has no such value: {}", TomlTable::kind_of(node)));
  return json;
}

void read_capabilities(TomlTable table, Capabilities& can) {
  read_choice<Structured>(table, "structured", can.structured,
                          {{"json_schema", Structured::json_schema},
                           {"json_object", Structured::json_object},
                           {"text", Structured::text}});
  table.read("max_tokens_field", can.max_tokens_field);
  if (can.max_tokens_field != "max_tokens" && can.max_tokens_field != "max_completion_tokens")
    table.fail("max_tokens_field", "expected \"max_tokens\" or \"max_completion_tokens\", not \"" +
                                       can.max_tokens_field + "\"");
  table.read("temperature", can.temperature);
  table.read("seed", can.seed);
  table.read("logprobs", can.logprobs);
  table.finish();
}

void read_decoding(TomlTable table, Decoding& decoding) {
  table.read("max_tokens", decoding.max_tokens, 1, 1'000'000);
  double number = 0;
  if (table.read("temperature", number, 0, 2)) decoding.temperature = number;
  if (table.read("top_p", number, 0, 1)) decoding.top_p = number;
  std::int64_t seed = 0;
  if (table.read("seed", seed, 0)) decoding.seed = seed;
  int top = 0;
  if (table.read("top_logprobs", top, 0, 20)) decoding.top_logprobs = top;
  table.table("extra", [&](TomlTable extra) {
    static const std::set<std::string> own = {"max_completion_tokens",
                                              "max_tokens",
                                              "messages",
                                              "model",
                                              "n",
                                              "response_format",
                                              "stream",
                                              "temperature",
                                              "top_p",
                                              "seed",
                                              "logprobs",
                                              "top_logprobs"};
    extra.each([&](const std::string& name, const toml::node& node) {
      if (own.contains(name)) extra.fail(name, "has its own place, or none: it is not for extra");
      decoding.extra[name] = json_of(extra, name, node);
    });
  });
  table.finish();
}

/// What is asked for must be something that the server takes.
void check_decoding(const TomlTable& table, const Teacher& teacher) {
  const auto check = [&](bool wanted, bool can, const char* name) {
    if (wanted && !can)
      table.fail("decoding", fmt::format("{} is set, and can.{} is false", name, name));
  };
  check(teacher.decoding.temperature.has_value(), teacher.capabilities.temperature, "temperature");
  check(teacher.decoding.seed.has_value(), teacher.capabilities.seed, "seed");
  check(teacher.decoding.top_logprobs.has_value(), teacher.capabilities.logprobs, "logprobs");
}

ListPrice read_price(TomlTable table) {
  ListPrice price;
  for (const auto& [key, to] :
       {std::pair{"prompt", &price.prompt}, std::pair{"completion", &price.completion}})
    if (!table.read(key, *to, 0, very_large)) table.fail(key, "is missing");
  table.read("batch_factor", price.batch_factor, 0, 1);
  table.read("date", price.date);
  table.read("currency", price.currency);
  table.finish();
  return price;
}

Teacher read_teacher(TomlTable& table) {
  Teacher teacher;
  std::string text;
  const bool known = table.read("preset", text);
  if (known) {
    const auto found = preset(text);
    if (!found)
      table.fail("preset",
                 fmt::format("unknown preset \"{}\"; there are: {}", text, preset_names()));
    teacher = *found;
  } else {
    teacher.decoding.temperature.reset();
  }
  table.read("name", teacher.name);
  table.read("model", teacher.model);
  table.read("family", teacher.family);
  table.read("revision", teacher.revision);

  EndpointOptions& endpoint = teacher.endpoint;
  table.read("base_url", endpoint.base_url);
  table.read("key_variable", endpoint.key_variable);
  table.read("ca_file", endpoint.ca_file);
  table.read("proxy", endpoint.proxy);
  table.read("allow_http", endpoint.allow_http);
  table.read("max_concurrent", endpoint.max_concurrent, 1, 10'000);
  table.read("requests_per_minute", endpoint.requests_per_minute, 0, very_large);
  table.read("tokens_per_minute", endpoint.tokens_per_minute, 0, very_large);
  table.read("max_attempts", endpoint.max_attempts, 1, 1000);
  read_seconds(table, "connect_timeout", endpoint.connect_timeout);
  read_seconds(table, "timeout", endpoint.timeout);
  read_seconds(table, "max_retry_after", endpoint.max_retry_after);
  read_seconds(table, "max_outage", endpoint.max_outage);

  table.table("can",
              [&](TomlTable can) { read_capabilities(std::move(can), teacher.capabilities); });
  // The preset's own temperature yields to a server that is said to take none.
  if (!teacher.capabilities.temperature) teacher.decoding.temperature.reset();
  table.table("decoding",
              [&](TomlTable decoding) { read_decoding(std::move(decoding), teacher.decoding); });
  check_decoding(table, teacher);
  table.table("price", [&](TomlTable price) { teacher.price = read_price(std::move(price)); });
  table.read("reasks", teacher.reasks, 0, 10);
  table.read("first_sample", teacher.first_sample, 0);
  for (const auto& [key, value] :
       {std::pair{"name", &teacher.name}, std::pair{"model", &teacher.model},
        std::pair{"family", &teacher.family}, std::pair{"base_url", &endpoint.base_url}})
    if (value->empty()) table.fail(key, "is missing");
  table.finish();
  return teacher;
}

PromptOptions read_prompt_options(TomlTable& table) {
  PromptOptions options;
  read_choice<Form>(table, "form", options.form,
                    {{"informed", Form::informed}, {"blind", Form::blind}});
  std::vector<CategoryMeaning> categories;
  table.tables("category", [&](TomlTable item) {
    CategoryMeaning category;
    if (!item.read("name", category.name) || category.name.empty()) item.fail("name", "is missing");
    for (const auto& usual : options.categories)
      if (usual.name == category.name) category.meaning = usual.meaning;
    item.read("meaning", category.meaning);
    if (category.meaning.empty())
      item.fail("meaning", "is missing: teachers are told what a category means");
    item.finish();
    if (std::ranges::find(categories, category.name, &CategoryMeaning::name) != categories.end())
      item.fail("name", fmt::format("the category \"{}\" is there twice", category.name));
    categories.push_back(std::move(category));
  });
  if (!categories.empty()) options.categories = std::move(categories);
  return options;
}

std::vector<Prompt> pick_prompts(TomlTable& table, std::vector<Prompt> all) {
  std::vector<Prompt> picked;
  std::string known;
  for (const auto& prompt : all) known += (known.empty() ? "" : ", ") + prompt.name();
  const bool chosen = table.texts("prompts", [&](const std::string& name) {
    const auto found = std::ranges::find_if(all, [&](const Prompt& prompt) {
      return prompt.name() == name || prompt.name() == name + "-blind";
    });
    if (found == all.end())
      table.fail("prompts", fmt::format("unknown prompt \"{}\"; there are: {}", name, known));
    if (std::ranges::find(picked, found->name(), &Prompt::name) != picked.end())
      table.fail("prompts", fmt::format("the prompt \"{}\" is listed twice", name));
    picked.push_back(*found);
  });
  if (!chosen) return all;
  if (picked.empty()) table.fail("prompts", "is empty");
  return picked;
}

toml::table parse(const std::string& file) {
  try {
    return toml::parse_file(file);
  } catch (const toml::parse_error& error) {
    throw DataError(file, static_cast<std::int64_t>(error.source().begin.line), "",
                    std::string(error.description()));
  } catch (const BrokenToml&) {
    throw DataError(file, 0, "", "is no TOML");
  }
}

/// In the blind form the order is part of the question; in the informed one there is none.
std::vector<std::optional<Order>> orders_of(const PanelConfig& panel, const Prompt& prompt) {
  if (prompt.form() == Form::informed || panel.orders == Orders::random) return {std::nullopt};
  return {Order::chosen_first, Order::rejected_first};
}

/// Two teachers whose requests are the same would be one answer that counts twice.
void check_requests(const TomlTable& table, const PanelConfig& panel, const Teacher& teacher) {
  const PreferencePair pair{.id = "pair", .prompt = "prompt", .chosen = "a", .rejected = "b"};
  const auto key = [&](const Teacher& asked, int sample) {
    return make_request({&asked, &panel.prompts.front(), {}, asked.first_sample + sample}, pair)
        .key;
  };
  for (const auto& other : panel.teachers) {
    if (other.name == teacher.name)
      table.fail("name", fmt::format("two teachers are called \"{}\"", teacher.name));
    for (int i = 0; i < panel.samples; ++i)
      for (int j = 0; j < panel.samples; ++j)
        if (key(other, i) == key(teacher, j))
          table.fail("name", fmt::format("\"{}\" would send the same requests as \"{}\"; another "
                                         "first_sample would make them others",
                                         teacher.name, other.name));
  }
}

}  // namespace

PanelConfig read_panel_config(const std::filesystem::path& path,
                              const std::filesystem::path& prompts) {
  const std::string file = path.string();
  const toml::table document = parse(file);
  TomlTable table(file, document);
  PanelConfig panel;
  const PromptOptions options = read_prompt_options(table);
  std::string folder;
  table.read("prompts_folder", folder);
  const auto templates = !prompts.empty() ? prompts
                         : folder.empty() ? std::filesystem::path()
                                          : path.parent_path() / folder;
  panel.prompts = pick_prompts(
      table, templates.empty() ? built_in_prompts(options) : read_prompts(templates, options));
  read_choice<Orders>(table, "orders", panel.orders,
                      {{"both", Orders::both}, {"random", Orders::random}});
  if (options.form == Form::informed && table.has("orders"))
    table.fail("orders", "is for the blind form: an informed teacher is told which answer won");
  table.read("samples", panel.samples, 1, 1000);
  table.read("seed", panel.seed, 0, std::numeric_limits<std::int64_t>::max());
  const int count = table.tables("teacher", [&](TomlTable item) {
    Teacher teacher = read_teacher(item);
    check_requests(item, panel, teacher);
    panel.teachers.push_back(std::move(teacher));
  });
  if (count == 0) table.fail("teacher", "there is no [[teacher]]");
  table.finish();
  return panel;
}

Order random_order(std::string_view pair_id, std::uint64_t seed) {
  text::Sha256 hash;
  hash.update(std::to_string(seed) + "\n");
  hash.update(pair_id);
  return (hash.finish()[0] & 1U) == 0 ? Order::chosen_first : Order::rejected_first;
}

std::vector<PanelMember> panel_members(const PanelConfig& panel,
                                       std::span<Endpoint* const> endpoints) {
  detail::require(endpoints.empty() || endpoints.size() == panel.teachers.size(),
                  "{} endpoints for {} teachers", endpoints.size(), panel.teachers.size());
  std::vector<PanelMember> members;
  for (std::size_t t = 0; t < panel.teachers.size(); ++t) {
    const Teacher& teacher = panel.teachers[t];
    for (const Prompt& prompt : panel.prompts) {
      for (const auto& order : orders_of(panel, prompt)) {
        for (int i = 0; i < panel.samples; ++i) {
          const Question fixed{&teacher, &prompt, order, teacher.first_sample + i};
          const auto about = [fixed, seed = panel.seed](const PreferencePair& pair) {
            Question question = fixed;
            if (question.prompt->form() == Form::blind && !question.order)
              question.order = random_order(pair.id, seed);
            return question;
          };
          PanelMember member;
          member.id = annotator_id(fixed);
          member.sample = fixed.sample;
          member.family = teacher.family;
          member.model = teacher.model;
          member.endpoint = endpoints.empty() ? nullptr : endpoints[t];
          if (teacher.price) member.price = {teacher.price->prompt, teacher.price->completion};
          member.max_asks = 1 + teacher.reasks;
          member.question = [about](const PreferencePair& pair) {
            const Question question = about(pair);
            return PanelQuestion{make_request(question, pair), question.order};
          };
          member.read = [about](const PreferencePair& pair, std::string_view body) {
            const Question question = about(pair);
            ReadAnswer answer{read_answer(question, pair, make_request(question, pair).key, body)};
            if (const auto* failure = std::get_if<AnnotationFailure>(&answer.outcome)) {
              answer.failure_class = name(failure->kind);
              answer.ask_again = may_mend(failure->kind);
            }
            return answer;
          };
          members.push_back(std::move(member));
        }
      }
    }
  }
  return members;
}

}  // namespace sp2dpo::annotate
