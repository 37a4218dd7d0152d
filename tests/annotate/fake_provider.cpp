// SPDX-License-Identifier: Apache-2.0
#include "fake_provider.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <map>
#include <mutex>
#include <queue>
#include <random>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "fake_answer.hpp"
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <simdjson.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

namespace sp2dpo::annotate::test {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::milliseconds;

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

void require_ok(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
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

/// The last of `name: value` in a request's head; names are compared without their case.
std::string header(std::string_view head, std::string_view name) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at)) {
    at += 2;
    const auto line = head.substr(at, head.find("\r\n", at) - at);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        std::equal(name.begin(), name.end(), line.begin(), same))
      return std::string(line.substr(std::min(line.size(), name.size() + 2)));
  }
  return {};
}

/// The key with every third letter as JSON escapes it.
std::string escaped(std::string_view key) {
  std::string text;
  for (std::size_t i = 0; i < key.size(); ++i)
    text +=
        i % 3 == 1 ? fmt::format("\\u{:04x}", static_cast<int>(key[i])) : std::string(1, key[i]);
  return text;
}

/// How a connection goes on with what it sends.
enum class After : std::uint8_t { keep, close, reset };

struct Response {
  std::string bytes{};
  After after = After::keep;
  std::size_t piece = 0;  // of so many bytes, one a millisecond; 0 = at once
  bool hang = false;
  bool completes = false;  // a whole answer to the request of this hash
  std::uint64_t hash = 0;
};

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

struct Connection {
  int socket = -1;
  SSL* tls = nullptr;
  std::uint64_t number = 0;
  std::string in{};
  Response out{};
  std::size_t sent = 0;
  bool waiting = false;  // for the moment when `out` may go
  bool busy = false;     // with a chat completion
  std::uint32_t events = 0;
};

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
    // A second is long where there are thousands.
    const bool rare = std::uniform_real_distribution<>()(random) < 0.03;
    if (fault == Fault::hang && !rare) return Fault::reset;
    if ((fault == Fault::too_many_seconds || fault == Fault::too_many_date) && !rare)
      return Fault::too_many_ms;
    return fault;
  };
}

class FakeProvider::State {
 public:
  explicit State(FakeOptions options) : options_(std::move(options)) {
    if (!options_.certificate.empty()) {
      context_ = SSL_CTX_new(TLS_server_method());
      if (SSL_CTX_use_certificate_chain_file(context_, options_.certificate.c_str()) != 1 ||
          SSL_CTX_use_PrivateKey_file(context_, options_.private_key.c_str(), SSL_FILETYPE_PEM) !=
              1)
        throw std::runtime_error("the fake provider's certificate cannot be read");
      SSL_CTX_set_mode(context_,
                       SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require_ok(listener_, "socket");
    const int one = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
    require_ok(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    require_ok(listen(listener_, 4096), "listen");
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    require_ok(epoll_, "epoll");
    stop_ = eventfd(0, EFD_CLOEXEC);
    watch(listener_, EPOLLIN, EPOLL_CTL_ADD);
    watch(stop_, EPOLLIN, EPOLL_CTL_ADD);
    thread_ = std::thread([this] {
      // In this thread alone: a client that hangs up must not end the process, nor hide that the
      // library would.
      sigset_t pipe;
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      serve();
    });
  }

  ~State() {
    const std::uint64_t one = 1;
    static_cast<void>(!write(stop_, &one, sizeof one));
    thread_.join();
    for (auto& [socket, connection] : connections_) release(connection);
    close(listener_);
    close(stop_);
    close(epoll_);
    SSL_CTX_free(context_);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  int port() const { return port_; }
  bool tls() const { return context_ != nullptr; }
  FakeCounts counts() const {
    const std::scoped_lock lock(mutex_);
    return counts_;
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
  struct Due {
    Time when;
    int socket;
    std::uint64_t number;
    bool operator>(const Due& other) const { return when > other.when; }
  };

  void watch(int socket, std::uint32_t events, int what) {
    epoll_event event{};
    event.events = events;
    event.data.fd = socket;
    require_ok(epoll_ctl(epoll_, what, socket, &event), "epoll_ctl");
  }

  void serve() {
    std::array<epoll_event, 256> events{};
    while (true) {
      int wait = -1;
      if (!due_.empty())
        wait = static_cast<int>(std::max<std::int64_t>(
            0, std::chrono::ceil<milliseconds>(due_.top().when - Clock::now()).count()));
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait);
      for (int i = 0; i < count; ++i) {
        const int socket = events[static_cast<std::size_t>(i)].data.fd;
        if (socket == stop_) return;
        if (socket == listener_)
          accept_all();
        else if (connections_.contains(socket))
          serve(socket);
      }
      while (!due_.empty() && due_.top().when <= Clock::now()) {
        const Due due = due_.top();
        due_.pop();
        const auto found = connections_.find(due.socket);
        if (found == connections_.end() || found->second.number != due.number) continue;
        found->second.waiting = false;
        serve(due.socket);
      }
    }
  }

  void accept_all() {
    while (true) {
      const int socket = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket < 0) return;
      const int one = 1;
      setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      Connection connection{.socket = socket, .number = ++number_, .events = EPOLLIN};
      if (context_ != nullptr) {
        connection.tls = SSL_new(context_);
        SSL_set_fd(connection.tls, socket);
        SSL_set_accept_state(connection.tls);
      }
      watch(socket, EPOLLIN, EPOLL_CTL_ADD);
      connections_.emplace(socket, std::move(connection));
      const std::scoped_lock lock(mutex_);
      ++counts_.connections;
    }
  }

  void serve(int socket) {
    auto& connection = connections_.at(socket);
    if (!receive(connection) || !go_on(connection)) {
      release(connection);
      connections_.erase(socket);
      return;
    }
    const bool writes = connection.sent < connection.out.bytes.size() && !connection.waiting;
    const std::uint32_t events = EPOLLIN | (writes ? std::uint32_t{EPOLLOUT} : 0U);
    if (events != connection.events) watch(socket, events, EPOLL_CTL_MOD);
    connection.events = events;
  }

  /// False at the end of the connection.
  static bool receive(Connection& connection) {
    char bytes[65536];
    while (true) {
      ssize_t got = 0;
      if (connection.tls != nullptr) {
        ERR_clear_error();
        got = SSL_read(connection.tls, bytes, sizeof bytes);
        if (got <= 0) {
          const int why = SSL_get_error(connection.tls, static_cast<int>(got));
          return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
        }
      } else {
        got = recv(connection.socket, bytes, sizeof bytes, 0);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        if (got == 0) return false;
      }
      connection.in.append(bytes, static_cast<std::size_t>(got));
    }
  }

  /// Answers what has come and sends what may go; false where the connection is to be closed.
  bool go_on(Connection& connection) {
    while (true) {
      if (connection.sent == connection.out.bytes.size()) {
        if (connection.busy) {
          const std::scoped_lock lock(mutex_);
          finished(connection);
        }
        if (connection.out.after != After::keep) return false;
        if (connection.out.hang || connection.waiting) return true;
        if (!take_request(connection)) return true;
        continue;
      }
      if (connection.waiting) return true;
      const auto& out = connection.out;
      std::size_t size = out.bytes.size() - connection.sent;
      if (out.piece > 0) size = std::min(size, out.piece);
      ssize_t sent = 0;
      // Whoever has the answer and asks for the counts finds it counted.
      const std::scoped_lock lock(mutex_);
      if (connection.tls != nullptr) {
        ERR_clear_error();
        sent =
            SSL_write(connection.tls, out.bytes.data() + connection.sent, static_cast<int>(size));
        if (sent <= 0) {
          const int why = SSL_get_error(connection.tls, static_cast<int>(sent));
          return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
        }
      } else {
        sent = send(connection.socket, out.bytes.data() + connection.sent, size, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN || errno == EINTR;
      }
      connection.sent += static_cast<std::size_t>(sent);
      if (connection.sent == out.bytes.size() && connection.busy) finished(connection);
      if (out.piece > 0 && connection.sent < out.bytes.size()) delay(connection, milliseconds(1));
    }
  }

  void delay(Connection& connection, milliseconds time) {
    connection.waiting = true;
    due_.push({Clock::now() + time, connection.socket, connection.number});
  }

  /// Under mutex_.
  void finished(Connection& connection) {
    connection.busy = false;
    --busy_;
    if (!connection.out.completes) return;
    seen_[connection.out.hash].answered = true;
    ++counts_.answered;
  }

  void release(Connection& connection) {
    if (connection.busy) --busy_;
    if (connection.sent == connection.out.bytes.size() && connection.out.after == After::reset) {
      const linger now{1, 0};
      setsockopt(connection.socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    SSL_free(connection.tls);
    close(connection.socket);
  }

  bool take_request(Connection& connection) {
    const std::size_t end = connection.in.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string head = connection.in.substr(0, end + 2);
    const std::string length = header(head, "content-length");
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    if (connection.in.size() < end + 4 + size) return false;
    const std::string body = connection.in.substr(end + 4, size);
    connection.in.erase(0, end + 4 + size);
    {
      const std::scoped_lock lock(mutex_);
      if (heads_.size() < 100'000) heads_ += head;
    }
    connection.sent = 0;
    connection.out = respond(connection, head, body);
    if (options_.latency.count() > 0 && connection.busy) delay(connection, options_.latency);
    return true;
  }

  Response respond(Connection& connection, const std::string& head, const std::string& body) {
    const auto in_path = [&](std::string_view text) {
      return head.substr(0, head.find("\r\n")).find(text) != std::string::npos;
    };
    if (in_path("GET /counts")) return {.bytes = http(200, counts_json())};
    if (!options_.key.empty() && header(head, "authorization") != "Bearer " + options_.key)
      return {.bytes = http(401, error("Incorrect API key provided", "invalid_api_key"))};
    if (in_path("POST") && in_path("/chat/completions")) {
      connection.busy = true;
      ++busy_;
      return chat(head, body);
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
    Response response{.completes = true, .hash = hash};
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
        return {.bytes = {}, .after = After::reset};
      case Fault::reset_midway: {
        const std::string whole = http(200, json);
        return {.bytes = whole.substr(0, whole.size() - json.size() / 2), .after = After::reset};
      }
      case Fault::truncated: {
        const std::string whole = http(200, json);
        return {.bytes = whole.substr(0, whole.size() - 10), .after = After::close};
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

  std::string counts_json() {
    const std::scoped_lock lock(mutex_);
    return fmt::format(
        R"({{"answered":{},"asked_again":{},"connections":{},"distinct":{},"most_at_once":{},)"
        R"("requests":{}}})",
        counts_.answered, counts_.asked_again, counts_.connections, counts_.distinct,
        counts_.most_at_once, counts_.requests);
  }

  std::string files(const std::string& head, const std::string& body);
  std::string run_batch(const std::string& input);

  FakeOptions options_;
  SSL_CTX* context_ = nullptr;
  int listener_ = -1;
  int epoll_ = -1;
  int stop_ = -1;
  int port_ = 0;

  // Of the thread alone.
  std::unordered_map<int, Connection> connections_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::unordered_map<std::uint64_t, Seen> seen_;
  std::map<std::string, std::string> files_;                    // by id
  std::map<std::string, std::pair<std::string, int>> batches_;  // output file, times asked for
  std::int64_t requests_ = 0;
  std::int64_t busy_ = 0;
  std::uint64_t number_ = 0;

  mutable std::mutex mutex_;
  FakeCounts counts_;
  std::vector<Time> arrivals_;
  std::string heads_;
  std::thread thread_;
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
  return state_->port();
}

std::string FakeProvider::base_url() const {
  return fmt::format("http{}://127.0.0.1:{}/v1", state_->tls() ? "s" : "", port());
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
