// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/annotate/chat.hpp>
#include <sp2dpo/schedule/annotation.hpp>

namespace sp2dpo::annotate {

/// One reply as it arrived, usable or not.
struct StoredReply {
  std::string key;  ///< of its request
  int ask = 0;      ///< index of the attempt; above 0 after an unusable reply
  int http_status = 200;
  std::string request_id{};
  std::string body{};  ///< the provider's JSON, unchanged
  std::optional<Usage> usage{};
  double seconds = 0;
  int attempts = 1;
  std::int64_t created = 0;            ///< seconds since 1970
  std::optional<std::int64_t> seed{};  ///< that was sent; empty if none was, or in version 1
};

/// One request, and whose model it asks.
struct StoredRequest {
  std::string key;
  std::string family;  ///< of the model
  std::string model;   ///< as requested
  std::string body;    ///< the JSON that is sent
};

/// The request behind one annotation.
struct StoredQuestion {
  std::string pair_id;
  std::string annotator;
  std::string prompt;
  std::optional<Order> order{};  ///< empty: not recorded
  std::int32_t sample = 0;
  std::string key;
};

/// An attempt without a reply. A note for people: it never counts as a reply.
struct StoredFailure {
  /// The cause: the connection, the account, the request, or the batch that held it.
  enum class Kind : std::uint8_t { transport, quota, rejected, batch };

  std::string key;
  Kind kind{};
  int http_status = 0;
  std::string detail;
  std::int64_t created = 0;
};

/// The kind as the store and tables spell it.
[[nodiscard]] std::string_view name(StoredFailure::Kind kind);

/// A batch that a provider has accepted.
struct StoredBatch {
  std::string id;  ///< the provider's
  std::string judge;
  std::string file_sha256;  ///< of the file that was sent
  std::string state;        ///< the provider's last word
};

/// Keeps the replies that were paid for in one SQLite file (docs/annotation.md lists its tables).
/// Additions are durable once commit() returns and lost if the process dies before. One process
/// writes at a time while others may read. Not thread-safe: use one Store per thread. Any
/// problem with the file throws DataError naming it.
class Store {
 public:
  /// Opens the file for reading only, or for writing too.
  enum class Access : std::uint8_t { read, write };

  /// Opens the file; creates it for Access::write if it is missing. A store of version 1 is copied
  /// to PATH.v1 and upgraded to version 2 when it is opened for writing. Throws DataError for a
  /// name under which nothing would be kept (an empty one, `:memory:`, `file:…`, a device), and for
  /// a file that cannot be opened, is damaged, is no store, has another version, or is being
  /// written by another process under any name.
  explicit Store(std::filesystem::path path, Access access = Access::write);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The file.
  [[nodiscard]] const std::filesystem::path& path() const noexcept;

  /// SHA-256 of the pairs file that the store was begun with, in hex; empty if none is recorded.
  [[nodiscard]] std::string pairs_sha256() const;
  /// Records it, durably at once.
  void set_pairs_sha256(std::string_view sha256);

  /// Returns false for a missing file, and for one whose creation was interrupted before it held a
  /// table: opening it for writing begins a new store. Throws DataError if the file is no database.
  [[nodiscard]] static bool has_begun(const std::filesystem::path& path);

  /// The version of the library's prompts to continue with: the lowest one that this store's
  /// questions use, or nullopt for a store without questions. Stores of version 0.1 have version 1.
  [[nodiscard]] std::optional<int> prompt_version() const;
  /// Records a version, durably at once. Throws InvalidArgument for a store opened for reading.
  void set_prompt_version(int version);

  /// All replies to a request, by `ask`.
  [[nodiscard]] std::vector<StoredReply> replies(std::string_view key) const;
  /// Number of replies to a request.
  [[nodiscard]] int count_replies(std::string_view key) const;
  /// The request with this key; empty if it was never stored.
  [[nodiscard]] std::optional<StoredRequest> request(std::string_view key) const;
  /// All questions about a pair.
  [[nodiscard]] std::vector<StoredQuestion> questions(std::string_view pair_id) const;
  /// All failed attempts of a request.
  [[nodiscard]] std::vector<StoredFailure> failures(std::string_view key) const;

  /// Calls `f` for every reply, ordered by key and ask.
  void each_reply(const std::function<void(const StoredReply&)>& f) const;

  /// Adds a request; keeps the stored one if the key exists.
  void add(const StoredRequest& request);
  /// Adds a question, or replaces the key of the stored one.
  void add(const StoredQuestion& question);
  /// Adds a reply. If its key and ask exist with another body, adds it under the next free ask: it
  /// was paid for, and may be the usable one. Returns false if the request has this body already.
  bool add(const StoredReply& reply);
  /// Adds a failed attempt.
  void add(const StoredFailure& failure);
  /// Adds a batch, or replaces the state of the stored one.
  void add(const StoredBatch& batch);
  /// Makes all additions so far durable.
  void commit();

  /// Allocates room for so many bytes beside the store (`STORE.reserve`). From here on, additions
  /// that the disk refuses are kept there, and disk_error() says so. Throws DataError if the disk
  /// has no such room.
  void reserve(std::size_t bytes);
  /// What the disk has refused; empty if nothing. Additions are not visible to readers then.
  [[nodiscard]] std::string disk_error() const;
  /// Gives back the room that is left, and tries to move the refused additions into the store.
  /// Returns the file that still holds them, which the next Store of this name reads; empty if all
  /// are in the store.
  [[nodiscard]] std::string recover();

  /// Removes a batch, durably at once.
  void remove_batch(std::string_view id);
  /// The keys of all requests to a judge.
  [[nodiscard]] std::vector<std::string> keys_of(std::string_view annotator) const;

  /// All batches in the order in which they were sent.
  [[nodiscard]] std::vector<StoredBatch> batches() const;

  /// Replies of the other store, counted by what merge() did with them.
  struct Merged {
    std::int64_t replies = 0;    ///< new here
    std::int64_t known = 0;      ///< stored here with the same bytes
    std::int64_t different = 0;  ///< differ from those here; kept as replies to further attempts
  };
  /// Copies everything from another store; durable when this returns. Throws DataError if the two
  /// were begun with different pairs files.
  Merged merge(const std::filesystem::path& other);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate
