// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "../io/files.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class StoreTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file(const char* name) const { return folder_ / name; }

  static StoredReply reply(const std::string& key, const std::string& body, int ask = 0) {
    return {.key = key,
            .ask = ask,
            .request_id = "r-1",
            .body = body,
            .usage = Usage{11, 22},
            .seconds = 0.5,
            .attempts = 3,
            .created = 1'700'000'000};
  }
  static std::vector<std::string> bodies(const Store& store, const std::string& key) {
    std::vector<std::string> found;
    for (const auto& reply : store.replies(key)) found.push_back(reply.body);
    return found;
  }
  /// Runs SQL on the file without the store.
  static void sql(const std::filesystem::path& path, const char* text) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, text, nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
  }

 private:
  const sp2dpo::test::Folder folder_;
};

TEST_F(StoreTest, HasNotBegunBeforeItHoldsATable) {
  EXPECT_FALSE(Store::has_begun(file("missing.db")));
  std::ofstream(file("empty.db"));
  EXPECT_FALSE(Store::has_begun(file("empty.db")));
  // A process killed before the first transaction leaves a header page without a table.
  sql(file("header.db"), "PRAGMA journal_mode = WAL");
  ASSERT_GT(std::filesystem::file_size(file("header.db")), 0U);
  EXPECT_FALSE(Store::has_begun(file("header.db")));
  for (const char* name : {"empty.db", "header.db"}) {
    Store store(file(name));
    EXPECT_TRUE(store.pairs_sha256().empty()) << name;
  }
  EXPECT_TRUE(Store::has_begun(file("header.db")));
  std::ofstream(file("text.db")) << std::string(8192, 'x');
  EXPECT_THAT([&] { (void)Store::has_begun(file("text.db")); },
              ThrowsMessage<sp2dpo::DataError>(HasSubstr("not a database")));
}

TEST_F(StoreTest, KnowsThePromptVersionItsQuestionsUse) {
  {
    Store store(file("new.db"));
    EXPECT_EQ(store.prompt_version(), std::nullopt);
    store.set_prompt_version(2);
    store.add(StoredQuestion{.pair_id = "p", .annotator = "a", .prompt = "direct", .key = "k"});
    store.commit();
    EXPECT_EQ(store.prompt_version(), 2);
  }
  {
    Store old(file("old.db"));  // 0.1 recorded no version
    old.add(StoredQuestion{.pair_id = "q", .annotator = "a", .prompt = "direct", .key = "l"});
    old.commit();
    EXPECT_EQ(old.prompt_version(), 1);
  }
  Store merged(file("new.db"));
  (void)merged.merge(file("old.db"));
  EXPECT_EQ(merged.prompt_version(), 1);
  EXPECT_EQ(Store(file("new.db"), Store::Access::read).prompt_version(), 1);
}

TEST_F(StoreTest, ReturnsWhatWasAddedByteForByte) {
  constexpr char raw[] = "{\"a\":\"\xff\xfe \0 \xf0\x9f\x98\x80\"}";
  const std::string body(raw, sizeof raw - 1);
  {
    Store store(file("s.db"));
    store.add(StoredRequest{"k", "openai", "gpt", "{\"q\":1}"});
    store.add(StoredQuestion{"p", "gpt", "direct", Order::chosen_first, 2, "k"});
    EXPECT_TRUE(store.add(reply("k", body)));
    store.add(StoredFailure{"k", StoredFailure::Kind::transport, 503, "busy", 17});
    store.commit();
  }
  const Store store(file("s.db"), Store::Access::read);
  const auto found = store.replies("k");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].body, body);
  EXPECT_EQ(found[0].usage, (Usage{11, 22}));
  EXPECT_EQ(found[0].request_id, "r-1");
  EXPECT_EQ(found[0].seconds, 0.5);
  EXPECT_EQ(found[0].attempts, 3);
  EXPECT_EQ(found[0].created, 1'700'000'000);
  EXPECT_EQ(store.request("k")->body, "{\"q\":1}");
  EXPECT_EQ(store.request("none"), std::nullopt);
  ASSERT_EQ(store.questions("p").size(), 1U);
  EXPECT_EQ(store.questions("p")[0].sample, 2);
  EXPECT_EQ(store.questions("p")[0].order, Order::chosen_first);
  ASSERT_EQ(store.failures("k").size(), 1U);
  EXPECT_EQ(store.failures("k")[0].kind, StoredFailure::Kind::transport);
  EXPECT_EQ(store.failures("k")[0].detail, "busy");
}

TEST_F(StoreTest, AFailureIsNotAReply) {
  Store store(file("s.db"));
  store.add(StoredFailure{"k", StoredFailure::Kind::transport, 503, "busy", 17});
  store.commit();
  EXPECT_EQ(store.count_replies("k"), 0);
}

TEST_F(StoreTest, KeepsTheFirstOfTwoRepliesToOneAttempt) {
  Store store(file("s.db"));
  EXPECT_TRUE(store.add(reply("k", "first")));
  EXPECT_FALSE(store.add(reply("k", "second")));
  EXPECT_TRUE(store.add(reply("k", "asked again", 1)));
  store.commit();
  EXPECT_THAT(bodies(store, "k"), ElementsAre("first", "asked again"));
}

TEST_F(StoreTest, UncommittedAdditionsAreLost) {
  {
    Store store(file("s.db"));
    store.add(reply("kept", "1"));
    store.commit();
    store.add(reply("lost", "2"));
  }
  const Store store(file("s.db"), Store::Access::read);
  EXPECT_EQ(store.count_replies("kept"), 1);
  EXPECT_EQ(store.count_replies("lost"), 0);
}

TEST_F(StoreTest, CommittedAdditionsOutliveAKilledProcess) {
  const auto child = ::fork();
  if (child == 0) {
    Store store(file("s.db"));
    store.add(reply("kept", "1"));
    store.commit();
    store.add(reply("lost", "2"));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const Store store(file("s.db"));  // the dead process holds no lock
  EXPECT_EQ(store.count_replies("kept"), 1);
  EXPECT_EQ(store.count_replies("lost"), 0);
}

TEST_F(StoreTest, ASecondWriterIsRefusedAndAReaderIsNot) {
  Store store(file("s.db"));
  store.add(reply("k", "1"));
  store.commit();
  EXPECT_THAT([&] { Store(file("s.db")); },
              ThrowsMessage<DataError>(HasSubstr("another process is writing")));
  EXPECT_EQ(Store(file("s.db"), Store::Access::read).count_replies("k"), 1);
}

TEST_F(StoreTest, ReportsOtherVersionsDamageAndOtherFiles) {
  { const Store store(file("later.db")); }
  sql(file("later.db"), "PRAGMA user_version = 7");
  EXPECT_THAT([&] { Store(file("later.db")); },
              ThrowsMessage<DataError>(HasSubstr("unsupported store version 7")));

  sql(file("other.db"), "CREATE TABLE t(x)");
  EXPECT_THAT([&] { Store(file("other.db")); },
              ThrowsMessage<DataError>(HasSubstr("not a store of annotations")));

  std::ofstream(file("text.db")) << std::string(5000, 'x');
  EXPECT_THAT([&] { Store(file("text.db")); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("text.db"), HasSubstr("not a database"))));

  {
    Store store(file("torn.db"));
    for (int i = 0; i < 200; ++i) store.add(reply(std::to_string(i), std::string(500, 'y')));
    store.commit();
  }
  std::filesystem::resize_file(file("torn.db"), std::filesystem::file_size(file("torn.db")) / 2);
  EXPECT_THAT([&] { Store(file("torn.db")); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("torn.db"), HasSubstr("malformed"))));

  EXPECT_THAT([&] { Store(file("none.db"), Store::Access::read); },
              ThrowsMessage<DataError>(HasSubstr("no such store")));
  EXPECT_FALSE(std::filesystem::exists(file("none.db")));
}

TEST_F(StoreTest, ReportsAnUnwritableFolder) {
  EXPECT_THAT([&] { Store(file("nowhere/s.db")); },
              ThrowsMessage<DataError>(HasSubstr("nowhere/s.db")));
}

TEST_F(StoreTest, MergesPartsAndReportsRepliesThatDiffer) {
  {
    Store part(file("part.db"));
    part.add(reply("both", "same"));
    part.add(reply("differs", "theirs"));
    part.add(reply("new", "n"));
    part.add(StoredRequest{"new", "f", "m", "{}"});
    part.add(StoredQuestion{"p", "a", "d", {}, 0, "new"});
    part.add(StoredFailure{"x", StoredFailure::Kind::quota, 429, "empty", 1});
    part.commit();
  }
  Store store(file("s.db"));
  store.add(reply("both", "same"));
  store.add(reply("differs", "ours"));
  store.commit();
  for (int time = 0; time < 2; ++time) {
    const auto merged = store.merge(file("part.db"));
    EXPECT_EQ(merged.replies, time == 0 ? 1 : 0);
    EXPECT_EQ(merged.known, time == 0 ? 1 : 2);
    EXPECT_EQ(merged.different, 1);
  }
  EXPECT_THAT(bodies(store, "differs"), ElementsAre("ours"));
  EXPECT_THAT(bodies(store, "new"), ElementsAre("n"));
  EXPECT_EQ(store.questions("p").size(), 1U);
  EXPECT_EQ(store.failures("x").size(), 1U);
}

TEST_F(StoreTest, RefusesToMergeAStoreOfAnotherPairsFile) {
  Store(file("part.db")).set_pairs_sha256("aaaa");
  Store store(file("s.db"));
  store.set_pairs_sha256("bbbb");
  EXPECT_THAT([&] { (void)store.merge(file("part.db")); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("another pairs file"), HasSubstr("aaaa"))));
}

TEST_F(StoreTest, AFullDiskIsReportedAndKeepsCommittedReplies) {
  {
    Store store(file("s.db"));
    store.add(reply("kept", "1"));
    store.commit();
  }
  const auto child = ::fork();
  if (child == 0) {
    // A limit on the file size fails the same write as a full disk.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{400'000, 400'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      Store store(file("s.db"));
      for (int i = 0;; ++i) {
        store.add(reply(std::to_string(i), std::string(10'000, 'z')));
        store.commit();
      }
    } catch (const DataError& error) {
      ::_exit(std::string(error.what()).find("s.db: ") == std::string::npos ? 1 : 7);
    } catch (...) {
      ::_exit(2);
    }
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  const Store store(file("s.db"));
  EXPECT_EQ(store.count_replies("kept"), 1);
  EXPECT_EQ(store.count_replies("0"), 1);
}

}  // namespace
}  // namespace sp2dpo::annotate
