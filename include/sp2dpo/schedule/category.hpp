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

/// The aspect in which the two responses of a pair differ: an index into a list of Categories.
enum class Category : std::uint8_t {};

/// The categories of a rubric, highest priority first. Annotators are told to choose the category
/// of higher priority if two fit; aggregators break ties in the same way.
///
///     Categories().name(Categories().at("safety"))   // "safety", the default list's first
class Categories {
 public:
  /// safety > factuality > instruction > reasoning > helpfulness > style.
  Categories()
      : names_{"safety", "factuality", "instruction", "reasoning", "helpfulness", "style"} {}

  /// Throws InvalidArgument unless `names` has 1 to 255 distinct, non-empty names.
  explicit Categories(std::vector<std::string> names) : names_(std::move(names)) {
    detail::require(!names_.empty() && names_.size() <= 255,
                    "a list of categories needs 1 to 255 names, not {}", names_.size());
    for (auto name = names_.begin(); name != names_.end(); ++name) {
      detail::require(!name->empty(), "the name of a category is empty");
      detail::require(std::find(names_.begin(), name, *name) == name, "duplicate category \"{}\"",
                      *name);
    }
  }

  /// Returns the category of that name, or nullopt if it is unknown.
  [[nodiscard]] std::optional<Category> find(std::string_view name) const {
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) return std::nullopt;
    return static_cast<Category>(found - names_.begin());
  }

  /// Returns the category of that name; throws InvalidArgument that lists the names if it is
  /// unknown.
  [[nodiscard]] Category at(std::string_view name) const {
    const auto found = find(name);
    detail::require(found.has_value(), "unknown category \"{}\"; expected one of: {}", name,
                    list());
    return *found;
  }

  /// Throws InvalidArgument for a category outside the list.
  [[nodiscard]] const std::string& name(Category category) const {
    const auto place = static_cast<std::size_t>(category);
    // Called for every annotation, so the list is formatted only for the error.
    if (place >= names_.size())
      throw InvalidArgument(
          fmt::format("category number {} is outside the list: {}", place, list()));
    return names_[place];
  }

  /// The names, highest priority first.
  [[nodiscard]] std::span<const std::string> names() const noexcept { return names_; }
  /// Number of categories.
  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

  /// Returns the names in order, for messages: `safety, factuality, …`.
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
