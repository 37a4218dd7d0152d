// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "csv_rows.hpp"
#include "json_rows.hpp"
#include <fmt/ranges.h>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/votes.hpp>

namespace sp2dpo::io {

namespace {

/// The facts about a pair that its votes need.
struct Side {
  int chosen_winner;  // 1 or 2: number of the chosen response in the votes
  Category category;
};

/// The usable votes of one (pair, annotator, prompt) cell over both orders.
struct Tally {
  std::int8_t first = 0;    // votes for 1
  std::int8_t second = 0;   // votes for 2
  std::uint8_t orders = 0;  // bit 0: not swapped, bit 1: swapped
};

/// Finds a field such as `meta.subset` in a pair's other columns.
class FieldFinder {
 public:
  explicit FieldFinder(std::string_view path)
      : column_(path.substr(0, path.find('.'))),
        rest_(path.substr(std::min(path.size(), column_.size() + 1))) {}

  /// The field's text, or JSON for other types; nullopt if the pair lacks the field.
  [[nodiscard]] std::optional<std::string> operator()(const PreferencePair& pair) {
    const auto column = pair.columns.find(column_);
    if (column == pair.columns.end()) return std::nullopt;
    simdjson::dom::element value;
    if (parser_.parse(column->second).get(value) != simdjson::SUCCESS) return std::nullopt;
    for (std::string_view rest = rest_; !rest.empty();) {
      const auto key = rest.substr(0, rest.find('.'));
      if (value[key].get(value) != simdjson::SUCCESS) return std::nullopt;
      rest.remove_prefix(std::min(rest.size(), key.size() + 1));
    }
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) return std::string(text);
    return std::string(simdjson::minify(value));
  }

 private:
  std::string_view column_;
  std::string_view rest_;
  simdjson::dom::parser parser_;
};

/// Maps requested names to indices and remembers the names that the file has.
class Wanted {
 public:
  Wanted(std::string_view what, const std::vector<std::string>& names)
      : what_(what), names_(names) {
    detail::require(!names.empty(), "{}s must not be empty", what);
    for (auto name = names.begin(); name != names.end(); ++name)
      detail::require(std::find(names.begin(), name, *name) == name, "duplicate {} \"{}\"", what,
                      *name);
  }

  [[nodiscard]] std::optional<std::size_t> index(const std::string& name) {
    if (seen_.find(name) == seen_.end()) seen_.insert(name);
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - names_.begin());
  }

  /// Throws if the file lacks a requested name.
  void check(const std::filesystem::path& file, std::string_view column) const {
    for (const auto& name : names_)
      if (!seen_.contains(name))
        throw DataError(file.string(), 0, std::string(column),
                        fmt::format("unknown {} \"{}\"; the file has: {}", what_, name,
                                    fmt::join(seen_, ", ")));
  }

  [[nodiscard]] std::size_t size() const { return names_.size(); }

 private:
  std::string_view what_;
  const std::vector<std::string>& names_;
  std::set<std::string, std::less<>> seen_;
};

Side side_of(const PreferencePair& pair, PairReader& reader, FieldFinder& gold,
             FieldFinder& category_field, const VoteImportOptions& options) {
  const auto fail = [&](const std::string& field, const std::string& message) {
    throw DataError(reader.path().string(), reader.line(), field, message);
  };
  const auto label = gold(pair);
  if (label != "1" && label != "2")
    fail("meta.gold_label",
         fmt::format("expected 1 or 2, the number of the chosen response, not {}",
                     label.value_or("a missing field")));
  Side side{.chosen_winner = label == "1" ? 1 : 2, .category = {}};
  if (options.category) {
    side.category = *options.category;
    return side;
  }
  const auto text = category_field(pair);
  if (!text) fail(options.category_field, "is missing; expected the pair's category");
  const auto renamed = options.category_names.find(*text);
  const auto category =
      options.categories.find(renamed == options.category_names.end() ? *text : renamed->second);
  if (!category)
    fail(options.category_field, fmt::format("unknown category \"{}\"; expected one of: {}", *text,
                                             options.categories.list()));
  side.category = *category;
  return side;
}

/// The pairs of a file, as far as votes need them.
struct Pairs {
  std::vector<std::string> ids{};
  std::vector<Side> sides{};
  std::unordered_map<std::string_view, std::size_t> index{};  // into ids
};

Pairs read_pairs(PairReader& reader, const VoteImportOptions& options) {
  Pairs pairs;
  FieldFinder gold("meta.gold_label");
  FieldFinder category_field(options.category_field);
  for (PreferencePair pair; reader.next(pair);) {
    pairs.ids.push_back(pair.id);
    pairs.sides.push_back(side_of(pair, reader, gold, category_field, options));
  }
  for (std::size_t i = 0; i < pairs.ids.size(); ++i) pairs.index.emplace(pairs.ids[i], i);
  return pairs;
}

/// A tally for each pair, annotator and prompt.
class Tallies {
 public:
  Tallies(std::size_t pairs, std::size_t annotators, std::size_t prompts)
      : annotators_(annotators), prompts_(prompts), tallies_(pairs * annotators * prompts) {}

  Tally& at(std::size_t pair, std::size_t annotator, std::size_t prompt) {
    return tallies_[(pair * annotators_ + annotator) * prompts_ + prompt];
  }

 private:
  std::size_t annotators_;
  std::size_t prompts_;
  std::vector<Tally> tallies_;
};

/// Counts the votes of a file.
void count_votes(const std::filesystem::path& file, const std::filesystem::path& pairs_file,
                 const Pairs& pairs, Wanted& annotators, Wanted& prompts, Tallies& tallies,
                 VoteImportCounts& counts) {
  CsvRows rows(file);
  const auto id_column = rows.column("pair_id");
  const auto annotator_column = rows.column("llm");
  const auto prompt_column = rows.column("prompt_variant");
  const auto swapped_column = rows.column("swapped");
  const auto winner_column = rows.column("winner");
  while (rows.next()) {
    const auto& winner = rows.cell(winner_column);
    const auto& swapped = rows.cell(swapped_column);
    if (winner != "1" && winner != "2" && !winner.empty())
      rows.fail(winner_column, fmt::format("expected 1, 2 or blank, not \"{}\"", winner));
    if (swapped != "0" && swapped != "1")
      rows.fail(swapped_column, fmt::format("expected 0 or 1, not \"{}\"", swapped));
    const auto annotator = annotators.index(rows.cell(annotator_column));
    const auto prompt = prompts.index(rows.cell(prompt_column));
    if (!annotator || !prompt) continue;

    const auto pair = pairs.index.find(rows.cell(id_column));
    if (pair == pairs.index.end())
      rows.fail(id_column, fmt::format("unknown pair {}; {} lacks it", rows.cell(id_column),
                                       pairs_file.string()));
    Tally& cell = tallies.at(pair->second, *annotator, *prompt);
    const auto order = static_cast<std::uint8_t>(swapped == "0" ? 1 : 2);
    if ((cell.orders & order) != 0)
      rows.fail(fmt::format("duplicate vote on pair {} by {} under {} with swapped {}", pair->first,
                            rows.cell(annotator_column), rows.cell(prompt_column), swapped));
    cell.orders = static_cast<std::uint8_t>(cell.orders | order);
    ++counts.votes;
    if (winner.empty()) ++counts.unreadable;
    if (winner == "1") ++cell.first;
    if (winner == "2") ++cell.second;
  }
  annotators.check(file, "llm");
  prompts.check(file, "prompt_variant");
}

/// Fills in the preference and magnitude that a tally with a usable vote stands for.
void assign(Annotation& annotation, const Tally& tally, const Side& side) {
  const int ahead = (tally.first - tally.second) * (side.chosen_winner == 1 ? 1 : -1);
  annotation.magnitude = std::abs(ahead) / static_cast<double>(tally.first + tally.second);
  annotation.preferred = ahead > 0   ? Preferred::chosen
                         : ahead < 0 ? Preferred::rejected
                                     : Preferred::tie;
}

}  // namespace

VoteImportCounts import_votes(PairReader& pair_reader, const std::filesystem::path& votes,
                              const VoteImportOptions& options,
                              const std::function<void(const Annotation&)>& sink) {
  Wanted annotators("annotator", options.annotators);
  Wanted prompts("prompt", options.prompts);
  detail::require(options.category.has_value() != !options.category_field.empty(),
                  "annotations need a category: set either category or category_field");
  for (const auto& [from, to] : options.category_names) (void)options.categories.at(to);

  const Pairs pairs = read_pairs(pair_reader, options);
  VoteImportCounts counts{.pairs = std::ssize(pairs.ids)};
  Tallies tallies(pairs.ids.size(), annotators.size(), prompts.size());
  count_votes(votes, pair_reader.path(), pairs, annotators, prompts, tallies, counts);

  Annotation annotation{.confidence = 1};
  for (std::size_t pair = 0; pair < pairs.ids.size(); ++pair) {
    annotation.pair_id = pairs.ids[pair];
    annotation.category = pairs.sides[pair].category;
    for (std::size_t i = 0; i < annotators.size(); ++i) {
      annotation.annotator = options.annotators[i];
      for (std::size_t j = 0; j < prompts.size(); ++j) {
        const Tally& tally = tallies.at(pair, i, j);
        if (tally.first + tally.second == 0) {
          ++counts.without;
          continue;
        }
        annotation.prompt = options.prompts[j];
        assign(annotation, tally, pairs.sides[pair]);
        sink(annotation);
        ++counts.annotations;
      }
    }
  }
  return counts;
}

}  // namespace sp2dpo::io
