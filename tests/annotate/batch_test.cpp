// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../io/files.hpp"
#include "questions.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sp2dpo/annotate/batch.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* completion =
    R"({"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":)"
    R"({"role":"assistant","content":"%s"},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":3,"completion_tokens":4}})";

class BatchTest : public testing::Test {
 protected:
  BatchTest() : store(folder / "s.db") {
    for (const char c : {'a', 'b', 'c'}) store.add(StoredRequest{key(c), "f", "m", "{}"});
    store.commit();
  }

  static std::string key(char c) { return std::string(64, c); }
  static std::string body(const std::string& text) {
    std::string made = completion;
    return made.replace(made.find("%s"), 2, text);
  }
  /// Returns a result line in the format of OpenAI and vLLM.
  static std::string line(const std::string& id, const std::string& json, int status = 200,
                          const std::string& error = "null") {
    return fmt::format(
        R"({{"id":"b","custom_id":"{}","response":{{"status_code":{},"request_id":"r",)"
        R"("body":{}}},"error":{}}})"
        "\n",
        id, status, json, error);
  }
  BatchResults read(const std::string& text) {
    return read_batch(folder.write("r.jsonl", text), store);
  }
  [[nodiscard]] std::vector<std::string> bodies(char c) const {
    std::vector<std::string> found;
    for (const auto& reply : store.replies(key(c))) found.push_back(reply.body);
    return found;
  }

  sp2dpo::test::Folder folder;
  Store store;
};

TEST_F(BatchTest, ReadsResultsInAnyOrderAndKeepsBothOfTwoThatDiffer) {
  const auto results = read(line(key('b'), body("2")) + "\n" + line(key('a'), body("1")) +
                            line(key('b'), body("2")) + line(key('b'), body("other")));
  EXPECT_EQ(results.replies, 2);
  EXPECT_EQ(results.known, 1);
  EXPECT_EQ(results.different, 1);
  EXPECT_THAT(bodies('a'), ElementsAre(body("1")));
  EXPECT_THAT(bodies('b'), ElementsAre(body("2"), body("other")));
  EXPECT_EQ(store.replies(key('a'))[0].usage, (Usage{3, 4}));
  EXPECT_EQ(store.replies(key('a'))[0].request_id, "r");
  EXPECT_EQ(read(line(key('a'), body("1"))).known, 1);
}

TEST_F(BatchTest, ABadLineDoesNotAffectOthers) {
  const auto results =
      read("{\n" + line("who", body("x")) + "[1]\n\xff\xfe\n" + line(key('a'), body("1")) +
           "null\n" + line(key('c'), body("3")).substr(0, 200));
  EXPECT_EQ(results.replies, 1);
  EXPECT_EQ(results.unknown, 1);
  EXPECT_EQ(results.unreadable, 5);
  EXPECT_THAT(results.notes[0], HasSubstr("r.jsonl:1:"));
  EXPECT_THAT(bodies('c'), ElementsAre());
}

TEST_F(BatchTest, AnErrorOfAnyShapeIsAFailure) {
  const auto results =
      read(line(key('a'), "null", 400, "\"plain text\"") +
           line(key('a'), R"({"error":{"message":"no such model","code":"x"}})", 404) +
           fmt::format(R"({{"custom_id":"{}","response":null,)"
                       R"("error":{{"code":"batch_expired","message":"late"}}}})"
                       "\n",
                       key('b')) +
           line(key('c'), "null", 500));
  EXPECT_EQ(results.replies, 0);
  EXPECT_EQ(results.failed, 4);
  EXPECT_THAT(store.failures(key('a'))[0].detail, HasSubstr("plain text"));
  EXPECT_THAT(store.failures(key('a'))[1].detail, HasSubstr("no such model"));
  EXPECT_THAT(store.failures(key('b'))[0].detail, HasSubstr("batch_expired"));
  EXPECT_EQ(store.failures(key('c'))[0].http_status, 500);
  // A later success counts.
  EXPECT_EQ(read(line(key('a'), body("1"))).replies, 1);
}

TEST_F(BatchTest, StoresAReplyToASecondAttemptSeparately) {
  const auto results = read(line(key('a') + ".1", body("second")) + line(key('a'), body("first")) +
                            line(key('a') + ".x", body("?")) + line(key('a') + "1", body("?")));
  EXPECT_EQ(results.replies, 2);
  EXPECT_EQ(results.unknown, 2);
  EXPECT_THAT(bodies('a'), ElementsAre(body("first"), body("second")));
}

TEST_F(BatchTest, AByteOrderMarkCostsNoLine) {
  const auto results = read("\xEF\xBB\xBF" + line(key('a'), body("1")));
  EXPECT_EQ(results.replies, 1);
  EXPECT_EQ(results.unreadable, 0);
}

TEST_F(BatchTest, NamesAFileWithoutASingleResultOfTheStore) {
  EXPECT_THAT(read("<html>log in</html>\n").foreign,
              ElementsAre(AllOf(HasSubstr("of another kind"), HasSubstr("<html>log in"))));
  EXPECT_THAT(read(line(key('x'), body("1"))).foreign,
              ElementsAre(HasSubstr("another store or judge")));
  EXPECT_THAT(read("\n\n").foreign, ElementsAre());
  EXPECT_THAT(read(line(key('a'), "null", 500)).foreign, ElementsAre());
}

TEST_F(BatchTest, KnowsTheStatesOfBatches) {
  using Kind = BatchStatus::Kind;
  for (const char* state : {"validating", "in_progress", "IN-PROGRESS", "finalizing", "cancelling"})
    EXPECT_EQ(kind_of_state(state), Kind::running) << state;
  for (const char* state : {"completed", "Completed", "succeeded"})
    EXPECT_EQ(kind_of_state(state), Kind::completed) << state;
  for (const char* state : {"failed", "expired", "cancelled", "canceled", "FAILED"})
    EXPECT_EQ(kind_of_state(state), Kind::failed) << state;
  for (const char* state : {"", "done?", "complet", "completed_with_errors"}) {
    EXPECT_EQ(kind_of_state(state), Kind::unknown) << state;
    EXPECT_FALSE(is_final(state)) << state;
  }
}

TEST_F(BatchTest, KeepsTheBodyByteForByte) {
  const auto odd = body(R"(half a pair: \ud83d)");
  EXPECT_EQ(read(line(key('a'), odd)).replies, 1);
  EXPECT_THAT(bodies('a'), ElementsAre(odd));
}

TEST_F(BatchTest, CorruptLinesDoNotAffectOthers) {
  const int rounds = std::getenv("SP2DPO_FULL_TESTS") != nullptr ? 5'000 : 200;
  const std::string good = line(key('a'), body("1"));
  const std::string also_good = line(key('b'), body("2"));
  ASSERT_EQ(read(good + also_good).replies, 2);
  std::mt19937_64 random(3);
  for (int round = 0; round < rounds; ++round) {
    std::string text;
    for (int spoilt = 0; spoilt < 50; ++spoilt) {
      std::string bad = line(key('c'), body("3"));
      for (auto changes = 1 + random() % 4; changes > 0; --changes) {
        const auto at = random() % bad.size();
        switch (random() % 3) {
          case 0:
            bad[at] = static_cast<char>(random());
            break;
          case 1:
            bad.erase(at, 1 + random() % 20);
            break;
          default:
            bad.insert(at, 1, "{}[]\",:\\0"[random() % 9]);
        }
      }
      text += bad + '\n' + (spoilt == 20 ? good : spoilt == 40 ? also_good : "");
    }
    const auto results = read(text);
    EXPECT_GE(results.known, 2) << "round " << round;
  }
}

TEST_F(BatchTest, SplitsFilesByLinesAndBytes) {
  std::vector<PreferencePair> pairs;
  for (int i = 0; i < 7; ++i)
    pairs.push_back({.id = std::to_string(i),
                     .prompt = "question " + std::to_string(i),
                     .chosen = "yes",
                     .rejected = "no"});
  const Judge judge{.name = "gpt/4 o", .model = "m", .family = "f"};
  const PanelMember member{.judge = &judge, .prompt = &test::tiny_prompt()};
  const auto count = [&](const BatchLimits& limits) {
    std::vector<std::int64_t> lines;
    for (const auto& file :
         write_batch(pairs, std::vector{member}, store, folder / "ask", limits)) {
      EXPECT_LE(std::ssize(sp2dpo::test::slurp(file.path)), limits.bytes);
      lines.push_back(file.lines);
    }
    return lines;
  };
  EXPECT_THAT(count({.lines = 3}), ElementsAre(3, 3, 1));
  const auto one = std::ssize(sp2dpo::test::slurp(folder / "ask.gpt_4_o.0003.jsonl"));
  EXPECT_THAT(count({.bytes = 4 * one}), ElementsAre(4, 3));
  EXPECT_THROW((void)count({.bytes = one - 1}), InvalidArgument);
  const auto key = make_request(member.about("5"), pairs[5]).key;
  const auto verdict = R"({\"category\":\"style\",\"magnitude\":1,\"confidence\":1})";
  EXPECT_EQ(read(line(key, body(verdict))).replies, 1);
  EXPECT_THAT(count({.lines = 100}), ElementsAre(6));
}

}  // namespace
}  // namespace sp2dpo::annotate
