// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sp2dpo/detail/require.hpp>

namespace sp2dpo {

/// What the two answers of a pair differ in: a place in a list of Categories, 0 being the first.
enum class Category : std::uint8_t {};

/// The categories of a rubric, highest priority first. The priority is what annotators are told
/// where two categories fit, and it breaks ties where their answers are put together.
///
///     Categories().name(Categories().at("safety"))   // "safety", the default list's first
class Categories {
 public:
  /// safety > factuality > instruction > reasoning > helpfulness > style.
  Categories()
      : names_{"safety", "factuality", "instruction", "reasoning", "helpfulness", "style"} {}

  /// Throws InvalidArgument unless there are 1 to 255 different, non-empty names.
  explicit Categories(std::vector<std::string> names) : names_(std::move(names)) {
    detail::require(!names_.empty() && names_.size() <= 255,
                    "a list of categories needs 1 to 255 names, not {}", names_.size());
    for (auto name = names_.begin(); name != names_.end(); ++name) {
      detail::require(!name->empty(), "the name of a category is empty");
      detail::require(std::find(names_.begin(), name, *name) == name,
                      "the category \"{}\" is listed twice", *name);
    }
  }

  [[nodiscard]] std::optional<Category> find(std::string_view name) const {
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) return std::nullopt;
    return static_cast<Category>(found - names_.begin());
  }

  /// As find(); throws InvalidArgument, with the names there are, for an unknown one.
  [[nodiscard]] Category at(std::string_view name) const {
    const auto found = find(name);
    detail::require(found.has_value(), "unknown category \"{}\"; there are: {}", name, list());
    return *found;
  }

  /// Throws InvalidArgument for a category that lies outside the list.
  [[nodiscard]] const std::string& name(Category category) const {
    const auto place = static_cast<std::size_t>(category);
    // Every annotation comes by here: the list is put into words only where it is needed.
    if (place >= names_.size())
      throw InvalidArgument(
          fmt::format("category number {} is outside the list: {}", place, list()));
    return names_[place];
  }

  [[nodiscard]] std::span<const std::string> names() const noexcept { return names_; }
  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

  /// The names in their order, for messages: `safety, factuality, …`.
  [[nodiscard]] std::string list() const {
    std::string text;
    for (const auto& name : names_) text += (text.empty() ? "" : ", ") + name;
    return text;
  }

  friend bool operator==(const Categories&, const Categories&) = default;

 private:
  std::vector<std::string> names_;
};

}  // namespace sp2dpo
