// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <queue>
#include <system_error>
#include <utility>

#include "curl_loop.hpp"
#include "http_call.hpp"
#include "no_sigpipe.hpp"
#include "reply_verdict.hpp"
#include "server.hpp"
#include "traffic.hpp"
#include "wake_pipe.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/endpoint.hpp>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using ReplyKind = ChatReply::Kind;
using Next = ReplyVerdict::Next;

/// True for a failure at which the server has not been heard, and may not exist.
bool is_silence(CURL* easy, CURLcode result) {
  long status = 0;
  curl_off_t connected = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
  if (status != 0) return false;
  static constexpr std::array silent = {
      CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT,
      CURLE_GOT_NOTHING,           CURLE_SEND_ERROR,           CURLE_RECV_ERROR,
      CURLE_SSL_CONNECT_ERROR};
  return std::ranges::find(silent, result) != silent.end() ||
         (result == CURLE_OPERATION_TIMEDOUT && connected == 0);
}

/// True once the connection of a transfer is open.
bool is_connected(CURL* easy) {
  curl_off_t time = 0;
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &time);
  return time > 0;
}

/// True if no byte of the request has been sent.
bool is_unsent(CURL* easy) {
  long size = 0;
  curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &size);
  return size == 0;
}

/// Upper bound on the tokens of a request and its reply.
double max_tokens_of(const ChatRequest& request) {
  return static_cast<double>(request.prompt_bytes) + request.max_tokens;
}

}  // namespace

class Endpoint::State {
 public:
  explicit State(EndpointOptions options)
      : options_(std::move(options)),
        server_(options_),
        traffic_(options_),
        loop_(options_.max_concurrent) {}

  ~State() {
    const NoSigpipe guard;
    for (const auto& transfer : busy_) loop_.remove(transfer->easy.get());
    busy_.clear();
    idle_.clear();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const EndpointOptions& options() const noexcept { return options_; }

  void submit(ChatRequest request, Callback done) {
    const std::scoped_lock lock(mutex_);
    fresh_.push_back({std::move(request), std::move(done)});
    ++unfinished_;
    if (waiting_) wake_.ring();
  }

  ChatReply ask(ChatRequest request) {
    const auto reply = std::make_shared<std::optional<ChatReply>>();
    submit(std::move(request), [this, reply](ChatRequest, ChatReply came) {
      const std::scoped_lock lock(mutex_);
      *reply = std::move(came);
    });
    std::unique_lock lock(mutex_);
    while (!*reply) {
      // One of the waiting threads drives the connections for all.
      if (driven_) {
        changed_.wait(lock);
        continue;
      }
      lock.unlock();
      State* const self = this;
      round({&self, 1}, milliseconds(1000));
      lock.lock();
    }
    return std::move(**reply);
  }

  ChatReply call(const HttpCall& call);

  void observe(Observer observer) {
    const std::scoped_lock lock(mutex_);
    observer_ = std::move(observer);
  }

  static std::size_t round(std::span<State* const> states, milliseconds timeout,
                           const std::function<bool()>& may_send = {}) {
    const NoSigpipe guard;
    std::vector<Driver> drivers;
    drivers.reserve(states.size());
    for (State* const state : states) drivers.emplace_back(*state);

    Time until = Clock::now() + timeout;
    bool idle = true;
    std::vector<pollfd> sockets;
    for (State* const state : states) {
      const std::scoped_lock lock(state->mutex_);
      state->may_send_ = may_send ? &may_send : nullptr;
      until = std::min(until, state->advance(Clock::now()));
      idle = idle && state->unfinished_ == 0;
      state->waiting_ = true;
      sockets.push_back({state->wake_.descriptor(), POLLIN, 0});
      sockets.insert(sockets.end(), state->loop_.sockets().begin(), state->loop_.sockets().end());
    }
    const auto wait = idle ? milliseconds(0)
                           : std::chrono::ceil<milliseconds>(
                                 std::max(until - Clock::now(), Time::duration::zero()));
    if (::poll(sockets.data(), sockets.size(), static_cast<int>(wait.count())) < 0) {
      if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
      for (auto& socket : sockets) socket.revents = 0;
    }

    std::span<const pollfd> happened = sockets;
    for (State* const state : states) {
      const std::scoped_lock lock(state->mutex_);
      state->waiting_ = false;
      if (happened[0].revents != 0) state->wake_.drain();
      const std::size_t count = state->loop_.sockets().size();
      state->act(happened.subspan(1, count));
      state->may_send_ = nullptr;
      happened = happened.subspan(1 + count);
    }
    std::size_t ran = 0;
    for (State* const state : states) ran += state->deliver();
    return ran;
  }

  std::size_t unfinished() const {
    const std::scoped_lock lock(mutex_);
    return unfinished_;
  }

  std::vector<ChatRequest> withdraw() {
    const std::scoped_lock lock(mutex_);
    std::vector<ChatRequest> taken;
    taken.reserve(later_.size() + fresh_.size());
    for (auto& job : later_) taken.push_back(std::move(job.request));
    for (auto& job : fresh_) taken.push_back(std::move(job.request));
    later_.clear();
    fresh_.clear();
    for (std::size_t i = busy_.size(); i-- > 0;) {
      Sent& sent = *busy_[i];
      if (!is_unsent(sent.easy.get())) continue;
      loop_.remove(sent.easy.get());
      traffic_.withdrawn();
      taken.push_back(std::move(sent.job.request));
      retire(sent);
    }
    unfinished_ -= taken.size();
    return taken;
  }

  std::string stopped() const {
    const std::scoped_lock lock(mutex_);
    return stop_ ? stop_->detail : std::string();
  }

  EndpointCounts counts() const {
    const std::scoped_lock lock(mutex_);
    return counts_;
  }

 private:
  struct Job {
    ChatRequest request;
    Callback done;
    int attempts = 0;
    Time ready{};   // not before this
    Usage spent{};  // by failed attempts
  };
  struct Sent : Transfer {
    Job job{};
    std::string body{};  // as sent
    Traffic::Permit permit{};
    std::size_t place = 0;  // in busy_
  };
  struct Done {
    Job job;
    ChatReply reply;
  };

  /// Grants one thread the exclusive right to drive the endpoint.
  class Driver {
   public:
    explicit Driver(State& state) : state_(&state) {
      std::unique_lock lock(state.mutex_);
      state.changed_.wait(lock, [&] { return !state.driven_; });
      state.driven_ = true;
    }
    Driver(Driver&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    Driver& operator=(Driver&&) = delete;
    ~Driver() {
      if (state_ == nullptr) return;
      const std::scoped_lock lock(state_->mutex_);
      state_->driven_ = false;
      state_->changed_.notify_all();
    }

   private:
    State* state_;
  };

  /// Finishes what libcurl has finished and starts what may start. Returns the time at which it
  /// must be called again even without a socket event.
  Time advance(Time now);
  /// Stops the endpoint if no reply has come for max_silence.
  void check_silence(Time now);
  void start(Job job, Time now);
  /// Keeps the handle of a finished transfer for the next one.
  void retire(Sent& sent);
  void act(std::span<const pollfd> happened);
  void finish(Sent& sent, CURLcode result, Time now);
  void stop(ChatReply reply);
  void end(Job job, ChatReply reply);
  std::size_t deliver();

  // Guarded by mutex_, except what callbacks and poll() use while a Driver exists.
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // driven_
  bool driven_ = false;
  bool waiting_ = false;
  WakePipe wake_;

  EndpointOptions options_;
  Server server_;
  Traffic traffic_;
  CurlLoop loop_;
  simdjson::dom::parser parser_;

  std::deque<Job> fresh_;
  std::vector<Job> later_;  // a heap by ready; the earliest is in front
  std::vector<std::unique_ptr<Sent>> busy_;
  std::vector<std::unique_ptr<Sent>> idle_;
  std::deque<Done> done_;
  std::deque<std::pair<std::string, ChatReply>> failed_;  // attempts, for the observer
  Observer observer_;
  const std::function<bool()>* may_send_ = nullptr;
  std::size_t unfinished_ = 0;

  bool heard_ = false;                // a byte of the server
  std::optional<Time> first_sent_{};  // when the first attempt began
  std::string silence_{};             // the last failure without a byte
  std::optional<ChatReply> stop_;
  EndpointCounts counts_;

  static bool is_later(const Job& a, const Job& b) { return a.ready > b.ready; }
};

Time Endpoint::State::advance(Time now) {
  loop_.finished([&](CURL* easy, CURLcode result) {
    char* sent = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &sent);
    finish(*static_cast<Sent*>(reinterpret_cast<Transfer*>(sent)), result, now);
  });
  check_silence(now);
  const auto alarm = [&] {
    Time next = loop_.alarm().value_or(Time::max());
    if (!stop_ && !heard_ && !silence_.empty())
      next = std::min(next, *first_sent_ + options_.max_silence);
    return next;
  };
  if (stop_) {
    for (auto& job : later_) end(std::move(job), *stop_);
    later_.clear();
    for (auto& job : fresh_) end(std::move(job), *stop_);
    fresh_.clear();
  }
  while (true) {
    const bool is_late = !later_.empty() && later_.front().ready <= now;
    if (!is_late && fresh_.empty()) break;
    if (may_send_ != nullptr && !(*may_send_)()) return done_.empty() ? alarm() : now;
    const double tokens = max_tokens_of((is_late ? later_.front() : fresh_.front()).request);
    if (traffic_.possible(tokens)) {
      const Time ready = traffic_.ready(tokens, now);
      if (ready > now) return done_.empty() ? std::min(ready, alarm()) : now;
    }
    Job job;
    if (is_late) {
      std::ranges::pop_heap(later_, &is_later);
      job = std::move(later_.back());
      later_.pop_back();
    } else {
      job = std::move(fresh_.front());
      fresh_.pop_front();
    }
    if (traffic_.possible(tokens)) {
      start(std::move(job), now);
    } else {
      end(std::move(job),
          {.kind = ReplyKind::rejected,
           .detail = fmt::format("up to {} tokens, above the endpoint's limit of {} per minute",
                                 tokens, options_.tokens_per_minute)});
    }
  }
  if (!done_.empty()) return now;
  return later_.empty() ? alarm() : std::min(alarm(), later_.front().ready);
}

void Endpoint::State::check_silence(Time now) {
  if (stop_ || heard_ || silence_.empty() || now - *first_sent_ < options_.max_silence) return;
  if (std::ranges::any_of(busy_, [](const auto& sent) { return is_connected(sent->easy.get()); }))
    return;
  stop({.kind = ReplyKind::transport,
        .detail = fmt::format("{}: {}; no server answered for {} s", options_.base_url, silence_,
                              options_.max_silence.count() / 1000)});
}

void Endpoint::State::start(Job job, Time now) {
  if (!first_sent_) first_sent_ = now;
  if (idle_.empty()) {
    auto sent = std::make_unique<Sent>();
    server_.prepare(*sent, "/chat/completions", true);
    idle_.push_back(std::move(sent));
  }
  busy_.push_back(std::move(idle_.back()));
  idle_.pop_back();
  Sent& sent = *busy_.back();
  sent.place = busy_.size() - 1;
  sent.job = std::move(job);
  ++sent.job.attempts;
  sent.reply = {};
  sent.error[0] = '\0';
  CURL* const easy = sent.easy.get();
  sent.body = sent_body(sent.job.request);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(sent.body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, sent.body.data());
  sent.permit = traffic_.send(max_tokens_of(sent.job.request), now);
  ++counts_.sent;
  loop_.add(easy);
}

void Endpoint::State::act(std::span<const pollfd> happened) {
  loop_.act(happened, Clock::now());
  // The next requests are in flight while the caller handles these replies.
  advance(Clock::now());
  loop_.act({}, Clock::now());
}

void Endpoint::State::finish(Sent& sent, CURLcode result, Time now) {
  ReplyVerdict verdict = server_.conclude(sent, result, &sent.job.request, parser_);
  if (is_silence(sent.easy.get(), result)) {
    if (!heard_) silence_ = verdict.detail;
  } else {
    heard_ = true;
  }
  curl_off_t microseconds = 0;
  curl_easy_getinfo(sent.easy.get(), CURLINFO_TOTAL_TIME_T, &microseconds);
  ChatReply reply{.kind = verdict.kind,
                  .http_status = sent.reply.status,
                  .body = std::move(sent.reply.body),
                  .request_id = server_.header(sent, "x-request-id"),
                  .usage = verdict.kind == ReplyKind::answered ? verdict.usage : std::nullopt,
                  .seconds = static_cast<double>(microseconds) * 1e-6,
                  .attempts = sent.job.attempts,
                  .detail = std::move(verdict.detail)};

  if (verdict.kind == ReplyKind::answered) {
    ++counts_.answered;
    traffic_.answered(
        sent.permit, reply.usage ? std::optional(static_cast<double>(
                                       reply.usage->prompt_tokens + reply.usage->completion_tokens))
                                 : std::nullopt);
  } else if (verdict.next == Next::slower) {
    ++counts_.throttled;
    traffic_.throttled(verdict.retry_after, now);
  } else if (verdict.kind == ReplyKind::transport) {
    ++counts_.failed;
    traffic_.failed(now);
  } else {
    ++counts_.rejected;
    traffic_.rejected(verdict.about_question, reply.http_status, reply.detail);
  }
  if (verdict.kind != ReplyKind::answered && verdict.usage) {
    sent.job.spent.prompt_tokens += verdict.usage->prompt_tokens;
    sent.job.spent.completion_tokens += verdict.usage->completion_tokens;
  }

  if (verdict.retry_after > options_.max_retry_after) {
    verdict.next = Next::stop;
    reply.kind = ReplyKind::quota;
    reply.detail +=
        fmt::format("; requests a wait of {} s, the limit is {} s",
                    verdict.retry_after->count() / 1000, options_.max_retry_after.count() / 1000);
  } else if (verdict.next != Next::stop && traffic_.out_of_order()) {
    verdict.next = Next::stop;
    reply.detail += verdict.kind == ReplyKind::rejected
                        ? fmt::format("; {} consecutive rejections", options_.max_failures)
                        : fmt::format("; no reply for {} s", options_.max_outage.count() / 1000);
  }
  if (verdict.next == Next::stop) stop(reply);

  Job job = std::move(sent.job);
  retire(sent);

  const bool again = verdict.next == Next::retry || verdict.next == Next::slower;
  if (!again || stop_ || job.attempts >= options_.max_attempts) {
    end(std::move(job), std::move(reply));
    return;
  }
  if (observer_) {
    reply.body.clear();
    failed_.emplace_back(job.request.key, std::move(reply));
  }
  job.ready =
      now + std::max(traffic_.backoff(job.attempts), verdict.retry_after.value_or(milliseconds(0)));
  later_.push_back(std::move(job));
  std::ranges::push_heap(later_, &is_later);
}

void Endpoint::State::retire(Sent& sent) {
  const std::size_t place = sent.place;
  std::swap(busy_[place], busy_.back());
  busy_[place]->place = place;
  idle_.push_back(std::move(busy_.back()));
  busy_.pop_back();
}

void Endpoint::State::stop(ChatReply reply) {
  if (stop_) return;
  reply.attempts = 0;
  reply.body.clear();
  reply.request_id.clear();
  reply.usage.reset();
  reply.seconds = 0;
  stop_ = std::move(reply);
}

void Endpoint::State::end(Job job, ChatReply reply) {
  if (reply.attempts == 0) reply.attempts = job.attempts;
  reply.spent = job.spent;
  done_.push_back({std::move(job), std::move(reply)});
}

std::size_t Endpoint::State::deliver() {
  std::size_t ran = 0;
  while (true) {
    std::unique_lock lock(mutex_);
    if (!failed_.empty()) {
      const auto [key, reply] = std::move(failed_.front());
      failed_.pop_front();
      const Observer observer = observer_;
      lock.unlock();
      if (observer) observer(key, reply);
      continue;
    }
    if (done_.empty()) return ran;
    Done done = std::move(done_.front());
    done_.pop_front();
    --unfinished_;
    lock.unlock();
    ++ran;
    done.job.done(std::move(done.job.request), std::move(done.reply));
  }
}

ChatReply Endpoint::State::call(const HttpCall& call) {
  const auto backoff = [this](int attempts) {
    const std::scoped_lock lock(mutex_);
    return traffic_.backoff(attempts);
  };
  return make_call(server_, options_, call, backoff);
}

Endpoint::Endpoint(EndpointOptions options) : state_(std::make_unique<State>(std::move(options))) {}

Endpoint::~Endpoint() = default;

const EndpointOptions& Endpoint::options() const noexcept {
  return state_->options();
}

void Endpoint::submit(ChatRequest request, Callback done) {
  state_->submit(std::move(request), std::move(done));
}

std::size_t Endpoint::poll(milliseconds timeout) {
  State* const state = state_.get();
  return State::round({&state, 1}, timeout);
}

std::size_t Endpoint::poll(std::span<Endpoint* const> endpoints, milliseconds timeout) {
  return poll(endpoints, timeout, {});
}

void Endpoint::observe(Observer observer) {
  state_->observe(std::move(observer));
}

std::size_t Endpoint::poll(std::span<Endpoint* const> endpoints, milliseconds timeout,
                           const std::function<bool()>& may_send) {
  std::vector<State*> states;
  states.reserve(endpoints.size());
  for (const Endpoint* const endpoint : endpoints) states.push_back(endpoint->state_.get());
  // Without duplicates, and in the same order in every thread, which avoids deadlock.
  std::ranges::sort(states, std::less<>());
  states.erase(std::ranges::unique(states).begin(), states.end());
  return State::round(states, timeout, may_send);
}

ChatReply Endpoint::ask(ChatRequest request) {
  return state_->ask(std::move(request));
}

ChatReply Endpoint::call(const HttpCall& call) {
  return state_->call(call);
}

std::size_t Endpoint::unfinished() const {
  return state_->unfinished();
}

std::vector<ChatRequest> Endpoint::withdraw() {
  return state_->withdraw();
}

std::string Endpoint::stopped() const {
  return state_->stopped();
}

EndpointCounts Endpoint::counts() const {
  return state_->counts();
}

}  // namespace sp2dpo::annotate
