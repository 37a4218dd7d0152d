// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <queue>
#include <system_error>
#include <thread>
#include <utility>

#include "curl_loop.hpp"
#include "no_sigpipe.hpp"
#include "server.hpp"
#include "traffic.hpp"
#include "verdict.hpp"
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/detail/require.hpp>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Kind = ChatReply::Kind;
using Next = Verdict::Next;

/// A pipe that ends another thread's poll().
class Alarm {
 public:
  Alarm() {
    if (pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0)
      throw std::system_error(errno, std::generic_category(), "pipe");
  }
  ~Alarm() {
    close(ends_[0]);
    close(ends_[1]);
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  [[nodiscard]] int socket() const noexcept { return ends_[0]; }
  // A pipe that is full wakes as well as one that is not.
  void ring() { static_cast<void>(!write(ends_[1], "", 1)); }
  void still() {
    char bytes[64];
    while (read(ends_[0], bytes, sizeof bytes) > 0) {
    }
  }

 private:
  int ends_[2] = {};
};

double tokens_at_most(const ChatRequest& request) {
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
    if (waiting_) alarm_.ring();
  }

  ChatReply ask(ChatRequest request) {
    const auto reply = std::make_shared<std::optional<ChatReply>>();
    submit(std::move(request), [this, reply](ChatRequest, ChatReply came) {
      const std::scoped_lock lock(mutex_);
      *reply = std::move(came);
    });
    std::unique_lock lock(mutex_);
    while (!*reply) {
      // One thread of those that wait looks after the connections for all.
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

  static std::size_t round(std::span<State* const> states, milliseconds timeout) {
    const NoSigpipe guard;
    std::vector<Driver> drivers;
    drivers.reserve(states.size());
    for (State* const state : states) drivers.emplace_back(*state);

    Time until = Clock::now() + timeout;
    bool idle = true;
    std::vector<pollfd> sockets;
    for (State* const state : states) {
      const std::scoped_lock lock(state->mutex_);
      until = std::min(until, state->go_on(Clock::now()));
      idle = idle && state->unfinished_ == 0;
      state->waiting_ = true;
      sockets.push_back({state->alarm_.socket(), POLLIN, 0});
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
      if (happened[0].revents != 0) state->alarm_.still();
      const std::size_t count = state->loop_.sockets().size();
      state->act(happened.subspan(1, count));
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
    Time ready{};  // not before this
  };
  struct Sent : Transfer {
    Job job{};
    Traffic::Permit permit{};
    std::size_t place = 0;  // in busy_
  };
  struct Done {
    Job job;
    ChatReply reply;
  };

  /// Whoever drives the endpoint, alone.
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

  /// Takes in what is finished and starts what may start. Returns when there is something to do
  /// again, whatever the sockets do.
  Time go_on(Time now);
  void start(Job job, Time now);
  void act(std::span<const pollfd> happened);
  void finish(Sent& sent, CURLcode result, Time now);
  void stop(ChatReply reply);
  void end(Job job, ChatReply reply);
  std::size_t deliver();

  // Guarded by mutex_, but for what is in the callbacks' and poll()'s hands while a Driver is.
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // driven_
  bool driven_ = false;
  bool waiting_ = false;
  Alarm alarm_;

  EndpointOptions options_;
  Server server_;
  Traffic traffic_;
  CurlLoop loop_;
  simdjson::dom::parser parser_;

  std::deque<Job> fresh_;
  std::vector<Job> later_;  // a heap; the first is the one that is ready first
  std::vector<std::unique_ptr<Sent>> busy_;
  std::vector<std::unique_ptr<Sent>> idle_;
  std::deque<Done> done_;
  std::size_t unfinished_ = 0;
  std::optional<ChatReply> stop_;
  EndpointCounts counts_;

  static bool is_later(const Job& a, const Job& b) { return a.ready > b.ready; }
};

Time Endpoint::State::go_on(Time now) {
  loop_.finished([&](CURL* easy, CURLcode result) {
    char* sent = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &sent);
    finish(*static_cast<Sent*>(reinterpret_cast<Transfer*>(sent)), result, now);
  });
  const auto alarm = [&] { return loop_.alarm().value_or(Time::max()); };
  if (stop_) {
    for (auto& job : later_) end(std::move(job), *stop_);
    later_.clear();
    for (auto& job : fresh_) end(std::move(job), *stop_);
    fresh_.clear();
  }
  while (true) {
    const bool is_late = !later_.empty() && later_.front().ready <= now;
    if (!is_late && fresh_.empty()) break;
    const double tokens = tokens_at_most((is_late ? later_.front() : fresh_.front()).request);
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
          {.kind = Kind::rejected,
           .detail =
               fmt::format("up to {} tokens, which is above the endpoint's limit of {} a minute",
                           tokens, options_.tokens_per_minute)});
    }
  }
  if (!done_.empty()) return now;
  return later_.empty() ? alarm() : std::min(alarm(), later_.front().ready);
}

void Endpoint::State::start(Job job, Time now) {
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
  const auto& body = sent.job.request.body;
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());
  sent.permit = traffic_.send(tokens_at_most(sent.job.request), now);
  ++counts_.sent;
  loop_.add(easy);
}

void Endpoint::State::act(std::span<const pollfd> happened) {
  loop_.act(happened, Clock::now());
  // The next requests are on their way while the caller works on the answers.
  go_on(Clock::now());
  loop_.act({}, Clock::now());
}

void Endpoint::State::finish(Sent& sent, CURLcode result, Time now) {
  Verdict verdict = server_.conclude(sent, result, true, parser_);
  curl_off_t microseconds = 0;
  curl_easy_getinfo(sent.easy.get(), CURLINFO_TOTAL_TIME_T, &microseconds);
  ChatReply reply{.kind = verdict.kind,
                  .http_status = sent.reply.status,
                  .body = std::move(sent.reply.body),
                  .request_id = server_.header(sent, "x-request-id"),
                  .usage = verdict.usage,
                  .seconds = static_cast<double>(microseconds) * 1e-6,
                  .attempts = sent.job.attempts,
                  .detail = std::move(verdict.detail)};

  if (verdict.kind == Kind::answered) {
    ++counts_.answered;
    traffic_.answered(
        sent.permit, reply.usage ? std::optional(static_cast<double>(
                                       reply.usage->prompt_tokens + reply.usage->completion_tokens))
                                 : std::nullopt);
  } else if (verdict.next == Next::slower) {
    ++counts_.throttled;
    traffic_.throttled(verdict.retry_after, now);
  } else if (verdict.kind == Kind::transport) {
    ++counts_.failed;
    traffic_.failed(now);
  } else {
    ++counts_.rejected;
    traffic_.rejected();
  }

  if (verdict.retry_after > options_.max_retry_after) {
    verdict.next = Next::stop;
    reply.kind = Kind::quota;
    reply.detail +=
        fmt::format("; asks to wait {} s, where at most {} s are allowed",
                    verdict.retry_after->count() / 1000, options_.max_retry_after.count() / 1000);
  } else if (verdict.next != Next::stop && traffic_.out_of_order()) {
    verdict.next = Next::stop;
    reply.detail +=
        verdict.kind == Kind::rejected
            ? fmt::format("; the last of {} rejections in a row", options_.max_failures)
            : fmt::format("; nothing was answered for {} s", options_.max_outage.count() / 1000);
  }
  if (verdict.next == Next::stop) stop(reply);

  Job job = std::move(sent.job);
  const std::size_t place = sent.place;
  std::swap(busy_[place], busy_.back());
  busy_[place]->place = place;
  idle_.push_back(std::move(busy_.back()));
  busy_.pop_back();

  const bool again = verdict.next == Next::retry || verdict.next == Next::slower;
  if (!again || stop_ || job.attempts >= options_.max_attempts) {
    end(std::move(job), std::move(reply));
    return;
  }
  job.ready =
      now + std::max(traffic_.backoff(job.attempts), verdict.retry_after.value_or(milliseconds(0)));
  later_.push_back(std::move(job));
  std::ranges::push_heap(later_, &is_later);
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
  done_.push_back({std::move(job), std::move(reply)});
}

std::size_t Endpoint::State::deliver() {
  std::size_t ran = 0;
  while (true) {
    std::unique_lock lock(mutex_);
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
  const NoSigpipe guard;
  detail::require(call.method == "GET" || call.method == "POST" || call.method == "DELETE",
                  "a call's method is GET, POST or DELETE, not {}", call.method);
  detail::require(call.path.starts_with('/'), "a call's path begins with /, not as {}", call.path);
  simdjson::dom::parser parser;
  for (int attempt = 1;; ++attempt) {
    Transfer transfer;
    server_.prepare(transfer, call.path, call.file.empty() && call.method == "POST");
    CURL* const easy = transfer.easy.get();
    Form form;
    if (!call.file.empty()) {
      form.reset(curl_mime_init(easy));
      for (const auto& [name, value] : call.fields) {
        curl_mimepart* const field = curl_mime_addpart(form.get());
        curl_mime_name(field, name.c_str());
        curl_mime_data(field, value.data(), value.size());
      }
      curl_mimepart* const file = curl_mime_addpart(form.get());
      curl_mime_name(file, "file");
      detail::require(curl_mime_filedata(file, call.file.c_str()) == CURLE_OK, "{} cannot be read",
                      call.file.string());
      curl_easy_setopt(easy, CURLOPT_MIMEPOST, form.get());
    } else if (call.method == "POST") {
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(call.body.size()));
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body.data());
    } else {
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
    }
    const CURLcode result = curl_easy_perform(easy);
    Verdict verdict = server_.conclude(transfer, result, false, parser);
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &microseconds);

    const bool again = verdict.next == Next::retry || verdict.next == Next::slower;
    const bool repeatable = call.method == "GET" || verdict.next == Next::slower;
    if (!again || !repeatable || attempt >= options_.max_attempts ||
        verdict.retry_after > options_.max_retry_after)
      return {.kind = verdict.kind,
              .http_status = transfer.reply.status,
              .body = std::move(transfer.reply.body),
              .request_id = server_.header(transfer, "x-request-id"),
              .seconds = static_cast<double>(microseconds) * 1e-6,
              .attempts = attempt,
              .detail = std::move(verdict.detail)};
    std::unique_lock lock(mutex_);
    const auto wait =
        std::max(traffic_.backoff(attempt), verdict.retry_after.value_or(milliseconds(0)));
    lock.unlock();
    std::this_thread::sleep_for(wait);
  }
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
  std::vector<State*> states;
  states.reserve(endpoints.size());
  for (const Endpoint* const endpoint : endpoints) states.push_back(endpoint->state_.get());
  // Each once, and all threads in the same order.
  std::ranges::sort(states, std::less<>());
  states.erase(std::ranges::unique(states).begin(), states.end());
  return State::round(states, timeout);
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
