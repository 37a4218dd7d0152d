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

/// How much a judge learns about a pair.
enum class Form : std::uint8_t {
  informed,  ///< which response was preferred, as in the paper
  blind      ///< the responses as A and B; the verdict says which one is better
};

/// A category and its meaning in the rubric.
struct CategoryMeaning {
  std::string name;
  std::string meaning;
};

/// Version of the library's own texts: the built-in prompts, the meanings of the default categories
/// and the sentence that introduces a schema. Earlier versions are kept byte for byte, from 1 on.
inline constexpr int latest_prompt_version = 2;

/// Returns the default list of Categories with their meanings. Throws InvalidArgument for an
/// unknown version.
[[nodiscard]] std::vector<CategoryMeaning> default_category_meanings(
    int version = latest_prompt_version);

/// Choices that a template is parsed with.
struct PromptOptions {
  Form form = Form::informed;
  /// Highest priority first; empty for the default list. An empty meaning stands for that of the
  /// default category of this name.
  std::vector<CategoryMeaning> categories{};
  int library_version = latest_prompt_version;  ///< version of the library's own words
};

/// A prompt variant: a template in one of its two forms, with the JSON schema of its verdict
/// (docs/prompts.md describes templates). Immutable; safe to use from several threads at once.
class Prompt {
 public:
  /// Parses a template. `origin` names it in messages. Throws DataError with the line for an
  /// unknown or unused field, a missing section, and a schema that lacks part of a verdict.
  Prompt(std::string_view text, const std::string& origin, const PromptOptions& options = {});

  /// `direct`, or `direct-blind`: the prompt of its annotations.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// The template's version, from 1 on. Annotations record it from 2 on.
  [[nodiscard]] int version() const noexcept { return version_; }
  /// PromptOptions::library_version.
  [[nodiscard]] int library_version() const noexcept { return library_version_; }
  /// Returns the same prompt under another name in its annotations.
  [[nodiscard]] Prompt renamed(std::string name) const;
  [[nodiscard]] const std::string& sha256() const noexcept { return sha256_; }  ///< of the text
  /// Tells the judge which response was chosen, or hides it.
  [[nodiscard]] Form form() const noexcept { return form_; }
  /// The categories that a verdict may name, highest priority first.
  [[nodiscard]] const Categories& categories() const noexcept { return categories_; }
  /// The verdict's schema as JSON, properties in the order in which a judge writes them.
  [[nodiscard]] const std::string& schema() const noexcept { return schema_; }

  /// The system message, the same for every pair.
  [[nodiscard]] const std::string& system() const noexcept { return system_; }

  /// Renders a system message and a user message, deterministically. The pair's text is inserted
  /// unchanged, between lines that begin with a mark that occurs nowhere in it. The informed form
  /// ignores `order`. Throws InvalidArgument for a pair that is not UTF-8.
  [[nodiscard]] std::vector<Message> render(const PreferencePair& pair,
                                            Order order = Order::chosen_first) const;

 private:
  struct Piece {
    std::string literal;
    std::string field;  // that follows; may be empty
  };

  std::string name_;
  int version_ = 0;
  int library_version_;
  std::string sha256_;
  Form form_;
  Categories categories_;
  std::string schema_;
  std::string system_;
  std::vector<Piece> user_;
};

/// Returns the library's three variants, `adversarial`, `criteria` and `direct`, in the version
/// `options.library_version`. Throws InvalidArgument for an unknown version.
[[nodiscard]] std::vector<Prompt> built_in_prompts(const PromptOptions& options = {});

/// Reads every `*.md` of a folder, sorted by prompt name. Throws DataError for a folder without
/// templates and for a duplicate name.
[[nodiscard]] std::vector<Prompt> read_prompts(const std::filesystem::path& folder,
                                               const PromptOptions& options = {});

}  // namespace sp2dpo::annotate
