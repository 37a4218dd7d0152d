// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "../io/files.hpp"
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// A store of version 1 as version 0.1 of the program wrote it.
constexpr const char* version_1 = R"(
PRAGMA application_id = 0x73703264;
PRAGMA user_version = 1;
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE requests(key TEXT PRIMARY KEY, family TEXT NOT NULL, model TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE questions(pair_id TEXT, annotator TEXT, prompt TEXT, shown TEXT, sample INTEGER,
  key TEXT NOT NULL, PRIMARY KEY (pair_id, annotator, prompt, shown, sample)) WITHOUT ROWID;
CREATE TABLE answers(key TEXT, ask INTEGER, http_status INTEGER NOT NULL, request_id TEXT NOT NULL,
  body BLOB NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, seconds REAL NOT NULL,
  attempts INTEGER NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (key, ask));
CREATE TABLE failures(key TEXT NOT NULL, kind TEXT NOT NULL, http_status INTEGER NOT NULL,
  detail TEXT NOT NULL, created INTEGER NOT NULL);
CREATE INDEX failures_by_key ON failures(key);
CREATE TABLE batches(id TEXT PRIMARY KEY, teacher TEXT NOT NULL, file_sha256 TEXT NOT NULL,
  state TEXT NOT NULL);
INSERT INTO answers VALUES ('k', 0, 200, 'r', 'body', 3, 4, 1.5, 1, 5),
  ('k', 1, 200, '', 'b2', NULL, NULL, 0, 2, 6);
INSERT INTO requests VALUES ('k', 'f', 'm', '{"seed":1}');
)";

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

  static void make_version_1(const std::filesystem::path& path) { sql(path, version_1); }

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

TEST_F(StoreTest, KeepsEveryReplyThatDiffersUnderAnAskOfItsOwn) {
  Store store(file("s.db"));
  EXPECT_TRUE(store.add(reply("k", "first")));
  EXPECT_FALSE(store.add(reply("k", "first")));
  EXPECT_TRUE(store.add(reply("k", "asked again", 3)));
  EXPECT_TRUE(store.add(reply("k", "another first")));
  EXPECT_FALSE(store.add(reply("k", "another first")));
  store.commit();
  EXPECT_THAT(bodies(store, "k"), ElementsAre("first", "asked again", "another first"));
  EXPECT_EQ(store.replies("k").back().ask, 4);
}

TEST_F(StoreTest, RefusesNamesUnderWhichNothingIsKept) {
  std::filesystem::create_directory(file("folder"));
  ASSERT_EQ(::mkfifo(file("pipe").c_str(), 0600), 0);
  for (const std::string& name :
       {std::string(), std::string(":memory:"), std::string("file:x?mode=memory"),
        std::string("file::memory:"), "file:" + file("x.db").string(), std::string("/dev/null"),
        std::string("/dev/stdout"), std::string("/proc/self/fd/1"), file("folder").string(),
        file("pipe").string()})
    for (const auto access : {Store::Access::write, Store::Access::read})
      EXPECT_THROW(Store(name, access), DataError) << name;
  EXPECT_FALSE(std::filesystem::exists(file("x.db")));
}

TEST_F(StoreTest, TheLockFollowsTheFileNotItsName) {
  Store store(file("s.db"));
  std::filesystem::create_directory(file("folder"));
  std::filesystem::create_symlink(file("s.db"), file("symbolic.db"));
  std::filesystem::create_directory_symlink(file("."), file("folder/up"));
  ASSERT_EQ(::link(file("s.db").c_str(), file("hard.db").c_str()), 0);
  for (const char* name : {"symbolic.db", "hard.db", "folder/up/s.db", "folder/../s.db"})
    EXPECT_THAT([&] { Store(file(name)); },
                ThrowsMessage<DataError>(HasSubstr("another process is writing")))
        << name;
  // In another process too, and the refusals have not taken the first writer's own locks away.
  for (const char* name : {"symbolic.db", "hard.db"}) {
    const auto child = ::fork();
    if (child == 0) {
      const int other = ::open(file(name).c_str(), O_RDWR);
      ::_exit(::flock(other, LOCK_EX | LOCK_NB) == 0 ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << name;
  }
  store.add(reply("k", "1"));
  store.commit();
  EXPECT_EQ(store.count_replies("k"), 1);
}

TEST_F(StoreTest, ADanglingLinkNamesTheFileThatItPointsTo) {
  std::filesystem::create_symlink("real.db", file("link.db"));
  {
    Store store(file("link.db"));
    store.add(reply("k", "1"));
    store.commit();
  }
  EXPECT_EQ(Store(file("real.db"), Store::Access::read).count_replies("k"), 1);
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

TEST_F(StoreTest, AStoreOfVersion1IsReadAsItIs) {
  make_version_1(file("v1.db"));
  const Store store(file("v1.db"), Store::Access::read);
  ASSERT_EQ(store.replies("k").size(), 2);
  EXPECT_EQ(store.replies("k")[0].seed, std::nullopt);
  EXPECT_EQ(store.replies("k")[0].body, "body");
  EXPECT_FALSE(std::filesystem::exists(file("v1.db.v1")));
}

TEST_F(StoreTest, AStoreOfVersion1IsCopiedAndUpgradedForWriting) {
  make_version_1(file("v1.db"));
  {
    Store store(file("v1.db"));
    EXPECT_EQ(store.replies("k")[1].body, "b2");
    EXPECT_EQ(store.replies("k")[1].attempts, 2);
    EXPECT_EQ(store.request("k")->body, "{\"seed\":1}");
    EXPECT_TRUE(store.add(StoredReply{.key = "k", .ask = 2, .body = "b3", .seed = 9}));
    store.commit();
  }
  EXPECT_EQ(Store(file("v1.db")).replies("k")[2].seed, 9);
  const Store copy(file("v1.db.v1"), Store::Access::read);
  EXPECT_EQ(copy.replies("k").size(), 2);
}

TEST_F(StoreTest, AnInterruptedUpgradeIsFinishedAndAnotherCopyIsKept) {
  make_version_1(file("again.db"));
  make_version_1(file("again.db.v1"));
  EXPECT_EQ(Store(file("again.db")).replies("k").size(), 2);

  make_version_1(file("other.db"));
  make_version_1(file("other.db.v1"));
  sql(file("other.db.v1"), "DELETE FROM answers WHERE ask = 1");
  EXPECT_THAT([&] { Store(file("other.db")); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("other.db.v1"), HasSubstr("move"))));
  EXPECT_EQ(Store(file("other.db"), Store::Access::read).replies("k").size(), 2);
}

TEST_F(StoreTest, MergesAStoreOfVersion1) {
  make_version_1(file("v1.db"));
  Store store(file("s.db"));
  EXPECT_EQ(store.merge(file("v1.db")).replies, 2);
  EXPECT_EQ(store.replies("k")[0].body, "body");
  EXPECT_FALSE(std::filesystem::exists(file("v1.db.v1")));
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
    EXPECT_EQ(merged.known, time == 0 ? 1 : 3);
    EXPECT_EQ(merged.different, time == 0 ? 1 : 0);
  }
  EXPECT_THAT(bodies(store, "differs"), ElementsAre("ours", "theirs"));
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

/// Runs `act` in a child under a limit on the size of files, which fails the same writes as a full
/// disk. Returns its exit status.
template <class Act>
int with_file_limit(rlim_t bytes, Act act) {
  const auto child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      ::_exit(act());
    } catch (const std::exception& error) {
      ::fprintf(stderr, "%s\n", error.what());
      ::_exit(99);
    }
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(StoreTest, TheReserveKeepsWhatTheDiskRefuses) {
  constexpr int full = 7;
  int added = 0;
  const auto status = with_file_limit(1'500'000, [&] {
    Store store(file("s.db"));
    store.reserve(1'200'000);
    int after = 0;
    for (int i = 0; i < 1000; ++i) {
      // Replies that are under way when the disk turns out to be full.
      if (!store.disk_error().empty() && ++after > 20) break;
      store.add(reply(fmt::format("{:03}", i), std::string(30'000, 'z')));
      store.commit();
      std::ofstream(file("count")) << i + 1;
    }
    if (store.disk_error().empty()) return 1;
    const auto rescued = store.recover();
    return rescued == file("s.db").string() + ".reserve" ? full : 2;
  });
  ASSERT_EQ(status, full);
  std::ifstream(file("count")) >> added;
  ASSERT_GT(added, 25);
  EXPECT_TRUE(std::filesystem::exists(file("s.db.reserve")));
  const Store store(file("s.db"));
  for (int i = 0; i < added; ++i) EXPECT_EQ(store.count_replies(fmt::format("{:03}", i)), 1) << i;
  EXPECT_FALSE(std::filesystem::exists(file("s.db.reserve")));
}

TEST_F(StoreTest, AReserveThatTheDiskHasNoRoomForIsRefused) {
  const auto status = with_file_limit(1'000'000, [&] {
    Store store(file("s.db"));
    try {
      store.reserve(2'000'000);
    } catch (const DataError& error) {
      return std::string(error.what()).find("no room on the disk") != std::string::npos ? 7 : 1;
    }
    return 2;
  });
  EXPECT_EQ(status, 7);
  EXPECT_FALSE(std::filesystem::exists(file("s.db.reserve")));
}

TEST_F(StoreTest, AnUnusedReserveLeavesNoFile) {
  {
    Store store(file("s.db"));
    store.reserve(3'000'000);
    EXPECT_GE(std::filesystem::file_size(file("s.db.reserve")), 3'000'000U);
    store.add(reply("k", "1"));
    store.commit();
    EXPECT_EQ(store.recover(), "");
    EXPECT_FALSE(std::filesystem::exists(file("s.db.reserve")));
    store.reserve(1'000'000);
  }
  EXPECT_FALSE(std::filesystem::exists(file("s.db.reserve")));
}

TEST_F(StoreTest, ATornReserveGivesItsWholeAdditions) {
  const auto status = with_file_limit(1'500'000, [&] {
    Store store(file("s.db"));
    store.reserve(1'200'000);
    for (int i = 0; store.disk_error().empty(); ++i) {
      store.add(reply(fmt::format("{:03}", i), std::string(30'000, 'z')));
      store.commit();
      std::ofstream(file("count")) << i + 1;
    }
    ::kill(::getpid(), SIGKILL);  // with the reserve not even shrunk
    return 0;
  });
  ASSERT_EQ(status, -1);
  int added = 0;
  std::ifstream(file("count")) >> added;
  {
    const Store store(file("s.db"));
    EXPECT_EQ(store.count_replies(fmt::format("{:03}", added - 1)), 1);
  }
  // Garbage in the place of the reserve harms nothing.
  std::ofstream(file("s.db.reserve")) << "sp2dpo reserve1\n" << std::string(100, '\x7f');
  const Store store(file("s.db"));
  EXPECT_EQ(store.count_replies(fmt::format("{:03}", added - 1)), 1);
}

}  // namespace
}  // namespace sp2dpo::annotate
