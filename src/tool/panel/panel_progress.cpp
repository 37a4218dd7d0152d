// SPDX-License-Identifier: Apache-2.0
#include "panel/panel_progress.hpp"

#include <cstdint>
#include <cstdio>
#include <string>

#include "panel/panel.hpp"
#include <fmt/format.h>
#include <unistd.h>

namespace sp2dpo::tool {

namespace {

using namespace std::chrono_literals;

std::string time_in_words(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min", whole / 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

PanelProgress::PanelProgress(std::optional<double> max_cost)
    : max_cost_(max_cost),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(Clock::now() + (terminal_ ? 300ms : 10'000ms)) {}

PanelProgress::~PanelProgress() {
  if (terminal_ && shown_) std::fputs("\r\x1b[K", stderr);
}

void PanelProgress::show(const annotate::PanelProgress& now) {
  if (Interrupt::asked() && !told_) {
    told_ = true;
    fmt::print(stderr,
               "{}stopping: waiting for the requests in flight; interrupt again to quit at once\n",
               terminal_ && shown_ ? "\r\x1b[K" : "");
  }
  const auto time = Clock::now();
  if (time < next_) return;
  next_ = time + (terminal_ ? 200ms : 10'000ms);
  shown_ = true;
  const double seconds = std::chrono::duration<double>(time - start_).count();
  const double rate = static_cast<double>(now.answered + now.failed) / seconds;
  const auto left = static_cast<double>(now.questions - now.done());
  auto line = fmt::format(
      "{} of {}, {} shared, {} from the store, {} failed, {:.1f}/s, "
      "{} tokens in, {} out, cost {:.2f}",
      now.done(), now.questions, now.shared, now.stored, now.failed, rate, now.prompt_tokens,
      now.completion_tokens, now.cost);
  if (now.answered > 0) {
    // An upper bound: some of the remaining questions are shared or stored, which costs nothing.
    line += fmt::format(" of at most {:.2f}",
                        now.cost * (1 + left / static_cast<double>(now.answered)));
    line += fmt::format(", {} left", time_in_words(left / rate));
  }
  if (max_cost_) line += fmt::format(", limit {:.2f}", *max_cost_);
  if (terminal_) {
    fmt::print(stderr, "\r{}\x1b[K", line);
    std::fflush(stderr);
  } else {
    fmt::print(stderr, "{}\n", line);
  }
}

}  // namespace sp2dpo::tool
