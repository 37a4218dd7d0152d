// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sp2dpo/annotate/chat.hpp>

namespace sp2dpo::annotate {

/// One answer as it came, whatever may be in it.
struct StoredAnswer {
  std::string key;  ///< of its request
  int ask = 0;      ///< number of the question: above 0 where an unusable answer was asked again
  int http_status = 200;
  std::string request_id{};
  std::string body{};  ///< the provider's JSON, untouched
  std::optional<Usage> usage{};
  double seconds = 0;
  int attempts = 1;
  std::int64_t created = 0;  ///< seconds since 1970
};

/// One request, and who is asked it.
struct StoredRequest {
  std::string key;
  std::string family;  ///< of the endpoint
  std::string model;   ///< as asked for
  std::string body;    ///< the JSON that is sent
};

/// Which request stands behind an annotation.
struct StoredQuestion {
  std::string pair_id;
  std::string annotator;
  std::string prompt;
  std::string order{};  ///< chosen_first, rejected_first, or empty: not recorded
  int sample = 0;
  std::string key;
};

/// An attempt that brought no answer: a note for people, never taken for an answer.
struct StoredFailure {
  std::string key;
  std::string kind;  ///< transport, quota, rejected
  int http_status = 0;
  std::string detail;
  std::int64_t created = 0;
};

/// A batch that a provider has taken in.
struct StoredBatch {
  std::string id;  ///< the provider's
  std::string teacher;
  std::string file_sha256;  ///< of the file that was sent
  std::string state;        ///< as the provider said last
};

/// Answers that were paid for, in one SQLite file (docs/annotation.md has its tables). What is
/// added is durable when commit() returns, and gone if the process dies before. One process writes
/// at a time; others may read meanwhile. For one thread. What goes wrong with the file throws
/// DataError naming it.
class Store {
 public:
  enum class Access : std::uint8_t { read, write };

  /// Throws DataError where the file cannot be opened, is damaged, is no store or one of another
  /// version, where another process writes to it, or, to read, where there is none.
  explicit Store(std::filesystem::path path, Access access = Access::write);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept;

  /// SHA-256 of the pairs file that the store was begun with; empty where none was recorded.
  [[nodiscard]] std::string pairs_sha256() const;
  /// Records it; durable at once.
  void set_pairs_sha256(std::string_view sha256);

  /// All answers to a request, in the order in which it was asked.
  [[nodiscard]] std::vector<StoredAnswer> answers(std::string_view key) const;
  [[nodiscard]] int count_answers(std::string_view key) const;
  [[nodiscard]] std::optional<StoredRequest> request(std::string_view key) const;
  [[nodiscard]] std::vector<StoredQuestion> questions(std::string_view pair_id) const;
  [[nodiscard]] std::vector<StoredFailure> failures(std::string_view key) const;

  /// Of all answers, by key and ask.
  void each_answer(const std::function<void(const StoredAnswer&)>& f) const;

  /// A request that is there already stays as it is.
  void add(const StoredRequest& request);
  /// Takes the place of an older request that was asked for the same.
  void add(const StoredQuestion& question);
  /// False where there is an answer with this key and ask already.
  bool add(const StoredAnswer& answer);
  void add(const StoredFailure& failure);
  /// Takes the place of what was known of the batch.
  void add(const StoredBatch& batch);
  void commit();

  /// In the order in which they were sent.
  [[nodiscard]] std::vector<StoredBatch> batches() const;

  struct Merged {
    std::int64_t answers = 0;    ///< that are new
    std::int64_t known = 0;      ///< that were there, byte for byte
    std::int64_t different = 0;  ///< to a request that has another answer here; left out
  };
  /// Takes in all that another store has; durable when this returns. Throws DataError where the two
  /// were begun with different pairs files.
  Merged merge(const std::filesystem::path& other);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sp2dpo::annotate
