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
#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/annotate/store.hpp>

namespace sp2dpo::annotate {

/// What a provider takes in one file; OpenAI's, and vLLM's run-batch has none.
struct BatchLimits {
  std::int64_t lines = 50'000;
  std::int64_t bytes = 200'000'000;
};

struct BatchFile {
  std::filesystem::path path;
  std::string teacher;
  std::int64_t lines = 0;
};

/// Writes what the store lacks as files that OpenAI's Batch API and vLLM's run-batch take: of one
/// teacher each, `PREFIX.TEACHER.0001.jsonl` and so on. The store learns which requests they are.
/// A line's custom_id is the key of its request, with `.1` behind it where it is asked again.
[[nodiscard]] std::vector<BatchFile> write_batch(std::span<const PreferencePair> pairs,
                                                 std::span<const PanelMember> members, Store& store,
                                                 const std::filesystem::path& prefix,
                                                 const BatchLimits& limits = {});

/// What became of the lines of a file of results.
struct BatchResults {
  std::int64_t answers = 0;    ///< new in the store
  std::int64_t known = 0;      ///< there already, byte for byte
  std::int64_t different = 0;  ///< to a request that has another answer already, which stays
  std::int64_t failed = 0;     ///< no answer, and noted so
  std::int64_t unknown = 0;    ///< a custom_id that the store has no request for
  std::int64_t unreadable = 0;
  /// The first of the lines that brought nothing, for people.
  std::vector<std::string> notes{};

  BatchResults& operator+=(const BatchResults& other);
};

/// Takes results into the store, in whatever order, from whole or partial files; durable when this
/// returns. A bad line costs no other. Throws DataError where the file cannot be read.
[[nodiscard]] BatchResults read_batch(const std::filesystem::path& path, Store& store);

/// Sends a file to the provider and begins a batch of it, which the store remembers: a file that is
/// under way there, or done, is not sent twice (false).
bool submit_batch(const std::filesystem::path& file, const std::string& teacher, Endpoint& endpoint,
                  Store& store);

/// Asks how a batch is doing. Where it has come to its end, its results are fetched to `folder`,
/// read into the store, and added to `results`. Returns the batch's state, as the provider says.
[[nodiscard]] std::string collect_batch(const StoredBatch& batch, Endpoint& endpoint, Store& store,
                                        const std::filesystem::path& folder, BatchResults& results);

/// Whether a batch in this state changes no more.
[[nodiscard]] bool is_final(std::string_view batch_state);

}  // namespace sp2dpo::annotate
