// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/prompt.hpp>

namespace sp2dpo::annotate {

/// How a server is asked for a verdict of a given schema.
enum class Structured : std::uint8_t {
  json_schema,  ///< the server holds the answer to the schema
  json_object,  ///< the server makes JSON, the prompt says which
  text          ///< the prompt says it all
};

/// What a server takes. A field that it may not know is not sent to it.
struct Capabilities {
  Structured structured = Structured::json_schema;
  std::string max_tokens_field = "max_tokens";  ///< or `max_completion_tokens`
  bool temperature = true;
  bool seed = false;
  bool logprobs = false;
};

/// How answers are drawn. What is empty is not sent.
struct Decoding {
  std::uint32_t max_tokens = 1024;
  std::optional<double> temperature{};
  std::optional<double> top_p{};
  std::optional<std::int64_t> seed{};  ///< of sample 0; sample n has seed + n
  std::optional<int> top_logprobs{};
  /// Further fields of the request by name, as canonical JSON: `{"reasoning_effort", "\"low\""}`.
  std::map<std::string, std::string, std::less<>> extra{};
};

/// In one currency, for a million tokens. 0 is a price.
struct Price {
  double input = 0;
  double output = 0;
  double batch_factor = 1;  ///< of both, in a batch
  std::string date{};       ///< as of
  std::string currency = "USD";
};

/// A model behind an OpenAI-compatible server.
struct Teacher {
  std::string name;  ///< the annotator of its annotations
  std::string model;
  /// Whose model it is, wherever it is served: with `revision` part of every request's key, so that
  /// a server that moves keeps its answers, and weights that change do not.
  std::string family;
  std::string revision{};
  EndpointOptions endpoint{};
  Capabilities capabilities{};
  Decoding decoding{};
  std::optional<Price> price{};
  int reasks = 1;  ///< how often an answer without a readable verdict is asked for again
};

/// Which answer is shown first in the blind form.
enum class Orders : std::uint8_t {
  both,   ///< each pair twice, once in either order
  random  ///< once, by a hash of the pair's id
};

/// Who is asked what: every pair by every teacher under every prompt.
struct Panel {
  std::vector<Teacher> teachers{};
  std::vector<Prompt> prompts{};
  Orders orders = Orders::random;
  int samples = 1;
  std::uint64_t seed = 0;  ///< of the random order
};

/// Reads a panel's configuration (docs/annotation.md), in TOML. Templates come from `prompts` where
/// it is not empty, else from the folder that the file names, else they are the library's own.
/// Throws DataError with the line for an unknown key, a wrong type, a value out of range, a
/// parameter that the teacher does not take, and two teachers whose requests would be the same.
[[nodiscard]] Panel read_panel(const std::filesystem::path& file,
                               const std::filesystem::path& prompts = {});

}  // namespace sp2dpo::annotate
