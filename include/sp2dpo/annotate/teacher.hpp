// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <sp2dpo/annotate/endpoint.hpp>

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

/// For a million tokens. 0 is a price.
struct ListPrice {
  double prompt = 0;
  double completion = 0;
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
  std::optional<ListPrice> price{};
  /// Number of its first sample: it tells apart teachers whose requests are the same otherwise.
  std::int32_t first_sample = 0;
  int reasks = 1;  ///< how often an answer without a readable verdict is asked for again
};

}  // namespace sp2dpo::annotate
