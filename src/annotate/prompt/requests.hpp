// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace sp2dpo::annotate {

struct Judge;
struct Question;

/// Counts the requests that make_request() has rendered and hashed in this process. Rendering takes
/// most of the time that a stored question costs; a test holds every pass to one per question.
inline std::atomic<std::int64_t> requests_made{0};

/// Returns true if a judge may reply otherwise when it is asked again: its seed moves, or it
/// samples at a temperature other than 0.
[[nodiscard]] bool may_reply_otherwise(const Judge& judge);

/// Returns equal texts for two questions if and only if they make the same request for every pair,
/// apart from their order. Renders no pair.
[[nodiscard]] std::string request_identity(const Question& question);

}  // namespace sp2dpo::annotate
