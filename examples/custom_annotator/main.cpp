// SPDX-License-Identifier: Apache-2.0
// A custom annotator: a rule that compares word counts. The library asks it about every pair and
// writes its annotations for `sp2dpo schedule`.
//
//     custom_annotator pairs.jsonl annotations.jsonl
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include <sp2dpo/annotate/annotate_all.hpp>
#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/pairs.hpp>

namespace {

using sp2dpo::Annotation;
using sp2dpo::AnnotationFailure;
using sp2dpo::AnnotationOutcome;
using sp2dpo::AnnotatorId;
using sp2dpo::PreferencePair;

/// Returns the text of a response: the turns of a conversation one after another.
std::string text_of(const sp2dpo::Text& text) {
  if (const auto* plain = std::get_if<std::string>(&text)) return *plain;
  std::string all;
  for (const auto& turn : std::get<std::vector<sp2dpo::Message>>(text)) all += turn.content + "\n";
  return all;
}

std::size_t count_words(const std::string& text) {
  std::istringstream words(text);
  std::size_t count = 0;
  for (std::string word; words >> word;) ++count;
  return count;
}

/// Prefers the response with more words, by the share that the other one lacks. A poor judge, but
/// one that states its confidence and abstains when both responses are empty.
class Wordiness : public sp2dpo::Annotator {
 public:
  [[nodiscard]] AnnotatorId id() const override { return {"wordiness", "by-rule"}; }

  [[nodiscard]] AnnotationOutcome annotate(const PreferencePair& pair) const override {
    const std::size_t chosen = count_words(text_of(pair.chosen));
    const std::size_t rejected = count_words(text_of(pair.rejected));
    if (chosen + rejected == 0)
      return AnnotationFailure{AnnotationFailure::Kind::refused, "both responses are empty"};
    const auto [fewer, more] = std::minmax(chosen, rejected);
    return Annotation{.pair_id = pair.id,
                      .annotator = id().annotator,
                      .prompt = id().prompt,
                      .category = sp2dpo::Categories().at("style"),
                      .magnitude = 1.0 - static_cast<double>(fewer) / static_cast<double>(more),
                      .confidence = 0.5,
                      .preferred = chosen > rejected   ? sp2dpo::Preferred::chosen
                                   : chosen < rejected ? sp2dpo::Preferred::rejected
                                                       : sp2dpo::Preferred::tie};
  }
};

void run(const std::string& pairs_file, const std::string& annotations_file) {
  const Wordiness rule;
  const std::vector<const sp2dpo::Annotator*> annotators = {&rule};
  sp2dpo::io::PairReader pairs(pairs_file);
  sp2dpo::io::AnnotationWriter annotations(annotations_file);
  const auto counts = sp2dpo::annotate::annotate_all(
      annotators, pairs,
      [&](const PreferencePair& pair, const AnnotatorId&, const AnnotationOutcome& outcome) {
        if (const auto* annotation = std::get_if<Annotation>(&outcome)) {
          annotations.write(*annotation);
        } else {
          const auto& failure = std::get<AnnotationFailure>(outcome);
          std::printf("pair %s: %s: %s\n", pair.id.c_str(),
                      std::string(sp2dpo::name(failure.kind)).c_str(), failure.detail.c_str());
        }
      });
  annotations.finish();
  std::printf("%lld annotations, %lld failures\n%s is written\n",
              static_cast<long long>(counts.annotations), static_cast<long long>(counts.failures),
              annotations_file.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s PAIRS ANNOTATIONS\n", argv[0]);
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
