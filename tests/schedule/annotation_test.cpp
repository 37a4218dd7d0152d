// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <variant>

#include <gtest/gtest.h>

#include <sp2dpo/schedule/annotation.hpp>
#include <sp2dpo/schedule/annotator.hpp>

namespace sp2dpo {
namespace {

TEST(SignedGap, IsMagnitudeTimesConfidenceTimesWeight) {
  const Annotation annotation{.magnitude = 0.5, .confidence = 0.75};
  EXPECT_DOUBLE_EQ(signed_gap(annotation), 0.375);
  EXPECT_DOUBLE_EQ(signed_gap(annotation, 0.4), 0.15);
}

TEST(SignedGap, IsNegativeForARejectedPreferenceAndZeroForATie) {
  Annotation annotation{.magnitude = 0.5, .confidence = 0.5};
  annotation.preferred = Preferred::rejected;
  EXPECT_DOUBLE_EQ(signed_gap(annotation), -0.25);
  annotation.preferred = Preferred::tie;
  EXPECT_EQ(signed_gap(annotation), 0.0);
}

TEST(Annotation, PrefersTheChosenResponseByDefault) {
  EXPECT_EQ(Annotation{}.preferred, Preferred::chosen);
  EXPECT_FALSE(Annotation{}.order.has_value());
  EXPECT_EQ(Annotation{}.sample, 0);
}

/// Prefers the longer response and fails for equal lengths.
class Longest : public Annotator {
 public:
  AnnotatorId id() const override { return {"longest", "none"}; }

  AnnotationOutcome annotate(const PreferencePair& pair) const override {
    const auto chosen = std::get<std::string>(pair.chosen).size();
    const auto rejected = std::get<std::string>(pair.rejected).size();
    if (chosen == rejected)
      return AnnotationFailure{AnnotationFailure::Kind::refused, "both are equally long"};
    return Annotation{.pair_id = pair.id,
                      .annotator = id().annotator,
                      .prompt = id().prompt,
                      .magnitude = 1,
                      .confidence = 1,
                      .preferred = chosen > rejected ? Preferred::chosen : Preferred::rejected};
  }
};

TEST(Annotator, ReturnsAnAnnotationOrAFailureWithItsReason) {
  const Longest longest;
  const Annotator& annotator = longest;
  const auto verdict = annotator.annotate({.id = "p", .chosen = "ab", .rejected = "abc"});
  ASSERT_TRUE(std::holds_alternative<Annotation>(verdict));
  EXPECT_EQ(std::get<Annotation>(verdict).preferred, Preferred::rejected);

  const auto refusal = annotator.annotate({.id = "q", .chosen = "ab", .rejected = "cd"});
  ASSERT_TRUE(std::holds_alternative<AnnotationFailure>(refusal));
  EXPECT_EQ(std::get<AnnotationFailure>(refusal).detail, "both are equally long");
}

}  // namespace
}  // namespace sp2dpo
