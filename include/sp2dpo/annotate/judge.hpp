// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <sp2dpo/annotate/endpoint_options.hpp>

namespace sp2dpo::annotate {

/// How a request asks the server for a verdict that follows a schema.
enum class Structured : std::uint8_t {
  json_schema,  ///< the server enforces the schema
  json_object,  ///< the server enforces JSON; the prompt states the schema
  text          ///< the prompt states the schema; the server enforces nothing
};

/// The request fields that a server accepts. Others are never sent.
struct Capabilities {
  Structured structured = Structured::json_schema;
  std::string max_tokens_field = "max_tokens";  ///< or `max_completion_tokens`
  bool temperature = true;
  bool seed = false;
  bool logprobs = false;
};

/// How replies are sampled. Empty fields are not sent.
struct Decoding {
  std::uint32_t max_tokens = 1024;
  std::optional<double> temperature{};
  std::optional<double> top_p{};
  std::optional<std::int64_t> seed{};  ///< of sample 0; sample n has seed + n
  std::optional<int> top_logprobs{};
  /// Further fields of the request by name, as canonical JSON: `{"reasoning_effort", "\"low\""}`.
  std::map<std::string, std::string, std::less<>> extra{};
};

/// Prices per million tokens. 0 is a valid price.
struct ListPrice {
  double prompt = 0;
  double completion = 0;
  double batch_factor = 1;  ///< applies to both in a batch
  std::string date{};       ///< when they were looked up
  std::string currency = "USD";
};

/// A model behind an OpenAI-compatible server: what annotations call an annotator and the panel's
/// file a `[[teacher]]`.
struct Judge {
  std::string name;  ///< the annotator of its annotations
  std::string model;
  /// The model's family, wherever it is served. Part of every request's key, as `revision` is: a
  /// server that moves keeps its replies, and weights that change do not.
  std::string family;
  std::string revision{};
  EndpointOptions endpoint{};
  Capabilities capabilities{};
  Decoding decoding{};
  std::optional<ListPrice> price{};
  /// Number of its first sample. Distinguishes judges whose requests would otherwise be equal.
  std::int32_t first_sample = 0;
  int reasks = 1;        ///< retries of a reply without a readable verdict
  std::string origin{};  ///< FILE:LINE in the panel, for messages; empty if made by a program
};

}  // namespace sp2dpo::annotate
