// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "presets.hpp"
#include "prompt/choose_prompts.hpp"
#include "prompt/requests.hpp"
#include "text/json_writer.hpp"
#include "toml_table.hpp"
#include "wire/address.hpp"

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
  table.fail(key, fmt::format("expected one of {}, got \"{}\"", known, name));
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

void read_capabilities(TomlTable table, Capabilities& can, EndpointOptions& endpoint) {
  read_choice<Structured>(table, "structured", can.structured,
                          {{"json_schema", Structured::json_schema},
                           {"json_object", Structured::json_object},
                           {"text", Structured::text}});
  table.read("max_tokens_field", can.max_tokens_field);
  if (can.max_tokens_field != "max_tokens" && can.max_tokens_field != "max_completion_tokens")
    table.fail("max_tokens_field", "expected \"max_tokens\" or \"max_completion_tokens\", got \"" +
                                       can.max_tokens_field + "\"");
  table.read("temperature", can.temperature);
  table.read("seed", can.seed);
  table.read("logprobs", can.logprobs);
  table.texts("finish_reasons", [&](const std::string& reason) {
    if (reason.empty()) table.fail("finish_reasons", "has an empty item");
    endpoint.finish_reasons.push_back(reason);
  });
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
      if (name == "stream") extra.fail(name, "is not allowed in extra; false is always sent");
      if (own.contains(name)) extra.fail(name, "is not allowed in extra");
      decoding.extra[name] = json_of(extra, name, node);
    });
  });
  table.finish();
}

/// Refuses a decoding parameter that the server does not accept.
void check_decoding(const TomlTable& table, const Judge& judge) {
  const auto check = [&](bool wanted, bool can, const char* name) {
    if (wanted && !can)
      table.fail("decoding", fmt::format("{} is set, and can.{} is false", name, name));
  };
  check(judge.decoding.temperature.has_value(), judge.capabilities.temperature, "temperature");
  check(judge.decoding.seed.has_value(), judge.capabilities.seed, "seed");
  check(judge.decoding.top_logprobs.has_value(), judge.capabilities.logprobs, "logprobs");
}

/// Refuses an address or a header under the key that holds it.
void check_endpoint(const TomlTable& table, const Judge& judge) {
  try {
    static_cast<void>(read_address(judge.endpoint));
  } catch (const InvalidArgument& error) {
    const std::string_view message = error.what();
    for (const char* const key : {"key_variable", "key_header", "headers", "proxy"})
      if (message.starts_with(key)) table.fail(key, fmt::format("{}: {}", judge.name, message));
    table.fail("base_url", fmt::format("{}: {}", judge.name, message));
  }
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

Judge read_judge(TomlTable& table) {
  Judge judge;
  std::string text;
  const bool known = table.read("preset", text);
  if (known) {
    const auto found = preset(text);
    if (!found)
      table.fail("preset",
                 fmt::format("unknown preset \"{}\"; expected one of: {}", text, preset_names()));
    judge = *found;
  } else {
    judge.decoding.temperature.reset();
  }
  table.read("name", judge.name);
  table.read("model", judge.model);
  table.read("family", judge.family);
  table.read("revision", judge.revision);

  EndpointOptions& endpoint = judge.endpoint;
  table.read("base_url", endpoint.base_url);
  table.read("key_variable", endpoint.key_variable);
  table.read("key_header", endpoint.key_header);
  table.table("headers", [&](TomlTable headers) {
    headers.each([&](const std::string& name, const toml::node& node) {
      const auto value = node.value_exact<std::string>();
      if (!value) headers.fail(name, "expected a string, got " + TomlTable::kind_of(node));
      endpoint.headers[name] = *value;
    });
  });
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

  table.table("can", [&](TomlTable can) {
    read_capabilities(std::move(can), judge.capabilities, endpoint);
  });
  // The preset's own temperature yields to a server that is said to take none.
  if (!judge.capabilities.temperature) judge.decoding.temperature.reset();
  table.table("decoding",
              [&](TomlTable decoding) { read_decoding(std::move(decoding), judge.decoding); });
  check_decoding(table, judge);
  table.table("price", [&](TomlTable price) { judge.price = read_price(std::move(price)); });
  table.read("reasks", judge.reasks, 0, 10);
  table.read("first_sample", judge.first_sample, 0);
  for (const auto& [key, value] :
       {std::pair{"name", &judge.name}, std::pair{"model", &judge.model},
        std::pair{"family", &judge.family}, std::pair{"base_url", &endpoint.base_url}})
    if (value->empty()) table.fail(key, "is missing");
  table.finish();
  check_endpoint(table, judge);
  judge.origin = fmt::format("{}:{}", table.file(), table.line());
  return judge;
}

PromptOptions read_prompt_options(TomlTable& table) {
  PromptOptions options;
  read_choice<Form>(table, "form", options.form,
                    {{"informed", Form::informed}, {"blind", Form::blind}});
  auto& categories = options.categories;
  const auto defaults = default_category_meanings();
  table.tables("category", [&](TomlTable item) {
    CategoryMeaning category;
    if (!item.read("name", category.name) || category.name.empty()) item.fail("name", "is missing");
    item.read("meaning", category.meaning);
    if (category.meaning.empty() &&
        std::ranges::find(defaults, category.name, &CategoryMeaning::name) == defaults.end())
      item.fail("meaning", "is missing: judges are told the meaning of each category");
    item.finish();
    if (std::ranges::find(categories, category.name, &CategoryMeaning::name) != categories.end())
      item.fail("name", fmt::format("duplicate category \"{}\"", category.name));
    categories.push_back(std::move(category));
  });
  return options;
}

/// Returns the built-in prompts in every version.
std::vector<Prompt> every_built_in_prompt(PromptOptions options) {
  std::vector<Prompt> prompts;
  for (int version = 1; version <= latest_prompt_version; ++version) {
    options.library_version = version;
    std::ranges::move(built_in_prompts(options), std::back_inserter(prompts));
  }
  return prompts;
}

std::vector<Prompt> read_chosen_prompts(TomlTable& table, const std::vector<Prompt>& candidates,
                                        int version) {
  std::vector<std::string> listed;
  const bool given =
      table.texts("prompts", [&](const std::string& name) { listed.push_back(name); });
  if (given && listed.empty()) table.fail("prompts", "is empty");
  try {
    return choose_prompts(listed, candidates, version);
  } catch (const InvalidArgument& error) {
    table.fail("prompts", error.what());
  }
}

toml::table parse(const std::string& file) {
  try {
    return toml::parse_file(file);
  } catch (const toml::parse_error& error) {
    throw DataError(file, static_cast<std::int64_t>(error.source().begin.line), "",
                    std::string(error.description()));
  } catch (const BrokenToml&) {
    throw DataError(file, 0, "", "is not TOML");
  }
}

/// Returns the orders to ask in. Only a question in the blind form can have a fixed order.
std::vector<std::optional<Order>> orders_of(const PanelConfig& panel, const Prompt& prompt) {
  if (prompt.form() == Form::informed || panel.orders == Orders::random) return {std::nullopt};
  return {Order::chosen_first, Order::rejected_first};
}

/// Refuses a judge whose requests another judge sends as well: one reply would count twice.
void check_requests(const TomlTable& table, const PanelConfig& panel, const Judge& judge) {
  const auto identities = [&](const Judge& asked) {
    std::set<std::string> found;
    for (int i = 0; i < panel.samples; ++i)
      found.insert(request_identity({&asked, &panel.prompts.front(), {}, asked.first_sample + i}));
    return found;
  };
  const auto own = identities(judge);
  for (const auto& other : panel.judges) {
    if (other.name == judge.name)
      table.fail("name", fmt::format("two judges are called \"{}\"", judge.name));
    if (std::ranges::any_of(identities(other),
                            [&](const std::string& identity) { return own.contains(identity); }))
      table.fail("name", fmt::format("\"{}\" would send the same requests as \"{}\"; give them "
                                     "different values of first_sample",
                                     judge.name, other.name));
  }
}

}  // namespace

PanelConfig read_panel_config(const std::filesystem::path& path,
                              const std::filesystem::path& prompts, int prompt_version) {
  const std::string file = path.string();
  const toml::table document = parse(file);
  TomlTable table(file, document);
  PanelConfig panel;
  PromptOptions options = read_prompt_options(table);
  std::string folder;
  table.read("prompts_folder", folder);
  const auto templates = !prompts.empty() ? prompts
                         : folder.empty() ? std::filesystem::path()
                                          : path.parent_path() / folder;
  options.library_version = prompt_version;
  panel.built_in_prompts = templates.empty();
  panel.prompts = read_chosen_prompts(
      table, templates.empty() ? every_built_in_prompt(options) : read_prompts(templates, options),
      prompt_version);
  read_choice<Orders>(table, "orders", panel.orders,
                      {{"both", Orders::both}, {"random", Orders::random}});
  if (options.form == Form::informed && table.has("orders"))
    table.fail("orders",
               "applies to the blind form only: an informed judge is told which response won");
  table.read("samples", panel.samples, 1, 1000);
  table.read("seed", panel.seed, 0, std::numeric_limits<std::int64_t>::max());
  const int count = table.tables("teacher", [&](TomlTable item) {
    Judge judge = read_judge(item);
    check_requests(item, panel, judge);
    panel.judges.push_back(std::move(judge));
  });
  if (count == 0) table.fail("teacher", "expected at least one [[teacher]]");
  table.finish();
  return panel;
}

std::vector<PanelMember> panel_members(const PanelConfig& panel,
                                       std::span<Endpoint* const> endpoints) {
  detail::require(endpoints.empty() || endpoints.size() == panel.judges.size(),
                  "expected one endpoint per judge, got {} for {} judges", endpoints.size(),
                  panel.judges.size());
  std::vector<PanelMember> members;
  for (std::size_t j = 0; j < panel.judges.size(); ++j)
    for (const Prompt& prompt : panel.prompts)
      for (const auto& order : orders_of(panel, prompt))
        for (int i = 0; i < panel.samples; ++i)
          members.push_back({.judge = &panel.judges[j],
                             .prompt = &prompt,
                             .order = order,
                             .sample = panel.judges[j].first_sample + i,
                             .seed = panel.seed,
                             .endpoint = endpoints.empty() ? nullptr : endpoints[j]});
  return members;
}

}  // namespace sp2dpo::annotate
