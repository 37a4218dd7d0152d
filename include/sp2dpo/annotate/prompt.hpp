// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/pair.hpp>

namespace sp2dpo::annotate {

/// What a teacher is told of a pair.
enum class Form : std::uint8_t {
  informed,  ///< which answer was preferred, as in the paper
  blind      ///< the answers as A and B; which one is better is part of the verdict
};

/// A category, and what it means in the words of the rubric.
struct CategoryMeaning {
  std::string name;
  std::string meaning;
};

/// The default list of Categories with the library's own words for them.
[[nodiscard]] std::vector<CategoryMeaning> default_category_meanings();

struct PromptOptions {
  Form form = Form::informed;
  std::vector<CategoryMeaning> categories = default_category_meanings();  ///< highest first
};

/// A prompt variant: a template's text in one of its two forms, with the JSON schema of its
/// verdict. How a template is written: docs/prompts.md.
class Prompt {
 public:
  /// `origin` names the text in messages. Throws DataError with its line for an unknown or unused
  /// field, a section that is not there, and a schema that a verdict cannot be read by.
  Prompt(std::string_view text, const std::string& origin, const PromptOptions& options = {});

  /// `direct`, or `direct-blind`: the prompt of its annotations.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] int version() const noexcept { return version_; }
  [[nodiscard]] const std::string& sha256() const noexcept { return sha256_; }  ///< of the text
  [[nodiscard]] Form form() const noexcept { return form_; }
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  /// JSON, its properties in the order in which they are to be answered.
  [[nodiscard]] const std::string& schema() const noexcept { return schema_; }

  /// A system message and a user message. The same arguments make the same bytes; text of the pair
  /// is put in as it is, between lines that begin with a mark that occurs nowhere in it. `order`
  /// plays no part in the informed form. Throws InvalidArgument for a pair that is not UTF-8.
  [[nodiscard]] std::vector<Message> render(const PreferencePair& pair,
                                            Order order = Order::chosen_first) const;

 private:
  struct Piece {
    std::string literal;
    std::string field;  // behind it; empty = none
  };

  std::string name_;
  int version_ = 0;
  std::string sha256_;
  Form form_;
  Categories categories_;
  std::string schema_;
  std::string system_;
  std::vector<Piece> user_;
};

/// The three variants of the library: `adversarial`, `criteria`, `direct`.
[[nodiscard]] std::vector<Prompt> built_in_prompts(const PromptOptions& options = {});

/// All `*.md` of a folder, by name. Throws DataError where there is none, or a name is there twice.
[[nodiscard]] std::vector<Prompt> read_prompts(const std::filesystem::path& folder,
                                               const PromptOptions& options = {});

}  // namespace sp2dpo::annotate
