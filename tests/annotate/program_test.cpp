// SPDX-License-Identifier: Apache-2.0
#include "../tool/program.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../io/files.hpp"
#include "fake_provider.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sp2dpo/annotate/store.hpp>

// Runs the program against the fake provider.
namespace sp2dpo::annotate {
namespace {

using sp2dpo::test::Folder;
using sp2dpo::test::slurp;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* key = "secret-3f9d0c77";

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() {
    ::setenv("SP2DPO_TEST_KEY", key, 1);
    std::string pairs;
    for (int i = 0; i < 30; ++i)
      pairs += fmt::format(
          "{{\"id\":\"p{0}\",\"prompt\":\"question {0}\",\"chosen\":\"good "
          "{0}\",\"rejected\":\"bad "
          "{0}\"}}\n",
          i);
    folder.write("pairs.jsonl", pairs);
  }

  void serve(test::FakeOptions options = {}) {
    options.key = key;
    fake = std::make_unique<test::FakeProvider>(std::move(options));
    panel();
  }
  /// Writes a panel of two judges and three prompts.
  void panel(const std::string& more = "",
             const std::string& price = "{ prompt = 1, completion = 2 }") {
    std::string text = more;
    for (const char* name : {"ada", "bob"})
      text += fmt::format(
          "[[teacher]]\nname = \"{0}\"\nmodel = \"{0}-1\"\nfamily = \"fake\"\nbase_url = \"{1}\"\n"
          "key_variable = \"SP2DPO_TEST_KEY\"\nmax_concurrent = 4\nreasks = 0\n{2}",
          name, fake->base_url(), price.empty() ? "" : "price = " + price + "\n");
    folder.write("panel.toml", text);
  }

  [[nodiscard]] tool::Outcome annotate(
      const std::string& more = "--store s.db --out a.jsonl") const {
    return tool::run(folder, "annotate --pairs pairs.jsonl --panel panel.toml " + more);
  }
  [[nodiscard]] std::size_t lines(const char* name) const {
    const auto text = slurp(folder / name);
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
  }

  Folder folder;
  std::unique_ptr<test::FakeProvider> fake;
};

TEST_F(ProgramTest, RecordsThePromptVersionFromVersion2On) {
  serve();
  panel("prompts = [\"direct\"]\n");
  EXPECT_EQ(annotate().err.find("continues with it"), std::string::npos);
  EXPECT_THAT(slurp(folder / "a.jsonl"), HasSubstr("\"prompt_version\":2"));
  panel("prompts = [\"direct@1\"]\n");
  ASSERT_EQ(annotate("--store one.db --out one.jsonl").status, 0);
  EXPECT_THAT(slurp(folder / "one.jsonl"), Not(HasSubstr("prompt_version")));
  panel("prompts = [\"direct\"]\n");
  EXPECT_THAT(annotate("--store one.db --out again.jsonl").err,
              HasSubstr("one.db has questions of version 1 of the prompts"));
  EXPECT_EQ(slurp(folder / "again.jsonl"), slurp(folder / "one.jsonl"));
  EXPECT_EQ(fake->counts().requests, 120);
}

TEST_F(ProgramTest, AsksTwoVersionsOfAPromptInOnePanel) {
  serve();
  panel("prompts = [\"direct@1\", \"direct@2\"]\n");
  ASSERT_EQ(annotate().status, 0);
  EXPECT_EQ(lines("a.jsonl"), 120U);
  EXPECT_THAT(slurp(folder / "a.jsonl"),
              AllOf(HasSubstr("\"prompt\":\"direct@1\""), HasSubstr("\"prompt\":\"direct@2\"")));
  const auto made = tool::run(
      folder, "schedule --pairs pairs.jsonl --annotations a.jsonl --missing drop --out s.jsonl");
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.err, HasSubstr("the annotations of ada mix prompt versions: 30 of version 1, "
                                  "30 of version 2"));
}

TEST_F(ProgramTest, AnnotationsMakeASchedule) {
  serve();
  const auto ran = annotate();
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(lines("a.jsonl"), 180U);
  EXPECT_EQ(lines("a.jsonl.failures"), 0U);
  EXPECT_EQ(fake->counts().requests, 180);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("adversarial"), HasSubstr("180 annotations, 0 failures")));

  const auto made =
      tool::run(folder, "schedule --pairs pairs.jsonl --annotations a.jsonl --out schedule.jsonl");
  EXPECT_EQ(made.status, 0) << made.err;
  const auto explained =
      tool::run(folder, "explain --schedule schedule.jsonl --store s.db --annotations a.jsonl p7");
  EXPECT_EQ(explained.status, 0) << explained.err;
  EXPECT_THAT(
      explained.out,
      AllOf(HasSubstr("pair p7"), HasSubstr("aggregator jmamp"), HasSubstr("ada, prompt direct"),
            HasSubstr("bob, prompt criteria"), HasSubstr("good 7"), HasSubstr("model ada-1"),
            HasSubstr("signed gap"), HasSubstr("chat.completion")));
}

TEST_F(ProgramTest, ASecondRunSendsNothingAndWritesTheSameBytes) {
  serve();
  ASSERT_EQ(annotate().status, 0);
  const auto first = slurp(folder / "a.jsonl");
  ASSERT_EQ(annotate().status, 0);
  EXPECT_EQ(slurp(folder / "a.jsonl"), first);
  EXPECT_EQ(annotate("--store s.db --out b.jsonl --reparse").status, 0);
  EXPECT_EQ(slurp(folder / "b.jsonl"), first);
  EXPECT_EQ(fake->counts().requests, 180);
}

// The store, the pairs and the annotations were written by version 0.1, whose provider gave one
// unusable reply to each request about the pair `talk`.
TEST_F(ProgramTest, AStoreOfVersion01IsContinuedWithoutARequest) {
  const std::filesystem::path data = SP2DPO_TEST_DATA "/store_0_1";
  serve();
  folder.write("s.db", slurp(data / "store.db"));
  folder.write("pairs.jsonl", slurp(data / "pairs.jsonl"));
  for (const std::string form : {"informed", "blind"}) {
    std::string text = slurp(data / (form + ".toml"));
    constexpr std::string_view url = "@BASE_URL@";
    for (auto at = text.find(url); at != std::string::npos; at = text.find(url))
      text.replace(at, url.size(), fake->base_url());
    folder.write("panel.toml", text);
    const auto continued = annotate();
    EXPECT_EQ(continued.status, 0) << continued.err;
    EXPECT_THAT(continued.out, HasSubstr("0 answered now"));
    EXPECT_THAT(continued.err, HasSubstr("s.db has questions of version 1 of the prompts"));
    EXPECT_EQ(slurp(folder / "a.jsonl"), slurp(data / (form + ".jsonl")));
    EXPECT_EQ(annotate("--store s.db --out b.jsonl --reparse").status, 0);
    EXPECT_EQ(slurp(folder / "b.jsonl"), slurp(data / (form + ".jsonl")));
  }
  EXPECT_EQ(fake->counts().requests, 0);
  // The store as it was is kept beside the upgraded one.
  const annotate::Store before(folder / "s.db.v1", annotate::Store::Access::read);
  const annotate::Store after(folder / "s.db", annotate::Store::Access::read);
  std::vector<std::string> bodies;
  before.each_reply([&](const annotate::StoredReply& reply) { bodies.push_back(reply.body); });
  EXPECT_FALSE(bodies.empty());
  after.each_reply([&, i = 0U](const annotate::StoredReply& reply) mutable {
    EXPECT_EQ(reply.body, bodies.at(i++));
  });
}

// Version 0.1 kept four failures of servers as replies, and counted three of them as verdicts.
TEST_F(ProgramTest, FailuresThatVersion01KeptAsRepliesAreAskedAgain) {
  const std::filesystem::path data = SP2DPO_TEST_DATA "/store_0_1_failures";
  serve();
  folder.write("s.db", slurp(data / "store.db"));
  folder.write("pairs.jsonl", slurp(data / "pairs.jsonl"));
  std::string text = slurp(data / "panel.toml");
  constexpr std::string_view url = "@BASE_URL@";
  for (auto at = text.find(url); at != std::string::npos; at = text.find(url))
    text.replace(at, url.size(), fake->base_url());
  folder.write("panel.toml", text);

  EXPECT_THAT(annotate("--store s.db --out a.jsonl --plan").out, HasSubstr("\n4 calls, about"));
  const auto stored = annotate("--store s.db --out a.jsonl --reparse");
  EXPECT_EQ(stored.status, 4) << stored.err;
  EXPECT_EQ(lines("a.jsonl"), 1U);
  EXPECT_THAT(slurp(folder / "a.jsonl.failures"), HasSubstr("finish_reason incomplete"));

  const auto continued = annotate();
  EXPECT_EQ(continued.status, 0) << continued.err;
  EXPECT_EQ(fake->counts().requests, 4);
  EXPECT_EQ(lines("a.jsonl"), 5U);
  EXPECT_EQ(annotate("--store s.db --out b.jsonl").status, 0);
  EXPECT_EQ(slurp(folder / "b.jsonl"), slurp(folder / "a.jsonl"));
  EXPECT_EQ(fake->counts().requests, 4);
}

TEST_F(ProgramTest, KilledAtAnyMomentItFinishesWithTheSameBytes) {
  const int kills = std::getenv("SP2DPO_FULL_TESTS") != nullptr ? 200 : 8;
  serve({.latency = milliseconds(8)});
  ASSERT_EQ(annotate("--store undisturbed.db --out undisturbed.jsonl").status, 0);
  std::mt19937 random(11);
  std::uniform_int_distribution<int> pause(10, 300);
  int killed = 0;
  int generation = 0;
  while (killed < kills) {
    const auto store = fmt::format("killed{}.db", generation);
    const auto child = ::fork();
    if (child == 0) {
      if (::chdir((folder / ".").c_str()) != 0 || ::freopen("/dev/null", "w", stdout) == nullptr ||
          ::freopen("/dev/null", "w", stderr) == nullptr)
        ::_exit(127);
      ::execl(SP2DPO_PROGRAM, "sp2dpo", "annotate", "--pairs", "pairs.jsonl", "--panel",
              "panel.toml", "--store", store.c_str(), "--out", "killed.jsonl", nullptr);
      ::_exit(127);
    }
    std::this_thread::sleep_for(milliseconds(pause(random)));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
      ++killed;
      continue;
    }
    // It finished before the signal: check its output and start another store.
    ASSERT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(slurp(folder / "killed.jsonl"), slurp(folder / "undisturbed.jsonl"));
    ++generation;
  }
  ASSERT_EQ(annotate(fmt::format("--store killed{}.db --out killed.jsonl", generation)).status, 0);
  EXPECT_EQ(slurp(folder / "killed.jsonl"), slurp(folder / "undisturbed.jsonl"));
}

TEST_F(ProgramTest, MergedShardsEqualTheWhole) {
  serve();
  ASSERT_EQ(annotate("--store whole.db --out whole.jsonl").status, 0);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(
        annotate(fmt::format("--store part{0}.db --out part{0}.jsonl --shard {0}/3", i)).status, 0);
  EXPECT_EQ(lines("part0.jsonl") + lines("part1.jsonl") + lines("part2.jsonl"), 180U);
  EXPECT_EQ(tool::run(folder, "store merge all.db part0.db part1.db part2.db").status, 0);
  ASSERT_EQ(annotate("--store all.db --out all.jsonl --reparse").status, 0);
  EXPECT_EQ(slurp(folder / "all.jsonl"), slurp(folder / "whole.jsonl"));

  EXPECT_EQ(tool::run(folder, "store export all.db --out raw.jsonl").status, 0);
  EXPECT_EQ(lines("raw.jsonl"), 180U);
}

TEST_F(ProgramTest, PlansWithoutRequestsAndWithoutAKey) {
  serve();
  ::unsetenv("SP2DPO_TEST_KEY");
  const auto plan = annotate("--store s.db --plan");
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_THAT(plan.out, AllOf(HasSubstr("180 calls"), HasSubstr("No limit is set")));
  EXPECT_FALSE(std::filesystem::exists(folder / "s.db"));
  const auto refused = annotate();
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("SP2DPO_TEST_KEY"));
  EXPECT_EQ(fake->counts().requests, 0);
}

TEST_F(ProgramTest, StopsAtALimitAndContinuesFromThere) {
  serve();
  const auto stopped = annotate("--store s.db --out a.jsonl --max-requests 50");
  EXPECT_EQ(stopped.status, 3);
  EXPECT_THAT(stopped.err, HasSubstr("stopped by --max-requests: 130 questions are unanswered"));
  EXPECT_EQ(lines("a.jsonl"), 50U);
  EXPECT_EQ(lines("a.jsonl.failures"), 130U);
  EXPECT_EQ(annotate("--store s.db --out a.jsonl --max-cost 0").status, 2);
  EXPECT_EQ(fake->counts().requests, 50);
  EXPECT_EQ(annotate().status, 0);
  EXPECT_EQ(fake->counts().requests, 180);
}

TEST_F(ProgramTest, ReportsTheServersMessageForAQuestionWithoutAReply) {
  serve({.plan = [](const test::Asked&) { return test::Fault::detail_error; }});
  const auto refused = annotate("--store s.db --out a.jsonl --limit 1");
  EXPECT_EQ(refused.status, 4);
  EXPECT_THAT(refused.err, HasSubstr("6 questions are unanswered, listed in a.jsonl.failures"));
  EXPECT_EQ(lines("a.jsonl.failures"), 6U);
  EXPECT_THAT(slurp(folder / "a.jsonl.failures"), HasSubstr("last came HTTP 422: "));
}

TEST_F(ProgramTest, RefusesAModelWithoutAPriceUnlessAllowed) {
  serve();
  panel("", "");
  const auto refused = annotate();
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("ada has no price"));
  EXPECT_EQ(fake->counts().requests, 0);
  EXPECT_EQ(annotate("--store s.db --out a.jsonl --allow-unpriced").status, 0);
}

TEST_F(ProgramTest, RefusesAChangedPairsFile) {
  serve();
  ASSERT_EQ(annotate("--store s.db --out a.jsonl --limit 2").status, 0);
  folder.write("pairs.jsonl", slurp(folder / "pairs.jsonl") + "\n");
  const auto refused = annotate();
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("another pairs file"));
  EXPECT_EQ(fake->counts().requests, 12);
  EXPECT_EQ(annotate("--store s.db --out a.jsonl --limit 2 --changed-pairs").status, 0);
  EXPECT_EQ(fake->counts().requests, 12);
}

TEST_F(ProgramTest, AnEchoedKeyReachesNoFileAndNoMessage) {
  serve({.plan = [](const test::Asked& asked) {
    return asked.number % 3 == 0 ? test::Fault::echoed_key : test::Fault::none;
  }});
  const auto ran = annotate();
  EXPECT_THAT(ran.out + ran.err, Not(HasSubstr(key)));
  serve({.plan = [](const test::Asked&) { return test::Fault::bad_key; }});
  const auto refused = annotate("--store t.db --out t.jsonl");
  EXPECT_EQ(refused.status, 4);
  EXPECT_THAT(refused.out + refused.err, Not(HasSubstr(key)));
  for (const auto& name : folder.names())
    EXPECT_THAT(slurp(folder / name), Not(HasSubstr(key))) << name;
}

TEST_F(ProgramTest, AnInterruptWaitsForTheRequestsInFlight) {
  serve({.latency = milliseconds(50)});
  const auto child = ::fork();
  if (child == 0) {
    if (::chdir((folder / ".").c_str()) != 0 || ::freopen(".out", "w", stdout) == nullptr ||
        ::freopen(".err", "w", stderr) == nullptr)
      ::_exit(127);
    ::execl(SP2DPO_PROGRAM, "sp2dpo", "annotate", "--pairs", "pairs.jsonl", "--panel", "panel.toml",
            "--store", "s.db", "--out", "a.jsonl", nullptr);
    ::_exit(127);
  }
  while (fake->counts().answered < 8) std::this_thread::sleep_for(milliseconds(1));
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_THAT(slurp(folder / ".err"), HasSubstr("run the same command to continue"));
  EXPECT_EQ(static_cast<std::int64_t>(lines("a.jsonl")), fake->counts().answered);
  EXPECT_EQ(fake->counts().requests, fake->counts().answered);
}

TEST_F(ProgramTest, BatchFilesGiveTheSameAnnotations) {
  serve();
  ASSERT_EQ(annotate("--store direct.db --out direct.jsonl").status, 0);
  const std::string common = "--pairs pairs.jsonl --panel panel.toml --store s.db";
  const auto wrote = tool::run(folder, "batch write " + common + " --out ask --max-lines 40");
  EXPECT_EQ(wrote.status, 0) << wrote.err;
  EXPECT_EQ(lines("ask.ada.0001.jsonl"), 40U);
  EXPECT_EQ(lines("ask.bob.0003.jsonl"), 10U);
  for (const char* name : {"ada", "bob"})
    for (int time = 0; time < 2; ++time) {
      const auto sent = tool::run(
          folder, fmt::format("batch submit --panel panel.toml --store s.db --teacher {0} "
                              "ask.{0}.0001.jsonl ask.{0}.0002.jsonl ask.{0}.0003.jsonl",
                              name));
      EXPECT_EQ(sent.status, 0) << sent.err;
      EXPECT_THAT(sent.out, HasSubstr(time == 0 ? "sent" : "not sent again"));
    }
  const auto waited =
      tool::run(folder, "batch wait --panel panel.toml --store s.db --out . --every 1");
  EXPECT_EQ(waited.status, 0) << waited.err;
  EXPECT_THAT(waited.out, HasSubstr("180 replies are new"));
  const auto before = fake->counts().requests;
  ASSERT_EQ(annotate().status, 0);
  EXPECT_EQ(fake->counts().requests, before);
  EXPECT_EQ(slurp(folder / "a.jsonl"), slurp(folder / "direct.jsonl"));
  EXPECT_THAT(tool::run(folder, "batch write " + common + " --out again").out,
              HasSubstr("no file is written"));
}

}  // namespace
}  // namespace sp2dpo::annotate
