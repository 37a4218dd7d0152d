// SPDX-License-Identifier: Apache-2.0
// Shapes in which judges wrap a verdict. Each row keeps the outcome of version 0.1 of the reader.
#include <string>
#include <string_view>
#include <variant>

#include "questions.hpp"
#include <gtest/gtest.h>

namespace sp2dpo::annotate {
namespace {

struct Shape {
  std::string_view name;
  std::string_view text;
  std::string_view outcome;  ///< "read", or the class of the failure
};

#define VERDICT R"({"category":"style","magnitude":0.5,"confidence":0.9})"

constexpr Shape shapes[] = {
    {"the object alone", VERDICT, "read"},
    {"white space around it", " \n\t" VERDICT "\r\n", "read"},
    {"a fence", "```json\n" VERDICT "\n```", "read"},
    {"a fence without a language", "```\n" VERDICT "\n```", "read"},
    {"a fence in prose", "Sure:\n```json\n" VERDICT "\n```\nHope that helps!", "read"},
    {"tildes", "~~~\n" VERDICT "\n~~~", "read"},
    {"a fence that never closes", "```json\n" VERDICT, "read"},
    {"prose before", "Here is my verdict: " VERDICT, "read"},
    {"prose after", VERDICT "\nThat is all.", "read"},
    {"prose around", "I have decided.\n\n" VERDICT "\n\nThank you.", "read"},
    {"a list of one", "[" VERDICT "]", "read"},
    {"pretty-printed",
     "{\n  \"category\": \"style\",\n  \"magnitude\": 0.5,\n  \"confidence\": 0.9\n}", "read"},
    {"reasoning first", "<think>Hm.</think>\n" VERDICT, "read"},
    {"the same twice", VERDICT "\n" VERDICT, "read"},
    {"a byte order mark", "\xEF\xBB\xBF" VERDICT, "read"},
    {"single quotes", "{'category': 'style', 'magnitude': 0.5, 'confidence': 0.9}", "no-verdict"},
    {"typographic quotes", "{“category”: “style”, “magnitude”: 0.5, “confidence”: 0.9}",
     "no-verdict"},
    {"keys without quotes", "{category: \"style\", magnitude: 0.5, confidence: 0.9}", "no-verdict"},
    {"escaped quotes", R"({\"category\":\"style\",\"magnitude\":0.5,\"confidence\":0.9})",
     "no-verdict"},
    {"a trailing comma", R"({"category":"style","magnitude":0.5,"confidence":0.9,})", "invalid"},
    {"a missing comma", R"({"category":"style" "magnitude":0.5,"confidence":0.9})", "invalid"},
    {"a comment inside", R"({"category":"style", // why
"magnitude":0.5,"confidence":0.9})",
     "invalid"},
    {"numbers as strings", R"({"category":"style","magnitude":"0.5","confidence":"0.9"})",
     "invalid"},
    {"a scale from 0 to 10", R"({"category":"style","magnitude":5,"confidence":9})", "invalid"},
    {"a scale from 0 to 10 in prose",
     R"(My verdict: {"category":"style","magnitude":7.5,"confidence":8})", "invalid"},
    {"percentages", R"({"category":"style","magnitude":50%,"confidence":90%})", "invalid"},
    {"percentages as strings", R"({"category":"style","magnitude":"50%","confidence":"90%"})",
     "invalid"},
    {"percentages as numbers", R"({"category":"style","magnitude":50,"confidence":90})", "invalid"},
    {"a fraction", R"({"category":"style","magnitude":1/2,"confidence":0.9})", "invalid"},
    {"a decimal comma", R"({"category":"style","magnitude":0,5,"confidence":0,9})", "invalid"},
    {"a plus sign", R"({"category":"style","magnitude":+0.5,"confidence":0.9})", "invalid"},
    {"no zero before the point", R"({"category":"style","magnitude":.5,"confidence":0.9})",
     "invalid"},
    {"null", R"({"category":"style","magnitude":0.5,"confidence":null})", "invalid"},
    {"NaN", R"({"category":"style","magnitude":NaN,"confidence":0.9})", "invalid"},
    {"Python's True", R"({"category":"style","magnitude":0.5,"confidence":True})", "invalid"},
    {"another letter case of a category", R"({"category":"Style","magnitude":0.5,"confidence":1})",
     "invalid"},
    {"another letter case of the keys", R"({"Category":"style","Magnitude":0.5,"Confidence":1})",
     "invalid"},
    {"an unknown category", R"({"category":"grammar","magnitude":0.5,"confidence":1})", "invalid"},
    {"a field too many", R"({"category":"style","magnitude":0.5,"confidence":1,"note":"x"})",
     "invalid"},
    {"a field too few", R"({"category":"style","magnitude":0.5})", "invalid"},
    {"a field twice", R"({"category":"style","magnitude":0.5,"magnitude":0.6,"confidence":1})",
     "invalid"},
    {"a wrapper", R"({"verdict":)" VERDICT "}", "invalid"},
    {"a wrapper of a list", R"({"verdicts":[)" VERDICT "]}", "invalid"},
    {"another object", R"({"answer":"style"})", "invalid"},
    {"an empty object", "{}", "invalid"},
    {"an object in a string", R"("{\"category\":\"style\",\"magnitude\":0.5,\"confidence\":0.9}")",
     "no-verdict"},
    {"YAML", "category: style\nmagnitude: 0.5\nconfidence: 0.9", "no-verdict"},
    {"a table", "| category | magnitude | confidence |\n| style | 0.5 | 0.9 |", "no-verdict"},
    {"XML", "<category>style</category><magnitude>0.5</magnitude>", "no-verdict"},
    {"prose", "The chosen response has the better style.", "no-verdict"},
    {"a list of values", R"(["style", 0.5, 0.9])", "no-verdict"},
    {"it breaks off", R"({"category":"style","magnitude":0.5,"conf)", "invalid"},
};

#undef VERDICT

TEST(ReplyShapes, EachKeepsItsOutcome) {
  const Judge judge = test::judge_named("t");
  const Question question{&judge, &test::prompt_named("direct")};
  for (const auto& [name, text, outcome] : shapes) {
    SCOPED_TRACE(name);
    const auto read = read_reply(question, test::plain_pair(), "key", test::body_with(text));
    const auto* failure = std::get_if<AnnotationFailure>(&read);
    EXPECT_EQ(failure == nullptr ? "read" : sp2dpo::name(failure->kind), outcome)
        << (failure == nullptr ? "" : failure->detail);
    if (const auto* annotation = std::get_if<Annotation>(&read)) {
      EXPECT_EQ(annotation->magnitude, 0.5);
      EXPECT_EQ(annotation->confidence, 0.9);
    }
  }
}

}  // namespace
}  // namespace sp2dpo::annotate
