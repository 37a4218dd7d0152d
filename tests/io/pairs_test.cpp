// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/pairs.hpp>

namespace sp2dpo::io {
namespace {

using test::error_of;
using test::Folder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using Messages = std::vector<Message>;

std::vector<PreferencePair> read(std::string_view text, const PairReaderOptions& options = {}) {
  const Folder folder;
  return read_pairs(folder.write("p.jsonl", text), options);
}

DataError error_in(std::string_view text, const PairReaderOptions& options = {}) {
  return error_of([&] { (void)read(text, options); });
}

TEST(PairReader, ReadsText) {
  const auto pairs = read(R"({"id":"a","prompt":"p\n","chosen":"\ud83d\ude42","rejected":""})");
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].id, "a");
  EXPECT_EQ(std::get<std::string>(pairs[0].prompt), "p\n");
  EXPECT_EQ(std::get<std::string>(pairs[0].chosen), "\U0001F642");
  EXPECT_EQ(std::get<std::string>(pairs[0].rejected), "");
  EXPECT_TRUE(pairs[0].columns.empty());
}

TEST(PairReader, ReadsConversations) {
  const auto pairs =
      read(R"({"id":"a","prompt":[{"role":"system","content":"s"},{"content":"u","role":"user"}],)"
           R"("chosen":[{"role":"assistant","content":"c","extra":1}],)"
           R"("rejected":[{"role":"assistant","content":"r"}]})");
  EXPECT_EQ(std::get<Messages>(pairs.at(0).prompt), (Messages{{"system", "s"}, {"user", "u"}}));
  EXPECT_EQ(std::get<Messages>(pairs[0].chosen), (Messages{{"assistant", "c"}}));
  EXPECT_EQ(std::get<Messages>(pairs[0].rejected), (Messages{{"assistant", "r"}}));
}

constexpr std::string_view implied =
    R"("chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
    R"({"role":"user","content":"q2"},{"role":"assistant","content":"yes"}],)"
    R"("rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
    R"({"role":"user","content":"q2"},{"role":"assistant","content":"no"},{"role":"user",)"
    R"("content":"q3"}]})";

TEST(PairReader, TakesTheSharedStartOfConversationsAsThePrompt) {
  const auto pairs = read(R"({"id":"a",)" + std::string(implied));
  EXPECT_EQ(std::get<Messages>(pairs.at(0).prompt),
            (Messages{{"user", "q"}, {"assistant", "a"}, {"user", "q2"}}));
  EXPECT_EQ(std::get<Messages>(pairs[0].chosen), (Messages{{"assistant", "yes"}}));
  EXPECT_EQ(std::get<Messages>(pairs[0].rejected), (Messages{{"assistant", "no"}, {"user", "q3"}}));
}

TEST(PairReader, KeepsATextPromptBesideConversationsAsAColumn) {
  const auto pairs =
      read(R"({"prompt_id":"a","prompt":"q2",)" + std::string(implied), {.id_field = "prompt_id"});
  EXPECT_EQ(std::get<Messages>(pairs.at(0).prompt).size(), 3u);
  EXPECT_THAT(pairs[0].columns, ElementsAre(Pair("prompt", "\"q2\"")));
}

TEST(PairReader, KeepsEveryOtherColumnAsCanonicalJson) {
  const auto pairs =
      read(R"({"score_chosen": 8.50, "id":"a", "prompt":"p", "chosen":"c", "rejected":"r",)"
           R"( "n": 3, "big": 18446744073709551615,)"
           R"( "whole": 8.0, "small": 1e-7, "meta": { "b" : [ 1 , null, true ],)"
           R"( "a\u00e9": "\/\u001f" }})");
  EXPECT_THAT(
      pairs.at(0).columns,
      ElementsAre(Pair("big", "18446744073709551615"),
                  Pair("meta", "{\"a\u00e9\":\"/\\u001f\",\"b\":[1,null,true]}"), Pair("n", "3"),
                  Pair("score_chosen", "8.5"), Pair("small", "1e-07"), Pair("whole", "8.0")));
}

TEST(PairReader, ClearsTheColumnsOfThePreviousRow) {
  const Folder folder;
  PairReader reader(
      folder.write("p.jsonl", R"({"id":"a","prompt":"p","chosen":"c","rejected":"r","x":1}
{"id":"b","prompt":"p","chosen":"c","rejected":"r"})"));
  PreferencePair pair;
  ASSERT_TRUE(reader.next(pair));
  ASSERT_TRUE(reader.next(pair));
  EXPECT_TRUE(pair.columns.empty());
  EXPECT_EQ(reader.line(), 2);
  EXPECT_FALSE(reader.next(pair));
}

TEST(PairReader, NamesTheInvalidField) {
  struct Case {
    std::string_view line, field, message;
  };
  for (const auto& [line, field, message] :
       {Case{R"({"id":"a","prompt":"p","rejected":"r"})", "chosen", "is missing"},
        Case{R"({"id":"a","prompt":"p","chosen":"c"})", "rejected", "is missing"},
        Case{R"({"id":"a","chosen":"c","rejected":"r"})", "prompt", "is missing"},
        Case{R"({"id":"a","prompt":"p","chosen":true,"rejected":"r"})", "chosen",
             "expected a string or a list of messages, not true"},
        Case{R"({"id":"a","prompt":null,"chosen":"c","rejected":"r"})", "prompt", "not null"},
        Case{R"({"id":"a","prompt":{"role":"user"},"chosen":"c","rejected":"r"})", "prompt",
             "expected a string or a list of messages"},
        Case{R"({"id":"a","prompt":[{"role":"user","content":"q"}],"chosen":"c","rejected":"r"})",
             "prompt", "the responses are text"},
        Case{R"({"id":"a","prompt":"p","chosen":"c","rejected":[{"role":"user","content":"q"}]})",
             "rejected", "conversation"},
        Case{R"({"id":"a","prompt":"p","chosen":[],"rejected":[]})", "chosen", "at least one"},
        Case{R"({"id":"a","prompt":"p","chosen":[{"role":"user"}],"rejected":[]})",
             "chosen[0].content", "is missing"},
        Case{R"({"id":"a","prompt":"p","chosen":[{"content":"x"}],"rejected":[]})",
             "chosen[0].role", "is missing"},
        Case{R"({"id":"a","prompt":"p","chosen":[{"role":"user","content":7}],"rejected":[]})",
             "chosen[0].content", "expected a string, not 7"},
        Case{R"({"id":"a","prompt":"p","chosen":["x"],"rejected":[]})", "chosen[0]",
             "expected an object"},
        Case{R"({"id":"a","chosen":[{"role":"user","content":"x"}],"rejected":[{"role":"user",)"
             R"("content":"y"}]})",
             "prompt", "share no first message"},
        Case{R"({"id":"a","chosen":[{"role":"user","content":"x"}],"rejected":[{"role":"user",)"
             R"("content":"x"}]})",
             "rejected", "is the same conversation as \"chosen\""},
        Case{R"({"id":"a","chosen":[{"role":"user","content":"x"}],"rejected":[{"role":"user",)"
             R"("content":"x"},{"role":"assistant","content":"y"}]})",
             "chosen", "equals the beginning of \"rejected\""},
        Case{R"({"id":"","prompt":"p","chosen":"c","rejected":"r"})", "id", "expected a name"},
        Case{R"({"id":1.5,"prompt":"p","chosen":"c","rejected":"r"})", "id",
             "expected a string or an integer, not 1.5"},
        Case{R"({"id":null,"prompt":"p","chosen":"c","rejected":"r"})", "id", "not null"}}) {
    const auto error = error_in(line);
    EXPECT_EQ(error.field, field) << line;
    EXPECT_EQ(error.line, 1) << line;
    EXPECT_THAT(error.what(), HasSubstr(message)) << line;
  }
}

TEST(PairReader, AcceptsIntegersAsIds) {
  EXPECT_EQ(read(R"({"id":-17,"prompt":"p","chosen":"c","rejected":"r"})").at(0).id, "-17");
}

TEST(PairReader, RequiresTheNamedIdColumn) {
  const auto error =
      error_in(R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"})", {.id_field = "prompt_id"});
  EXPECT_EQ(error.field, "prompt_id");
  EXPECT_THROW(PairReader("p.jsonl", {.id_field = "prompt"}), Error);
}

TEST(PairReader, RequiresAnIdInAllRowsOrInNoRow) {
  const std::string with = R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"})";
  const std::string without = R"({"prompt":"p2","chosen":"c","rejected":"r"})";
  EXPECT_EQ(error_in(with + "\n" + without).line, 2);
  EXPECT_THAT(error_in(without + "\n" + with).what(), HasSubstr("the first row lacks it"));
  EXPECT_EQ(read("{}\n" + with, {.lenient = true}).size(), 1u);
}

// Digits from Python: hashlib.sha256(json.dumps(row, sort_keys=True, separators=(",", ":"),
// ensure_ascii=False).encode()).hexdigest()[:16]
TEST(ContentId, IsThePrefixOfTheHashOfTheCanonicalJson) {
  const auto text =
      read(R"({"rejected":"5", "chosen":"4\n\"four\" \\ \t\u0001 na\u00efve \ud83d\ude42",)"
           R"("prompt":"What is 2+2?","other":1})");
  EXPECT_EQ(text.at(0).id, "a46a62656c2b1392");
  EXPECT_EQ(content_id(text[0]), text[0].id);

  const auto given =
      read(R"({"prompt":[{"role":"user","content":"Hi"}],"chosen":[{"role":"assistant",)"
           R"("content":"Hello"}],"rejected":[{"role":"assistant","content":"No"}]})");
  EXPECT_EQ(given.at(0).id, "efe484f9f4158ffb");
  // An implicit prompt gives the same pair.
  const auto implicit =
      read(R"({"chosen":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}],)"
           R"("rejected":[{"role":"user","content":"Hi"},{"role":"assistant","content":"No"}]})");
  EXPECT_EQ(implicit.at(0).id, given[0].id);
}

constexpr std::string_view doubled = R"({"id":"a","prompt":"1","chosen":"c","rejected":"r"}
{"id":"b","prompt":"2","chosen":"c","rejected":"r"}
{"id":"a","prompt":"3","chosen":"c","rejected":"r"})";

TEST(PairReader, NamesBothPlacesOfADuplicateId) {
  const auto error = error_in(doubled);
  EXPECT_EQ(error.line, 3);
  EXPECT_EQ(error.field, "id");
  EXPECT_THAT(error.what(), HasSubstr("duplicate id a, first in line 1"));
}

TEST(PairReader, KeepsTheFirstOfADuplicateIdOnRequest) {
  const Folder folder;
  PairReader reader(folder.write("p.jsonl", doubled),
                    {.duplicates = PairReaderOptions::Duplicates::first});
  std::vector<std::string> prompts;
  for (PreferencePair pair; reader.next(pair);)
    prompts.push_back(std::get<std::string>(pair.prompt));
  EXPECT_THAT(prompts, ElementsAre("1", "2"));
  EXPECT_EQ(reader.duplicates(), 1);
  EXPECT_EQ(reader.rows(), 2);
}

TEST(PairReader, SkipsADuplicateIdIfLenient) {
  const Folder folder;
  PairReader reader(folder.write("p.jsonl", doubled), {.lenient = true});
  PreferencePair pair;
  while (reader.next(pair)) {
  }
  EXPECT_EQ(reader.n_skipped(), 1);
  EXPECT_EQ(reader.duplicates(), 0);
}

TEST(PairReader, ReadsRealPairs) {
  for (const auto& [name, rows] : {std::pair{"pairs/llmbar_419.jsonl", 419u},
                                   {"pairs/pandalm_majority.jsonl", 836u},
                                   {"pairs/hh_harmless_mild_80.jsonl", 80u}}) {
    const auto path = test::shared_data(name);
    if (path.empty()) GTEST_SKIP() << "needs the data in SP2DPO_SHARED_DATA";
    EXPECT_EQ(read_pairs(path).size(), rows) << name;
  }
}

}  // namespace
}  // namespace sp2dpo::io
