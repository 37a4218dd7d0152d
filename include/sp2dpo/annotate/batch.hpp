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
  std::int64_t different = 0;   ///< stored already with other bytes, which stay
  std::int64_t failed = 0;      ///< errors, recorded as failures
  std::int64_t unknown = 0;     ///< a custom_id without a request in the store
  std::int64_t unreadable = 0;  ///< lines that cannot be parsed
  /// The first lines without a new reply, for people.
  std::vector<std::string> notes{};

  BatchResults& operator+=(const BatchResults& other);
};

/// Adds results to the store, in any order, from whole or truncated files; durable when this
/// returns. A bad line does not affect the others. Throws DataError if the file cannot be read.
[[nodiscard]] BatchResults read_batch(const std::filesystem::path& path, Store& store);

/// Sends a file to the provider, starts a batch, and records it in the store. Returns false, and
/// sends nothing, if the store has a batch of this file that is running or complete.
bool submit_batch(const std::filesystem::path& file, const std::string& judge, Endpoint& endpoint,
                  Store& store);

/// Asks for a batch's state and returns it as the provider spells it. Once the state is final,
/// downloads the results to `folder`, reads them into the store, and adds the counts to `results`.
[[nodiscard]] std::string collect_batch(const StoredBatch& batch, Endpoint& endpoint, Store& store,
                                        const std::filesystem::path& folder, BatchResults& results);

/// Returns true for a state that no longer changes.
[[nodiscard]] bool is_final(std::string_view batch_state);

}  // namespace sp2dpo::annotate
