// SPDX-License-Identifier: Apache-2.0
#include "loopback_server.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <queue>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sp2dpo::annotate::test {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::milliseconds;
using After = Response::After;

void require_ok(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

struct Connection {
  int socket = -1;
  SSL* tls = nullptr;
  std::uint64_t number = 0;
  std::string in{};
  Response out{};
  std::size_t sent = 0;
  bool waiting = false;  // until `out` may be sent
  std::uint32_t events = 0;
};

}  // namespace

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

class LoopbackServer::State {
 public:
  State(const LoopbackOptions& options, std::mutex& mutex, Handler respond)
      : respond_(std::move(respond)), mutex_(mutex) {
    if (!options.certificate.empty()) {
      context_ = SSL_CTX_new(TLS_server_method());
      if (SSL_CTX_use_certificate_chain_file(context_, options.certificate.c_str()) != 1 ||
          SSL_CTX_use_PrivateKey_file(context_, options.private_key.c_str(), SSL_FILETYPE_PEM) != 1)
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
    address.sin_port = htons(static_cast<std::uint16_t>(options.port));
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
      // Blocked in this thread only: a client that hangs up must not end the process, but the tests
      // must still notice if the library would.
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
  std::int64_t connections() const { return accepted_; }

 private:
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
      ++accepted_;
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

  /// Returns false at the end of the connection.
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

  /// Handles received bytes and sends due ones. Returns false if the connection must be closed.
  bool go_on(Connection& connection) {
    while (true) {
      if (connection.sent == connection.out.bytes.size()) {
        if (connection.out.ended) {
          const std::scoped_lock lock(mutex_);
          finish(connection, true);
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
      if (connection.sent == out.bytes.size()) finish(connection, true);
      if (out.piece > 0 && connection.sent < out.bytes.size()) delay(connection, milliseconds(1));
    }
  }

  void delay(Connection& connection, milliseconds time) {
    connection.waiting = true;
    due_.push({Clock::now() + time, connection.socket, connection.number});
  }

  /// Requires mutex_.
  static void finish(Connection& connection, bool whole) {
    if (const auto ended = std::exchange(connection.out.ended, nullptr)) ended(whole);
  }

  void release(Connection& connection) {
    {
      const std::scoped_lock lock(mutex_);
      finish(connection, false);
    }
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
    connection.sent = 0;
    connection.out = respond_(head, body);
    if (connection.out.latency.count() > 0) delay(connection, connection.out.latency);
    return true;
  }

  Handler respond_;
  std::mutex& mutex_;
  SSL_CTX* context_ = nullptr;
  int listener_ = -1;
  int epoll_ = -1;
  int stop_ = -1;
  int port_ = 0;
  std::atomic<std::int64_t> accepted_ = 0;

  // Used by the thread only.
  std::unordered_map<int, Connection> connections_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::uint64_t number_ = 0;
  std::thread thread_;
};

LoopbackServer::LoopbackServer(const LoopbackOptions& options, std::mutex& mutex, Handler respond)
    : state_(std::make_unique<State>(options, mutex, std::move(respond))) {}

LoopbackServer::~LoopbackServer() = default;

int LoopbackServer::port() const {
  return state_->port();
}

bool LoopbackServer::tls() const {
  return state_->tls();
}

std::int64_t LoopbackServer::connections() const {
  return state_->connections();
}

}  // namespace sp2dpo::annotate::test
