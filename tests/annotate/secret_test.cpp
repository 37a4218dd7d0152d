// SPDX-License-Identifier: Apache-2.0
#include "wire/secret.hpp"

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* key = "sk-test/Secret+Key%7";

Secret secret_of(const std::string& value) {
  setenv("SP2DPO_TEST_KEY", value.c_str(), 1);
  Secret secret = Secret::from_environment("SP2DPO_TEST_KEY");
  unsetenv("SP2DPO_TEST_KEY");
  return secret;
}

std::string blotted(std::string text, const std::string& value = key) {
  secret_of(value).redact(text);
  return text;
}

TEST(Secret, IsRedactedEverywhere) {
  EXPECT_EQ(blotted(fmt::format("{0}, {0}{0} and s{0}", key)), "[key], [key][key] and s[key]");
  EXPECT_EQ(blotted("nothing of sk-test/Secret here"), "nothing of sk-test/Secret here");
  EXPECT_EQ(blotted(""), "");
}

TEST(Secret, IsRedactedUnderTheEscapesOfJsonAndUrls) {
  EXPECT_EQ(blotted(R"("sk-test\/Secret+Key%7")"), R"("[key]")");
  EXPECT_EQ(blotted(R"("\u0073k\u002dtest\u002fSecret\u002BKey%7")"), R"("[key]")");
  EXPECT_EQ(blotted("?key=sk-test%2FSecret%2bKey%257&x"), "?key=[key]&x");
  EXPECT_EQ(blotted("%73%6B-test/Secret+Key%7"), "[key]");
}

TEST(Secret, SimilarTextsAreKept) {
  for (const char* const text :
       {R"(\u0073k-tesx)", R"(sk-test\u00)", "sk-test%2", R"(sk-test\)", "%zz", R"(\u 73k-test)"})
    EXPECT_EQ(blotted(text), text);
}

TEST(Secret, AShortKeyIsAPlaceholder) {
  EXPECT_EQ(blotted("EMPTY is a word", "EMPTY"), "EMPTY is a word");
}

TEST(Secret, IsRedactedInLinearTime) {
  std::string text;
  for (int i = 0; i < 1'000'000; ++i) text += "\"sk-test/Secret+Key%7\",";
  const auto start = std::chrono::steady_clock::now();
  const std::string made = blotted(text);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(made.size(), std::string_view("\"[key]\",").size() * 1'000'000);
  EXPECT_LT(seconds.count(), 20.0);  // hours if each occurrence moved the rest of the text
}

TEST(Secret, AKeyInPlaceOfItsVariablesNameIsNotRepeated) {
  for (const char* const variable :
       {"sk-secretsecret", "gsk_secretsecret0123456789", "hf_SecretSecret", "Bearer secret",
        "AKIASECRETSECRET7EXAMPLE", "AIzaSySecretSecret", "$SECRET", "secret\x1b[2J"}) {
    try {
      static_cast<void>(Secret::from_environment(variable));
      ADD_FAILURE() << variable;
    } catch (const InvalidArgument& problem) {
      EXPECT_THAT(problem.what(), HasSubstr("key_variable"));
      EXPECT_THAT(problem.what(), HasSubstr("OPENAI_API_KEY"));
      EXPECT_THAT(problem.what(), Not(testing::ContainsRegex("[Ss]ecret|SECRET")));
    }
  }
}

TEST(Secret, MustBeInTheEnvironment) {
  unsetenv("SP2DPO_TEST_KEY");
  try {
    static_cast<void>(Secret::from_environment("SP2DPO_TEST_KEY"));
    ADD_FAILURE();
  } catch (const InvalidArgument& problem) {
    EXPECT_THAT(problem.what(), HasSubstr("SP2DPO_TEST_KEY"));
  }
  EXPECT_THROW(secret_of(""), InvalidArgument);
  EXPECT_TRUE(Secret::from_environment("").empty());
}

TEST(Secret, RefusesAKeyThatNoHeaderCanCarryWithoutRevealingIt) {
  for (const char* const bad : {"sk-secret\n", "sk secret", "sk-s\r\nX-Evil: 1", "sk-secrét"}) {
    try {
      secret_of(bad);
      ADD_FAILURE() << bad;
    } catch (const InvalidArgument& problem) {
      EXPECT_THAT(problem.what(), HasSubstr("SP2DPO_TEST_KEY"));
      EXPECT_THAT(problem.what(), Not(HasSubstr("sk")));
    }
  }
}

}  // namespace
}  // namespace sp2dpo::annotate
