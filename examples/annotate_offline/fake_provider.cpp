// SPDX-License-Identifier: Apache-2.0
#include "fake_provider.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "fake_answer.hpp"
#include "loopback_server.hpp"
#include <fmt/format.h>
#include <simdjson.h>
#include <zlib.h>

namespace sp2dpo::annotate::test {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

constexpr std::array<std::string_view, n_faults> names = {"none",
                                                          "chunked",
                                                          "gzip",
                                                          "trickle",
                                                          "large",
                                                          "wrong_type",
                                                          "other_model",
                                                          "bad_utf8",
                                                          "echoed_key",
                                                          "too_many",
                                                          "too_many_seconds",
                                                          "too_many_ms",
                                                          "too_many_date",
                                                          "too_many_absurd",
                                                          "error_500",
                                                          "busy_503",
                                                          "reset",
                                                          "reset_midway",
                                                          "truncated",
                                                          "html",
                                                          "empty",
                                                          "hidden_error",
                                                          "hang",
                                                          "bad_field",
                                                          "array_error",
                                                          "detail_error",
                                                          "unknown_model",
                                                          "bad_key",
                                                          "quota",
                                                          "long_wait",
                                                          "redirect"};

bool is_answer(Fault fault) {
  return fault <= Fault::echoed_key;
}

std::string gzipped(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string http_date(std::time_t when) {
  std::tm utc{};
  gmtime_r(&when, &utc);
  char text[64];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return text;
}

/// The key with every third letter as JSON escapes it.
std::string escaped(std::string_view key) {
  std::string text;
  for (std::size_t i = 0; i < key.size(); ++i)
    text +=
        i % 3 == 1 ? fmt::format("\\u{:04x}", static_cast<int>(key[i])) : std::string(1, key[i]);
  return text;
}

std::string http(int status, std::string_view body, const std::string& headers = {},
                 std::string_view type = "application/json") {
  return fmt::format(
      "HTTP/1.1 {} Fake\r\nContent-Type: {}\r\nContent-Length: {}\r\nx-request-id: req_fake\r\n"
      "{}\r\n{}",
      status, type, body.size(), headers, body);
}

std::string error(std::string_view message, std::string_view code) {
  return fmt::format(
      R"({{"error":{{"message":{},"type":"invalid_request_error","param":null,"code":{}}}}})",
      json_text(message), code.empty() ? "null" : json_text(code));
}

}  // namespace

std::string_view name_of(Fault fault) {
  return names[static_cast<std::size_t>(fault)];
}

Fault fault_named(std::string_view name) {
  const auto* const found = std::ranges::find(names, name);
  if (found == names.end()) throw std::invalid_argument(fmt::format("no fault is named {}", name));
  return static_cast<Fault>(found - names.begin());
}

FaultPlan mixed_faults(double rate, std::uint64_t seed, bool hangs) {
  return [=](const Asked& asked) {
    std::mt19937_64 random(asked.hash ^ (seed * 0x9e3779b97f4a7c15U) ^
                           (static_cast<std::uint64_t>(asked.attempt) << 32U));
    const bool faulty = std::uniform_real_distribution<>()(random) < rate;
    if (!faulty || asked.attempt >= 8) return Fault::none;
    const auto last = static_cast<int>(hangs ? Fault::hang : Fault::hidden_error);
    const auto fault = static_cast<Fault>(std::uniform_int_distribution<>(1, last)(random));
    // Waiting a second each would take too long for thousands of requests.
    const bool rare = std::uniform_real_distribution<>()(random) < 0.03;
    if (fault == Fault::hang && !rare) return Fault::reset;
    if ((fault == Fault::too_many_seconds || fault == Fault::too_many_date) && !rare)
      return Fault::too_many_ms;
    return fault;
  };
}

class FakeProvider::State {
 public:
  explicit State(FakeOptions options)
      : options_(std::move(options)),
        server_({options_.port, options_.certificate, options_.private_key}, mutex_,
                [this](const std::string& head, const std::string& body) {
                  return respond(head, body);
                }) {}

  const LoopbackServer& server() const { return server_; }
  FakeCounts counts() const {
    const std::scoped_lock lock(mutex_);
    FakeCounts counts = counts_;
    counts.connections = server_.connections();
    return counts;
  }
  std::vector<Time> arrivals() const {
    const std::scoped_lock lock(mutex_);
    return arrivals_;
  }
  std::string heads() const {
    const std::scoped_lock lock(mutex_);
    return heads_;
  }

 private:
  struct Seen {
    int asked = 0;
    bool answered = false;
  };

  Response respond(const std::string& head, const std::string& body) {
    {
      const std::scoped_lock lock(mutex_);
      if (heads_.size() < 100'000) heads_ += head;
    }
    const auto in_path = [&](std::string_view text) {
      return head.substr(0, head.find("\r\n")).find(text) != std::string::npos;
    };
    if (in_path("GET /counts")) return {.bytes = http(200, counts_json())};
    if (!options_.key.empty() && header(head, "authorization") != "Bearer " + options_.key)
      return {.bytes = http(401, error("Incorrect API key provided", "invalid_api_key"))};
    if (in_path("POST") && in_path("/chat/completions")) {
      ++busy_;
      Response response = chat(head, body);
      response.latency = options_.latency;
      response.ended = [this, answered = std::move(response.ended)](bool whole) {
        --busy_;
        if (answered) answered(whole);
      };
      return response;
    }
    if (in_path("GET") && in_path("/models"))
      return {.bytes = http(200, R"({"object":"list","data":[{"id":"fake","object":"model"}]})")};
    if (in_path("/files") || in_path("/batches")) return {.bytes = files(head, body)};
    return {.bytes = http(404, error("no such path", ""))};
  }

  Response chat(const std::string& head, const std::string& body) {
    const std::uint64_t hash = hash_of(body);
    auto& seen = seen_[hash];
    const Asked asked{hash, ++seen.asked, requests_++};
    {
      const std::scoped_lock lock(mutex_);
      ++counts_.requests;
      counts_.distinct = static_cast<std::int64_t>(seen_.size());
      counts_.asked_again += seen.answered ? 1 : 0;
      counts_.most_at_once = std::max(counts_.most_at_once, busy_);
      arrivals_.push_back(Clock::now());
    }
    Fault fault = Fault::none;
    if (const auto commanded = command(body, asked.attempt))
      fault = *commanded;
    else if (options_.plan)
      fault = options_.plan(asked);

    Completion completion;
    try {
      completion = complete(body);
    } catch (const std::invalid_argument& problem) {
      return {.bytes = http(400, error(problem.what(), "bad_request"))};
    }
    if (!is_answer(fault)) return refuse(fault, head, completion.json(hash));

    if (fault == Fault::other_model) completion.model += "-of-another-day";
    if (fault == Fault::large) completion.content.append(1'000'000, ' ');
    std::string json = completion.json(hash);
    const auto put_in = [&](const std::string& bytes) {
      json.insert(json.find("\"content\":\"") + 11, bytes);
    };
    if (fault == Fault::bad_utf8) put_in("\xff\xfe\x80");
    if (fault == Fault::echoed_key)
      put_in("key " + escaped(presented(head)) + " " + presented(head));
    Response response;
    response.ended = [this, hash](bool whole) {
      if (!whole) return;
      seen_[hash].answered = true;
      ++counts_.answered;
    };
    switch (fault) {
      case Fault::chunked:
        response.bytes = fmt::format(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
            "chunked\r\n\r\n"
            "{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            7, json.substr(0, 7), json.size() - 7, json.substr(7));
        break;
      case Fault::gzip:
        response.bytes = http(200, gzipped(json), "Content-Encoding: gzip\r\n");
        break;
      case Fault::wrong_type:
        response.bytes = http(200, json, {}, "text/html");
        break;
      case Fault::trickle:
        response.piece = 50;
        [[fallthrough]];
      default:
        response.bytes = http(200, json);
    }
    return response;
  }

  static std::string presented(const std::string& head) {
    const std::string value = header(head, "authorization");
    return value.starts_with("Bearer ") ? value.substr(7) : "no key";
  }

  Response refuse(Fault fault, const std::string& head, const std::string& json) const {
    const std::string busy = error("Rate limit reached, slow down", "rate_limit_exceeded");
    switch (fault) {
      case Fault::too_many:
        return {.bytes = http(429, busy)};
      case Fault::too_many_seconds:
        return {.bytes = http(429, busy, "Retry-After: 1\r\n")};
      case Fault::too_many_ms:
        return {.bytes = http(429, busy, "retry-after-ms: 20\r\n")};
      case Fault::too_many_date: {
        const std::time_t now = std::time(nullptr);
        return {.bytes = http(429, busy,
                              fmt::format("Date: {}\r\nRetry-After: {}\r\n", http_date(now),
                                          http_date(now + 1)))};
      }
      case Fault::too_many_absurd:
        return {.bytes = http(429, busy, "Retry-After: -5\r\n")};
      case Fault::error_500:
        return {.bytes = http(500, error("The server had an error", "server_error"))};
      case Fault::busy_503:
        return {.bytes = http(503, "upstream connect error", {}, "text/plain")};
      case Fault::reset:
        return {.bytes = {}, .after = Response::After::reset};
      case Fault::reset_midway: {
        const std::string whole = http(200, json);
        return {.bytes = whole.substr(0, whole.size() - json.size() / 2),
                .after = Response::After::reset};
      }
      case Fault::truncated: {
        const std::string whole = http(200, json);
        return {.bytes = whole.substr(0, whole.size() - 10), .after = Response::After::close};
      }
      case Fault::html:
        return {.bytes = http(200, "<html><body>Please log in</body></html>", {}, "text/html")};
      case Fault::empty:
        return {.bytes = http(200, "")};
      case Fault::hidden_error:
        return {.bytes =
                    http(200, R"({"error":{"message":"Provider returned error","code":502}})")};
      case Fault::bad_field:
        return {.bytes = http(
                    400, error("Unsupported parameter: 'max_tokens'", "unsupported_parameter"))};
      case Fault::array_error:
        return {.bytes = http(400, R"([{"error":{"code":400,"message":"Unknown name \"seed\"",)"
                                   R"("status":"INVALID_ARGUMENT","details":[]}}])")};
      case Fault::detail_error:
        return {.bytes = http(422, R"({"detail":[{"loc":["body","seed"],"msg":"extra field"}]})")};
      case Fault::unknown_model:
        return {.bytes = http(404, error("The model does not exist", "model_not_found"))};
      case Fault::bad_key:
        return {.bytes = http(
                    401, error("Incorrect API key provided: " + presented(head), "invalid_api_key"),
                    "X-Request-Id: " + presented(head) + "\r\n")};
      case Fault::quota:
        return {.bytes = http(429, error("You exceeded your current quota", "insufficient_quota"))};
      case Fault::long_wait:
        return {.bytes = http(429, busy, "Retry-After: 36000\r\n")};
      case Fault::redirect:
        return {.bytes = http(307, "",
                              fmt::format("Location: http://127.0.0.1:{}/v1/chat/completions\r\n",
                                          options_.redirect_port))};
      default:
        return {.bytes = {}, .hang = true};
    }
  }

  /// `fake(NAME)` or `fake(NAME*3)`.
  static std::optional<Fault> command(std::string_view body, int attempt) {
    const std::size_t begin = body.find("fake(");
    if (begin == std::string_view::npos) return std::nullopt;
    std::string_view text = body.substr(begin + 5);
    text = text.substr(0, text.find(')'));
    const std::size_t star = text.find('*');
    if (std::ranges::find(names, text.substr(0, star)) == names.end()) return std::nullopt;
    if (star != std::string_view::npos && attempt > std::stoi(std::string(text.substr(star + 1))))
      return Fault::none;
    return fault_named(text.substr(0, star));
  }

  std::string counts_json() const {
    const FakeCounts counts = this->counts();
    return fmt::format(
        R"({{"answered":{},"asked_again":{},"connections":{},"distinct":{},"most_at_once":{},)"
        R"("requests":{}}})",
        counts.answered, counts.asked_again, counts.connections, counts.distinct,
        counts.most_at_once, counts.requests);
  }

  std::string files(const std::string& head, const std::string& body);
  std::string run_batch(const std::string& input);

  FakeOptions options_;

  // Used by the server's thread only.
  std::unordered_map<std::uint64_t, Seen> seen_;
  std::map<std::string, std::string> files_;                    // by id
  std::map<std::string, std::pair<std::string, int>> batches_;  // output file, number of polls
  std::int64_t requests_ = 0;
  std::int64_t busy_ = 0;

  mutable std::mutex mutex_;
  FakeCounts counts_;
  std::vector<Time> arrivals_;
  std::string heads_;

  LoopbackServer server_;  // last, so that it is destroyed first: it uses all of the above
};

std::string FakeProvider::State::files(const std::string& head, const std::string& body) {
  const std::size_t begin = head.find(' ') + 1;
  const std::string path = head.substr(begin, head.find(' ', begin) - begin);
  const auto id_behind = [&](std::string_view name) {
    const std::size_t at = path.find(name) + name.size();
    return path.substr(at, path.find('/', at) - at);
  };
  if (head.starts_with("POST") && path.ends_with("/files")) {
    const std::string type = header(head, "content-type");
    const std::size_t boundary = type.find("boundary=");
    if (boundary == std::string::npos) return http(400, error("no form", "bad_form"));
    const std::string line = "\r\n--" + type.substr(boundary + 9);
    const std::size_t named = body.find("name=\"file\"");
    const std::size_t text = body.find("\r\n\r\n", named);
    if (named == std::string::npos || text == std::string::npos)
      return http(400, error("no file in the form", "bad_form"));
    const std::string id = fmt::format("file-{}", files_.size());
    files_[id] = body.substr(text + 4, body.find(line, text + 4) - text - 4);
    return http(200, fmt::format(R"({{"id":{},"object":"file","bytes":{},"purpose":"batch"}})",
                                 json_text(id), files_[id].size()));
  }
  if (head.starts_with("GET") && path.ends_with("/content")) {
    const auto found = files_.find(id_behind("/files/"));
    return found == files_.end() ? http(404, error("no such file", "not_found"))
                                 : http(200, found->second, {}, "application/octet-stream");
  }
  const auto batch = [&](const std::string& id, std::string_view status,
                         const std::string& output) {
    return http(200,
                fmt::format(R"({{"id":{},"object":"batch","status":"{}","output_file_id":{},)"
                            R"("error_file_id":null}})",
                            json_text(id), status, output.empty() ? "null" : json_text(output)));
  };
  if (head.starts_with("POST") && path.ends_with("/batches")) {
    simdjson::dom::parser parser;
    simdjson::dom::element request;
    std::string_view input;
    if (parser.parse(body).get(request) != simdjson::SUCCESS ||
        request["input_file_id"].get(input) != simdjson::SUCCESS ||
        !files_.contains(std::string(input)))
      return http(400, error("no such input file", "bad_request"));
    const std::string output = fmt::format("file-{}", files_.size());
    files_[output] = run_batch(files_.at(std::string(input)));
    const std::string id = fmt::format("batch_{}", batches_.size());
    batches_[id] = {output, 0};
    return batch(id, "validating", {});
  }
  if (head.starts_with("GET") && path.find("/batches/") != std::string::npos) {
    const auto found = batches_.find(id_behind("/batches/"));
    if (found == batches_.end()) return http(404, error("no such batch", "not_found"));
    const bool done = ++found->second.second > 1;
    return batch(found->first, done ? "completed" : "in_progress", done ? found->second.first : "");
  }
  return http(404, error("no such path", ""));
}

std::string FakeProvider::State::run_batch(const std::string& input) {
  std::vector<std::string> lines;
  simdjson::dom::parser parser;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t end = std::min(input.find('\n', at), input.size());
    const std::string line = input.substr(at, end - at);
    at = end + 1;
    simdjson::dom::element request;
    std::string_view id;
    if (parser.parse(line).get(request) != simdjson::SUCCESS ||
        request["custom_id"].get(id) != simdjson::SUCCESS)
      continue;
    const std::string body = simdjson::minify(request["body"]);
    std::string answer;
    try {
      answer = fmt::format(R"({{"status_code":200,"request_id":"req_fake","body":{}}})",
                           complete(body).json(hash_of(body)));
    } catch (const std::invalid_argument& problem) {
      answer = fmt::format(R"({{"status_code":400,"request_id":"req_fake","body":{}}})",
                           error(problem.what(), "bad_request"));
    }
    const std::string made =
        fmt::format(R"({{"id":"batch_req_{}","custom_id":{},"response":{},"error":null}})",
                    lines.size(), json_text(id), answer);
    lines.push_back(made);
    if (hash_of(id) % 7 == 0) lines.push_back(made);
  }
  std::mt19937_64 random(lines.size());
  std::ranges::shuffle(lines, random);
  std::string output;
  for (const auto& line : lines) output += line + "\n";
  return output;
}

FakeProvider::FakeProvider(FakeOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}

FakeProvider::~FakeProvider() = default;

int FakeProvider::port() const {
  return state_->server().port();
}

std::string FakeProvider::base_url() const {
  return fmt::format("http{}://127.0.0.1:{}/v1", state_->server().tls() ? "s" : "", port());
}

FakeCounts FakeProvider::counts() const {
  return state_->counts();
}

std::vector<Time> FakeProvider::arrivals() const {
  return state_->arrivals();
}

std::string FakeProvider::heads() const {
  return state_->heads();
}

}  // namespace sp2dpo::annotate::test
