// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/panel.hpp>
#include <sp2dpo/annotate/store.hpp>

namespace sp2dpo::annotate {

/// Limits of one batch file. The defaults are OpenAI's; vLLM's run-batch has no limits.
struct BatchLimits {
  std::int64_t lines = 50'000;
  std::int64_t bytes = 200'000'000;
};

/// One file that write_batch() wrote.
struct BatchFile {
  std::filesystem::path path;
  std::string judge;
  std::int64_t lines = 0;
};

/// Writes the questions that lack a reply as files for OpenAI's Batch API and vLLM's run-batch, one
/// judge per file: `PREFIX.TEACHER.0001.jsonl` and so on. Records the requests in the store. A
/// line's custom_id is its request's key, followed by `.1` if the question is asked again. Throws
/// InvalidArgument for a request larger than a file may be.
[[nodiscard]] std::vector<BatchFile> write_batch(std::span<const PreferencePair> pairs,
                                                 std::span<const PanelMember> members, Store& store,
                                                 const std::filesystem::path& prefix,
                                                 const BatchLimits& limits = {});

/// Counts the lines of a file of results by outcome.
struct BatchResults {
  std::int64_t replies = 0;     ///< new in the store
  std::int64_t known = 0;       ///< stored already with the same bytes
  std::int64_t different = 0;   ///< stored already with other bytes; both are kept
  std::int64_t failed = 0;      ///< errors, recorded as failures
  std::int64_t unknown = 0;     ///< a custom_id without a request in the store
  std::int64_t unreadable = 0;  ///< lines that cannot be parsed
  /// The first lines without a new reply, for people.
  std::vector<std::string> notes{};
  /// Files without a single result of a request in the store: of another store or kind.
  std::vector<std::string> foreign{};

  /// Lines that belong to a request in the store.
  [[nodiscard]] std::int64_t matched() const { return replies + known + different + failed; }
  BatchResults& operator+=(const BatchResults& other);
};

/// Adds results to the store, in any order, from whole or truncated files; durable when this
/// returns. A bad line does not affect the others. Throws DataError if the file cannot be read.
[[nodiscard]] BatchResults read_batch(const std::filesystem::path& path, Store& store);

/// What submit_batch() did.
struct BatchSubmission {
  bool sent = false;
  std::int64_t lines = 0;  ///< that were sent
  std::string note{};      ///< for people: why nothing or not every line was sent
};

/// Sends the lines of a file that have no reply in the store, starts a batch, and records it in the
/// store. Sends nothing if a batch of this file is running. If the reply to an earlier submission
/// was lost, looks for its batch at the provider first; `resend` does not. Throws DataError for a
/// file that write_batch() did not write for this judge, before anything is sent.
BatchSubmission submit_batch(const std::filesystem::path& file, const std::string& judge,
                             Endpoint& endpoint, Store& store, bool resend = false);

/// What a provider says of a batch, and the results that were read.
struct BatchStatus {
  /// The meaning of the state.
  enum class Kind : std::uint8_t {
    running,
    completed,  ///< with at least one reply
    failed,     ///< failed, expired or cancelled (some results may have come), or without a reply
    unknown     ///< a state that is not listed
  };

  std::string state;  ///< as the provider spells it
  Kind kind{};
  std::vector<std::string> details{};  ///< the provider's counts and reasons
  BatchResults results{};
};

/// Asks for a batch's state. Once it is final, downloads the results to `folder`, however large,
/// and reads them into the store. `interrupted` ends waits and downloads: an Error is thrown then.
/// Throws Error if the provider does not answer as it should.
[[nodiscard]] BatchStatus collect_batch(const StoredBatch& batch, Endpoint& endpoint, Store& store,
                                        const std::filesystem::path& folder,
                                        const std::function<bool()>& interrupted = {});

/// Returns what a batch's state means. Letter case does not matter.
[[nodiscard]] BatchStatus::Kind kind_of_state(std::string_view batch_state);

/// Returns true for a state that no longer changes.
[[nodiscard]] bool is_final(std::string_view batch_state);

}  // namespace sp2dpo::annotate
