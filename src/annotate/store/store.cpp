// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <system_error>
#include <utility>

#include "reserve.hpp"
#include "sqlite.hpp"
#include "store_file.hpp"
#include "writer_lock.hpp"
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {

namespace {

constexpr std::int64_t application_id = 0x73703264;  // "sp2d"
constexpr std::int64_t version = 2;

constexpr const char* schema = R"(
PRAGMA application_id = 0x73703264;
PRAGMA user_version = 2;
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE requests(key TEXT PRIMARY KEY, family TEXT NOT NULL, model TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE questions(pair_id TEXT, annotator TEXT, prompt TEXT, shown TEXT, sample INTEGER,
  key TEXT NOT NULL, PRIMARY KEY (pair_id, annotator, prompt, shown, sample)) WITHOUT ROWID;
CREATE TABLE answers(key TEXT, ask INTEGER, http_status INTEGER NOT NULL, request_id TEXT NOT NULL,
  body BLOB NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, seconds REAL NOT NULL,
  attempts INTEGER NOT NULL, created INTEGER NOT NULL, seed INTEGER, PRIMARY KEY (key, ask));
CREATE TABLE failures(key TEXT NOT NULL, kind TEXT NOT NULL, http_status INTEGER NOT NULL,
  detail TEXT NOT NULL, created INTEGER NOT NULL);
CREATE INDEX failures_by_key ON failures(key);
CREATE TABLE batches(id TEXT PRIMARY KEY, teacher TEXT NOT NULL, file_sha256 TEXT NOT NULL,
  state TEXT NOT NULL);
)";

std::int64_t value_of(const Database& database, std::string_view pragma) {
  Statement statement(database, pragma);
  return statement.next() ? statement.integer(0) : 0;
}

bool has_tables(const Database& database) {
  return value_of(database, "SELECT count(*) FROM sqlite_master") != 0;
}

Database open_for_reading(const std::string& name, const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) throw DataError(name, 0, "", "no such store");
  if (is_frozen(file))
    return {name, immutable_uri(file),
            SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY | SQLITE_OPEN_URI};
  return {name, file.string(), SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY};
}

/// Returns true if a file is a store that holds every reply of this one.
bool holds_every_reply(const Database& database, const std::string& copy) {
  Statement(database, "ATTACH ? AS copy").with(copy).run();
  bool all = value_of(database, "PRAGMA copy.application_id") == application_id;
  if (all) {
    Statement missing(database,
                      "SELECT count(*) FROM (SELECT key, ask, body FROM main.answers EXCEPT "
                      "SELECT key, ask, body FROM copy.answers)");
    all = missing.next() && missing.integer(0) == 0;
  }
  database.run("DETACH copy");
  return all;
}

/// Copies the store to PATH.v1, unless a copy is there, and adds what version 2 has.
void upgrade_from_version_1(const Database& database, const std::string& name) {
  const std::string copy = name + ".v1";
  if (std::filesystem::exists(copy)) {
    if (!holds_every_reply(database, copy))
      database.fail(fmt::format(
          "is a store of version 1, and its copy {} exists with other replies; move that file away",
          copy));
  } else {
    const std::string part = copy + ".part";
    std::filesystem::remove(part);
    Statement(database, "VACUUM INTO ?").with(part).run();
    const int file = ::open(part.c_str(), O_RDONLY | O_CLOEXEC);
    const bool synced = file >= 0 && ::fsync(file) == 0;
    if (file >= 0) ::close(file);
    if (!synced) database.fail(fmt::format("cannot copy it to {}", part));
    std::filesystem::rename(part, copy);
  }
  database.run("BEGIN IMMEDIATE");
  database.run("ALTER TABLE answers ADD COLUMN seed INTEGER; PRAGMA user_version = 2;");
  database.run("COMMIT");
}

/// Opens the database and checks that it is a store. `name` is for messages.
Database open(const std::string& name, const std::filesystem::path& file, Store::Access access) {
  const bool write = access == Store::Access::write;
  Database database =
      write ? Database(name, file.string(),
                       SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
            : open_for_reading(name, file);
  database.check(sqlite3_busy_timeout(database.handle(), 10'000));
  const bool is_new = !has_tables(database);
  if (!is_new || !write) {
    if (value_of(database, "PRAGMA application_id") != application_id)
      database.fail("is a database but not a store of annotations");
    const auto found = value_of(database, "PRAGMA user_version");
    if (found < 1 || found > version)
      database.fail(fmt::format("unsupported store version {}; this program reads version 1 to {}",
                                found, version));
  }
  if (!write) return database;
  // In WAL mode, anything below FULL may lose the last commits in a power failure.
  database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  if (is_new) {
    database.run("BEGIN IMMEDIATE");
    database.run(schema);
    database.run("COMMIT");
  } else {
    {
      Statement check(database, "PRAGMA quick_check(1)");
      if (check.next() && check.text(0) != "ok") database.fail("is damaged: " + check.text(0));
    }
    if (value_of(database, "PRAGMA user_version") == 1) upgrade_from_version_1(database, name);
  }
  return database;
}

/// The columns of a reply. Version 1, which a reader meets, had no seed.
std::string reply_columns(std::string_view seed = "seed") {
  return fmt::format(
      "key, ask, http_status, request_id, body, prompt_tokens, completion_tokens, seconds, "
      "attempts, created, {}",
      seed);
}

std::string_view seed_column(const Database& database, std::string_view place) {
  return value_of(database, fmt::format("PRAGMA {}.user_version", place)) == 1 ? "NULL" : "seed";
}

StoredReply reply_in(const Statement& row) {
  StoredReply reply{.key = row.text(0),
                    .ask = static_cast<int>(row.integer(1)),
                    .http_status = static_cast<int>(row.integer(2)),
                    .request_id = row.text(3),
                    .body = row.text(4),
                    .seconds = row.number(7),
                    .attempts = static_cast<int>(row.integer(8)),
                    .created = row.integer(9)};
  if (!row.is_null(10)) reply.seed = row.integer(10);
  if (!row.is_null(5)) reply.usage = Usage{row.integer(5), row.integer(6)};
  return reply;
}

constexpr std::array failure_kinds = {StoredFailure::Kind::transport, StoredFailure::Kind::quota,
                                      StoredFailure::Kind::rejected, StoredFailure::Kind::batch};

/// Returns the value of `values` with this name.
template <class Enum>
Enum named(const Database& database, std::string_view text, std::span<const Enum> values) {
  for (const Enum value : values)
    if (name(value) == text) return value;
  database.fail(fmt::format("unknown value \"{}\"", text));
}

std::optional<Order> order_in(const Database& database, const std::string& shown) {
  static constexpr std::array orders = {Order::chosen_first, Order::rejected_first};
  if (shown.empty()) return std::nullopt;
  return named<Order>(database, shown, orders);
}

}  // namespace

std::string_view name(StoredFailure::Kind kind) {
  switch (kind) {
    case StoredFailure::Kind::transport:
      return "transport";
    case StoredFailure::Kind::quota:
      return "quota";
    case StoredFailure::Kind::rejected:
      return "rejected";
    case StoredFailure::Kind::batch:
      break;
  }
  return "batch";
}

class Store::State {
 public:
  State(std::filesystem::path where, Access how)
      : path(std::move(where)),
        file(store_file(path)),
        access(how),
        lock(path.string(), file, how == Access::write),
        database(open(path.string(), file, how)),
        reserve(file) {
    if (how == Access::write) take_reserve();
  }

  void begin() {
    detail::require(access == Access::write, "{}: the store was opened for reading", path.string());
    if (!database.in_transaction()) database.run("BEGIN IMMEDIATE");
  }

  /// Adds a row and returns how many rows that changed. With a reserve, an error of the disk is
  /// only remembered.
  std::int64_t add(Addition addition) {
    if (full.empty()) {
      try {
        begin();
        const auto changed = insert(addition);
        if (reserve.is_open()) uncommitted.push_back(std::move(addition));
        return changed;
      } catch (const DiskError& error) {
        if (!reserve.is_open()) throw;
        full = error.what();
      }
    }
    uncommitted.push_back(std::move(addition));
    return 1;
  }

  void commit() {
    if (full.empty()) {
      if (!database.in_transaction()) return;
      try {
        database.run("COMMIT");
        uncommitted.clear();
        return;
      } catch (const DiskError& error) {
        if (!reserve.is_open()) throw;
        full = error.what();
      }
    }
    if (database.in_transaction()) database.run("ROLLBACK");
    if (uncommitted.empty()) return;
    try {
      reserve.append(uncommitted);
    } catch (const std::system_error& error) {
      throw DiskError(path.string(), 0, "",
                      fmt::format("{}; the reserve refuses the answers of this round too: {}", full,
                                  error.what()));
    }
    uncommitted.clear();
  }

  /// Moves what the reserve holds into the database.
  void take_reserve() {
    const auto additions = reserve.read();
    if (!additions.empty()) {
      begin();
      for (const auto& addition : additions) insert(addition);
      database.run("COMMIT");
    }
    reserve.clear();
  }

  std::int64_t insert(const Addition& addition) {
    switch (addition.kind) {
      case Addition::Kind::request:
        return add_request.with_all(addition.values).run();
      case Addition::Kind::question:
        return add_question.with_all(addition.values).run();
      case Addition::Kind::reply:
        return add_reply.with_all(addition.values).run();
      case Addition::Kind::failure:
        return add_failure.with_all(addition.values).run();
      case Addition::Kind::batch:
        break;
    }
    return add_batch.with_all(addition.values).run();
  }
  Statement prepare(std::string_view sql) const { return {database, sql}; }

  std::filesystem::path path;  // as given; used in messages
  std::filesystem::path file;  // absolute, links followed
  Access access;
  WriterLock lock;
  Database database;
  Reserve reserve;
  std::vector<Addition> uncommitted;  // kept while the store has a reserve
  std::string full;                   // what the disk refused; empty: nothing

  Statement find_replies = prepare(fmt::format("SELECT {} FROM answers WHERE key = ? ORDER BY ask",
                                               reply_columns(seed_column(database, "main"))));
  Statement count_replies = prepare("SELECT count(*) FROM answers WHERE key = ?");
  Statement find_request = prepare("SELECT key, family, model, body FROM requests WHERE key = ?");
  Statement find_failures = prepare(
      "SELECT key, kind, http_status, detail, created FROM failures WHERE key = ? ORDER BY rowid");
  Statement find_questions = prepare(
      "SELECT pair_id, annotator, prompt, shown, sample, key FROM questions WHERE pair_id = ? "
      "ORDER BY annotator, prompt, shown, sample");
  Statement add_request = prepare("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?)");
  Statement add_question = prepare(
      "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET key = "
      "excluded.key "
      "WHERE key <> excluded.key");
  // A store of version 1 is only read.
  Statement add_reply =
      prepare(seed_column(database, "main") == "seed"
                  ? "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                  : "SELECT 1");
  Statement add_failure = prepare("INSERT INTO failures VALUES (?, ?, ?, ?, ?)");
  Statement add_batch = prepare(
      "INSERT INTO batches VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state");
};

Store::Store(std::filesystem::path path, Access access)
    : state_(std::make_unique<State>(std::move(path), access)) {}
Store::~Store() = default;

const std::filesystem::path& Store::path() const noexcept {
  return state_->path;
}

std::string Store::pairs_sha256() const {
  auto row = state_->prepare("SELECT value FROM meta WHERE name = 'pairs_sha256'");
  return row.next() ? row.text(0) : std::string();
}

void Store::set_pairs_sha256(std::string_view sha256) {
  state_->begin();
  state_->prepare("INSERT OR REPLACE INTO meta VALUES ('pairs_sha256', ?)").with(sha256).run();
  state_->commit();
}

bool Store::has_begun(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return false;
  return has_tables(open_for_reading(path.string(), store_file(path)));
}

std::optional<int> Store::prompt_version() const {
  auto recorded = state_->prepare("SELECT value FROM meta WHERE name = 'prompt_version'");
  if (recorded.next()) {
    const auto text = recorded.text(0);
    int version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc() || end != text.data() + text.size())
      state_->database.fail(fmt::format("invalid prompt version \"{}\"", text));
    return version;
  }
  // Stores of 0.1, which knew version 1 only, record none.
  auto asked = state_->prepare("SELECT 1 FROM questions LIMIT 1");
  return asked.next() ? std::optional(1) : std::nullopt;
}

void Store::set_prompt_version(int version) {
  state_->begin();
  state_->prepare("INSERT OR REPLACE INTO meta VALUES ('prompt_version', ?)")
      .with(std::to_string(version))
      .run();
  state_->commit();
}

std::vector<StoredReply> Store::replies(std::string_view key) const {
  std::vector<StoredReply> found;
  auto& row = state_->find_replies.with(key);
  while (row.next()) found.push_back(reply_in(row));
  return found;
}

int Store::count_replies(std::string_view key) const {
  auto& row = state_->count_replies.with(key);
  int count = 0;
  while (row.next()) count = static_cast<int>(row.integer(0));
  return count;
}

std::optional<StoredRequest> Store::request(std::string_view key) const {
  std::optional<StoredRequest> found;
  auto& row = state_->find_request.with(key);
  while (row.next()) found = StoredRequest{row.text(0), row.text(1), row.text(2), row.text(3)};
  return found;
}

std::vector<StoredQuestion> Store::questions(std::string_view pair_id) const {
  std::vector<StoredQuestion> found;
  auto& row = state_->find_questions.with(pair_id);
  while (row.next())
    found.push_back({row.text(0), row.text(1), row.text(2), order_in(state_->database, row.text(3)),
                     static_cast<std::int32_t>(row.integer(4)), row.text(5)});
  return found;
}

std::vector<StoredFailure> Store::failures(std::string_view key) const {
  std::vector<StoredFailure> found;
  auto& row = state_->find_failures.with(key);
  while (row.next())
    found.push_back({row.text(0),
                     named<StoredFailure::Kind>(state_->database, row.text(1), failure_kinds),
                     static_cast<int>(row.integer(2)), row.text(3), row.integer(4)});
  return found;
}

void Store::each_reply(const std::function<void(const StoredReply&)>& f) const {
  auto row = state_->prepare(fmt::format("SELECT {} FROM answers ORDER BY key, ask",
                                         reply_columns(seed_column(state_->database, "main"))));
  while (row.next()) f(reply_in(row));
}

void Store::add(const StoredRequest& request) {
  state_->add(
      {Addition::Kind::request, {request.key, request.family, request.model, request.body}});
}

void Store::add(const StoredQuestion& question) {
  state_->add({Addition::Kind::question,
               {question.pair_id, question.annotator, question.prompt,
                std::string(question.order ? name(*question.order) : std::string_view()),
                std::int64_t{question.sample}, question.key}});
}

bool Store::add(const StoredReply& reply) {
  const auto row = [&](int ask) {
    const auto tokens = [&](std::int64_t Usage::*count) {
      return reply.usage ? Value((*reply.usage).*count) : Value(nullptr);
    };
    return Addition{Addition::Kind::reply,
                    {reply.key, std::int64_t{ask}, std::int64_t{reply.http_status},
                     reply.request_id, Bytes{reply.body}, tokens(&Usage::prompt_tokens),
                     tokens(&Usage::completion_tokens), reply.seconds, std::int64_t{reply.attempts},
                     reply.created, reply.seed ? Value(*reply.seed) : Value(nullptr)}};
  };
  if (state_->add(row(reply.ask)) == 1) return true;
  int next = 0;
  for (const auto& stored : replies(reply.key)) {
    if (stored.body == reply.body) return false;
    next = stored.ask + 1;
  }
  return state_->add(row(next)) == 1;
}

void Store::add(const StoredFailure& failure) {
  state_->add({Addition::Kind::failure,
               {failure.key, std::string(name(failure.kind)), std::int64_t{failure.http_status},
                failure.detail, failure.created}});
}

void Store::add(const StoredBatch& batch) {
  state_->add({Addition::Kind::batch, {batch.id, batch.judge, batch.file_sha256, batch.state}});
}

void Store::commit() {
  state_->commit();
}

void Store::reserve(std::size_t bytes) {
  try {
    state_->reserve.require(bytes);
  } catch (const std::system_error& error) {
    constexpr std::size_t megabyte = 1'000'000;
    throw DataError(
        path().string(), 0, "",
        fmt::format("no room on the disk for the answers under way: {} MB are needed in {}: {}. "
                    "Free some room, or lower max_concurrent",
                    (bytes + megabyte - 1) / megabyte, state_->reserve.path(),
                    error.code().message()));
  }
}

std::string Store::disk_error() const {
  return state_->full;
}

std::string Store::recover() {
  state_->commit();
  if (state_->full.empty()) {
    if (state_->reserve.is_open()) state_->reserve.clear();
    return {};
  }
  state_->reserve.shrink();
  try {
    state_->take_reserve();
  } catch (const DiskError&) {
    if (state_->database.in_transaction()) state_->database.run("ROLLBACK");
    return state_->reserve.path();
  }
  state_->full.clear();
  return {};
}

void Store::remove_batch(std::string_view id) {
  state_->begin();
  state_->prepare("DELETE FROM batches WHERE id = ?").with(id).run();
  state_->commit();
}

std::vector<std::string> Store::keys_of(std::string_view annotator) const {
  std::vector<std::string> keys;
  auto row = state_->prepare("SELECT key FROM questions WHERE annotator = ?");
  row.with(annotator);
  while (row.next()) keys.push_back(row.text(0));
  return keys;
}

std::vector<StoredBatch> Store::batches() const {
  std::vector<StoredBatch> found;
  auto row = state_->prepare("SELECT id, teacher, file_sha256, state FROM batches ORDER BY rowid");
  while (row.next()) found.push_back({row.text(0), row.text(1), row.text(2), row.text(3)});
  return found;
}

Store::Merged Store::merge(const std::filesystem::path& other) {
  std::string theirs;
  std::optional<int> lowest = prompt_version();
  {
    const Store store(other, Access::read);
    theirs = store.pairs_sha256();
    if (const auto version = store.prompt_version())
      lowest = std::min(*version, lowest.value_or(*version));
  }
  const auto ours = pairs_sha256();
  if (!ours.empty() && !theirs.empty() && ours != theirs)
    throw DataError(other.string(), 0, "",
                    fmt::format("was begun with another pairs file (SHA-256 {}) than {} ({})",
                                theirs, path().string(), ours));
  commit();
  state_->prepare("ATTACH ? AS other").with(store_file(other).string()).run();
  state_->begin();
  Merged merged;
  const auto take = [&](const std::string& sql) { return state_->prepare(sql).run(); };
  {
    const std::string_view seed = seed_column(state_->database, "other");
    auto known = state_->prepare(
        "SELECT count(*) FROM other.answers theirs WHERE EXISTS (SELECT 1 FROM main.answers mine "
        "WHERE mine.key = theirs.key AND mine.body = theirs.body)");
    while (known.next()) merged.known = known.integer(0);
    // Replies to the same attempts with other bytes: perhaps only one of them is usable.
    std::vector<StoredReply> further;
    auto others = state_->prepare(fmt::format(
        "SELECT {} FROM other.answers theirs WHERE EXISTS (SELECT 1 FROM main.answers mine WHERE "
        "mine.key = theirs.key AND mine.ask = theirs.ask) AND NOT EXISTS (SELECT 1 FROM "
        "main.answers mine WHERE mine.key = theirs.key AND mine.body = theirs.body) ORDER BY key, "
        "ask",
        reply_columns(seed)));
    while (others.next()) further.push_back(reply_in(others));
    merged.replies = take(fmt::format(
        "INSERT OR IGNORE INTO main.answers ({}) SELECT {} FROM other.answers theirs WHERE NOT "
        "EXISTS (SELECT 1 FROM main.answers mine WHERE mine.key = theirs.key AND mine.body = "
        "theirs.body)",
        reply_columns(), reply_columns(seed)));
    for (const auto& reply : further) merged.different += add(reply) ? 1 : 0;
  }
  for (const char* table : {"requests", "questions", "meta", "batches"})
    take(fmt::format("INSERT OR IGNORE INTO main.{0} SELECT * FROM other.{0}", table));
  take("INSERT INTO main.failures SELECT * FROM other.failures EXCEPT SELECT * FROM main.failures");
  state_->commit();
  state_->database.run("DETACH other");
  if (lowest && lowest != prompt_version()) set_prompt_version(*lowest);
  return merged;
}

}  // namespace sp2dpo::annotate
