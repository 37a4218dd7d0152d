// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <sp2dpo/schedule/vote_table.hpp>

/// Annotations and vote tables that several tests share.
namespace sp2dpo::test {

inline Annotation vote(std::string pair, std::string annotator, std::string prompt,
                       double magnitude) {
  return {.pair_id = std::move(pair),
          .annotator = std::move(annotator),
          .prompt = std::move(prompt),
          .magnitude = magnitude,
          .confidence = 1};
}

/// Pair a has a gap of 0.5, pair b one of 0.75.
inline std::vector<Annotation> panel() {
  return {vote("b", "m1", "x", 0.5), vote("a", "m1", "x", 0.0), vote("a", "m1", "y", 1.0),
          vote("b", "m2", "x", 1.0), vote("a", "m2", "x", 0.5)};
}

inline VoteTable table(const std::vector<std::string>& ids,
                       const std::vector<Annotation>& annotations,
                       std::size_t max_in_memory = VoteTable::unlimited) {
  VoteTable votes(ids, {}, max_in_memory);
  for (const auto& annotation : annotations) votes.add(annotation);
  return votes;
}

/// Returns "p0", "p1", … for `n` pairs.
inline std::vector<std::string> numbered_ids(int n) {
  std::vector<std::string> ids;
  for (int i = 0; i < n; ++i) ids.push_back("p" + std::to_string(i));
  return ids;
}

/// Returns the annotations of a panel of seven for 40 pairs, grouped by pair.
inline std::vector<Annotation> forty_pairs() {
  std::vector<Annotation> votes;
  for (int pair = 0; pair < 40; ++pair)
    for (int i = 0; i < 7; ++i)
      votes.push_back(vote("p" + std::to_string(pair), "m" + std::to_string(i / 3),
                           "x" + std::to_string(i % 3), (pair * 7 + i) % 11 / 10.0));
  return votes;
}

}  // namespace sp2dpo::test
