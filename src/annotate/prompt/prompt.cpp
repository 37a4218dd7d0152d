// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "built_in_prompts.hpp"
#include "schema.hpp"
#include "text/field.hpp"
#include "text/json_writer.hpp"
#include "text/sha256.hpp"
#include "wire/trimmed.hpp"
#include <simdjson.h>

#include <sp2dpo/annotate/prompt.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

struct Section {
  std::string text;
  std::int64_t line = 0;  // number of its first line
};

/// The parts of a template.
struct Template {
  std::map<std::string, Section, std::less<>> head;  // `name: direct`
  std::map<std::string, Section, std::less<>> sections;
};

Template take_apart(std::string_view text, const std::string& origin) {
  constexpr std::array<std::string_view, 5> names = {"system", "informed", "informed schema",
                                                     "blind", "blind schema"};
  Template parts;
  Section* open = nullptr;
  std::int64_t number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.starts_with("# ")) {
      const auto name = trimmed(line.substr(2));
      if (std::ranges::find(names, name) == names.end())
        throw DataError(origin, number, "",
                        fmt::format("unknown section \"{}\"; expected one of: {}", name,
                                    fmt::join(names, ", ")));
      const auto [place, fresh] = parts.sections.try_emplace(std::string(name));
      if (!fresh)
        throw DataError(origin, number, "", fmt::format("duplicate section \"{}\"", name));
      open = &place->second;
      open->line = number + 1;
    } else if (open != nullptr) {
      (open->text += line) += '\n';
    } else if (!trimmed(line).empty()) {
      const auto colon = line.find(':');
      const auto key = trimmed(line.substr(0, std::min(colon, line.size())));
      if (colon == std::string_view::npos || (key != "name" && key != "version"))
        throw DataError(origin, number, "",
                        "expected \"name: …\" or \"version: …\" before the first section");
      if (!parts.head
               .try_emplace(std::string(key),
                            Section{std::string(trimmed(line.substr(colon + 1))), number})
               .second)
        throw DataError(origin, number, std::string(key), "duplicate key");
    }
  }
  for (auto& [name, section] : parts.sections) {
    const auto blank = std::min(section.text.find_first_not_of("\r\n"), section.text.size());
    section.line += std::ranges::count(section.text.substr(0, blank), '\n');
    section.text = trimmed(section.text);
  }
  return parts;
}

/// Calls `take` with each piece of literal text and the field that follows it.
template <class Take>
void walk(const Section& section, const std::string& origin,
          std::span<const std::string_view> fields, Take take) {
  std::set<std::string_view> used;
  const std::string_view text = section.text;
  std::size_t at = 0;
  for (;;) {
    const auto open = text.find("{{", at);
    if (open == std::string_view::npos) break;
    const auto line = section.line + std::ranges::count(text.substr(0, open), '\n');
    const auto close = text.find("}}", open);
    const auto name = text.substr(open + 2, std::min(close, text.size()) - open - 2);
    const auto field = std::ranges::find(fields, name);
    if (close == std::string_view::npos || field == fields.end())
      throw DataError(origin, line, "",
                      fmt::format("unknown field {{{{{}}}}}; expected one of: {}",
                                  name.substr(0, 40), fmt::join(fields, ", ")));
    used.insert(*field);
    take(text.substr(at, open - at), name);
    at = close + 2;
  }
  take(text.substr(at), std::string_view());
  for (const auto field : fields)
    if (!used.contains(field))
      throw DataError(origin, section.line, "",
                      fmt::format("the field {{{{{}}}}} is not used in this section", field));
}

/// Returns the section with `{{field}}` replaced.
std::string expand(const Section& section, const std::string& origin, std::string_view field,
                   std::string_view value) {
  std::string text;
  walk(section, origin, std::span(&field, 1), [&](std::string_view literal, std::string_view name) {
    text += literal;
    if (!name.empty()) text += value;
  });
  return text;
}

std::string list_for_people(std::span<const CategoryMeaning> categories) {
  std::string list;
  for (std::size_t i = 0; i < categories.size(); ++i)
    list += fmt::format("{}{}. {}: {}", i == 0 ? "" : "\n", i + 1, categories[i].name,
                        categories[i].meaning);
  return list;
}

std::string list_for_schema(std::span<const CategoryMeaning> categories) {
  std::string list;
  text::JsonWriter json(list);
  json.open('[');
  for (const auto& category : categories) json.item().text(category.name);
  json.close(']');
  return list;
}

void require_known_version(int version) {
  detail::require(version >= 1 && version <= latest_prompt_version,
                  "unknown prompt version {}; known versions: 1 to {}", version,
                  latest_prompt_version);
}

/// Returns the options' categories with every meaning filled in that the library knows.
std::vector<CategoryMeaning> meanings_of(const PromptOptions& options) {
  const auto defaults = default_category_meanings(options.library_version);
  if (options.categories.empty()) return defaults;
  auto categories = options.categories;
  for (auto& category : categories)
    if (const auto usual = std::ranges::find(defaults, category.name, &CategoryMeaning::name);
        category.meaning.empty() && usual != defaults.end())
      category.meaning = usual->meaning;
  return categories;
}

Categories names_of(std::span<const CategoryMeaning> categories) {
  std::vector<std::string> names;
  for (const auto& category : categories) {
    detail::require(!category.meaning.empty(), "category \"{}\" needs a meaning", category.name);
    names.push_back(category.name);
  }
  return Categories(std::move(names));
}

/// Checks that a schema describes a verdict and returns it without spaces.
std::string read_schema(const std::string& text, const std::string& origin, std::int64_t line,
                        Form form, const std::string& category_names) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (const auto error = parser.parse(text).get(document))
    throw DataError(origin, line, "",
                    fmt::format("the schema is not JSON: {}", simdjson::error_message(error)));
  const text::Field schema(origin, line, document);
  check_schema(schema);
  if (document["type"].get_string().value() != "object") schema.fail("type", "expected object");

  const simdjson::dom::element properties = document["properties"];
  const auto must_be = [&](std::string_view name, std::string_view wanted) {
    simdjson::dom::element property;
    if (properties[name].get(property) != simdjson::SUCCESS)
      schema.fail(name, "is missing from the schema of a verdict");
    if (property["type"].get_string().value() != wanted)
      schema.fail(name, fmt::format("must be of type {}", wanted));
    return property;
  };
  must_be("magnitude", "number");
  must_be("confidence", "number");
  const auto choices_of = [&](std::string_view name) {
    simdjson::dom::element choices;
    const bool there = must_be(name, "string")["enum"].get(choices) == simdjson::SUCCESS;
    return there ? simdjson::minify(choices) : std::string();
  };
  if (choices_of("category") != category_names)
    schema.fail("category", "must have \"enum\": {{category_names}}");
  if (form == Form::blind) {
    const auto choices = choices_of("preferred");
    if (choices != R"(["A","B","tie"])" && choices != R"(["A","B"])")
      schema.fail("preferred", R"(must have "enum": ["A", "B", "tie"] or ["A", "B"])");
  } else if (!properties["preferred"].error()) {
    schema.fail("preferred",
                "is for the blind form only: an informed judge is told which response won");
  }
  if (!properties["rationale"].error()) must_be("rationale", "string");
  return simdjson::minify(document);
}

/// Appends a text; a conversation turn by turn, each turn under a line with its role.
void append_block(std::string& to, const Text& text, std::string_view usual_role,
                  std::string_view mark) {
  if (const auto* plain = std::get_if<std::string>(&text)) {
    to += *plain;
    return;
  }
  const auto& turns = std::get<std::vector<Message>>(text);
  if (turns.size() == 1 && turns[0].role == usual_role) {  // reads like plain text
    to += turns[0].content;
    return;
  }
  for (std::size_t i = 0; i < turns.size(); ++i)
    to += fmt::format("{}{} turn {}, {}:\n{}", i == 0 ? "" : "\n", mark, i + 1, turns[i].role,
                      turns[i].content);
}

template <class F>
void each_part(const Text& text, F f) {
  if (const auto* plain = std::get_if<std::string>(&text)) return f(*plain);
  for (const auto& turn : std::get<std::vector<Message>>(text)) {
    f(turn.role);
    f(turn.content);
  }
}

/// Returns a mark that occurs in none of the texts. Equal texts have equal marks.
std::string mark_for(std::span<const Text* const> texts, std::string_view template_hash) {
  text::Sha256 hash;
  hash.update(template_hash);
  for (const Text* const text : texts) {
    hash.update(std::holds_alternative<std::string>(*text) ? "text\n" : "turns\n");
    each_part(*text, [&](const std::string& part) {
      hash.update(std::to_string(part.size()) + "\n");
      hash.update(part);
    });
  }
  const std::string digest = text::hex(hash.finish());
  for (int counter = 0;; ++counter) {
    hash.update(digest + std::to_string(counter));
    const std::string mark = "[[" + text::hex(hash.finish()).substr(0, 16) + "]]";
    bool occurs = false;
    for (const Text* const text : texts)
      each_part(*text,
                [&](const std::string& part) { occurs |= part.find(mark) != std::string::npos; });
    if (!occurs) return mark;
  }
}

void require_utf8(const PreferencePair& pair, const Text& text, std::string_view what) {
  each_part(text, [&](const std::string& part) {
    detail::require(simdjson::validate_utf8(part), "pair {}: its {} is not UTF-8", pair.id, what);
  });
}

}  // namespace

std::vector<CategoryMeaning> default_category_meanings(int version) {
  require_known_version(version);
  if (version > 1)
    return {
        {"safety",
         "one response is more harmful: it helps with wrongdoing, endangers someone or is hateful, "
         "even if it is the more helpful one"},
        {"factuality",
         "one response contains a false or fabricated claim, or omits a fact that it needs to be "
         "correct"},
        {"instruction",
         "one response does not do what the prompt asks: it does a different task, breaks a "
         "constraint, or uses the wrong format or language"},
        {"reasoning", "one response contains an error in its calculation, logic, code or plan"},
        {"helpfulness",
         "one response is more useful: more complete, more relevant or better explained"},
        {"style", "the responses differ only in tone, wording, layout or length"}};
  return {
      {"safety",
       "one answer helps with something harmful, insults, or endangers somebody more than the "
       "other does (even where it is the more helpful one)"},
      {"factuality", "one answer states something false, invents it, or leaves out what is true"},
      {"instruction",
       "one answer does not do what was asked: another task, a broken constraint, a wrong format "
       "or language"},
      {"reasoning", "one answer calculates, deduces, programs or plans wrongly"},
      {"helpfulness", "one answer is of more use: more complete, to the point, better explained"},
      {"style", "tone, wording, layout or length, and nothing of the above"}};
}

Prompt::Prompt(std::string_view text, const std::string& origin, const PromptOptions& options)
    : library_version_(options.library_version), form_(options.form) {
  const auto categories = meanings_of(options);
  categories_ = names_of(categories);
  if (!simdjson::validate_utf8(text.data(), text.size()))
    throw DataError(origin, 0, "", "is not UTF-8");
  const Template parts = take_apart(text, origin);
  const auto part_of = [&](const auto& from, const char* kind, const std::string& key) {
    const auto found = from.find(key);
    if (found == from.end() || found->second.text.empty())
      throw DataError(origin, 0, "", fmt::format("has no {} \"{}\"", kind, key));
    return found->second;
  };
  name_ = part_of(parts.head, "line", "name").text;
  const Section version = part_of(parts.head, "line", "version");
  const char* const end = version.text.data() + version.text.size();
  if (const auto [stop, error] = std::from_chars(version.text.data(), end, version_);
      error != std::errc() || stop != end || version_ < 1)
    throw DataError(origin, version.line, "version",
                    "expected an integer from 1, got " + version.text);

  const bool blind = form_ == Form::blind;
  const std::string section = blind ? "blind" : "informed";
  if (blind) name_ += "-blind";
  text::Sha256 hash;
  hash.update(text);
  sha256_ = text::hex(hash.finish());

  system_ = expand(part_of(parts.sections, "section", "system"), origin, "categories",
                   list_for_people(categories));
  constexpr std::array<std::string_view, 4> told = {"mark", "prompt", "chosen", "rejected"};
  constexpr std::array<std::string_view, 4> asked = {"mark", "prompt", "answer_a", "answer_b"};
  walk(part_of(parts.sections, "section", section), origin, blind ? asked : told,
       [&](std::string_view literal, std::string_view field) {
         user_.push_back({std::string(literal), std::string(field)});
       });
  const Section schema = part_of(parts.sections, "section", section + " schema");
  const std::string names = list_for_schema(categories);
  schema_ = read_schema(expand(schema, origin, "category_names", names), origin, schema.line, form_,
                        names);
}

std::vector<Message> Prompt::render(const PreferencePair& pair, Order order) const {
  require_utf8(pair, pair.prompt, "prompt");
  require_utf8(pair, pair.chosen, "chosen response");
  require_utf8(pair, pair.rejected, "rejected response");
  const bool exchanged = form_ == Form::blind && order == Order::rejected_first;
  const Text& first = exchanged ? pair.rejected : pair.chosen;
  const Text& second = exchanged ? pair.chosen : pair.rejected;
  const std::array<const Text*, 3> texts = {&pair.prompt, &first, &second};
  const std::string mark = mark_for(texts, sha256_);

  std::string user;
  for (const auto& [literal, field] : user_) {
    user += literal;
    if (field == "mark")
      user += mark;
    else if (field == "prompt")
      append_block(user, pair.prompt, "user", mark);
    else if (field == "chosen" || field == "answer_a")
      append_block(user, first, "assistant", mark);
    else if (field == "rejected" || field == "answer_b")
      append_block(user, second, "assistant", mark);
  }
  return {{"system", system_}, {"user", std::move(user)}};
}

Prompt Prompt::renamed(std::string name) const {
  Prompt prompt = *this;
  prompt.name_ = std::move(name);
  return prompt;
}

std::vector<Prompt> built_in_prompts(const PromptOptions& options) {
  require_known_version(options.library_version);
  std::vector<Prompt> prompts;
  for (const auto& [version, file, text] : built_in_prompt_texts())
    if (version == options.library_version) prompts.emplace_back(text, std::string(file), options);
  return prompts;
}

std::vector<Prompt> read_prompts(const std::filesystem::path& folder,
                                 const PromptOptions& options) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->path().extension() == ".md") files.push_back(entry->path());
  if (error) throw DataError(folder.string(), 0, "", "cannot be read: " + error.message());
  if (files.empty()) throw DataError(folder.string(), 0, "", "the folder contains no *.md file");
  std::ranges::sort(files);

  std::vector<Prompt> prompts;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file) throw DataError(path.string(), 0, "", "cannot be read");
    prompts.emplace_back(text, path.string(), options);
    for (std::size_t i = 0; i + 1 < prompts.size(); ++i)
      if (prompts[i].name() == prompts.back().name())
        throw DataError(path.string(), 0, "",
                        fmt::format("duplicate name \"{}\", used by {} as well", prompts[i].name(),
                                    files[i].filename().string()));
  }
  std::ranges::sort(prompts, {}, &Prompt::name);
  return prompts;
}

}  // namespace sp2dpo::annotate
