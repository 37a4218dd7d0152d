// SPDX-License-Identifier: Apache-2.0
#include "panel/panel_progress.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include "panel/panel.hpp"
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sp2dpo::tool {

namespace {

using namespace std::chrono_literals;

constexpr auto log_period = 60s;
constexpr auto terminal_period = 200ms;

std::string time_in_words(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min", whole / 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::size_t terminal_width() {
  winsize size{};
  constexpr std::size_t usual = 80;
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : usual;
}

double share_of(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Time, cost and quality, in the order of their weight.
std::string figures(const annotate::PanelProgress& now, std::optional<double> max_cost,
                    double seconds) {
  const double rate = seconds > 0 ? static_cast<double>(now.answered + now.failed) / seconds : 0.0;
  const auto left = static_cast<double>(now.questions - now.done());
  std::string line = fmt::format("{:.1f}/s  cost {:.2f}", rate, now.cost);
  if (max_cost) line += fmt::format("/{:.2f}", *max_cost);
  if (now.answered > 0) {
    // An upper bound: some of the remaining questions are shared or stored, which costs nothing.
    if (!max_cost)
      line += fmt::format(" of at most {:.2f}",
                          now.cost * (1 + left / static_cast<double>(now.answered)));
    line += fmt::format("  {} left", time_in_words(left / rate));
  }
  if (now.unusable > 0)
    line += fmt::format("  unreadable {:.0f} %", 100 * share_of(now.unusable, now.replies));
  if (now.failed > 0) line += fmt::format("  failed {}", now.failed);
  if (!now.trouble.empty()) line += "  " + now.trouble;
  return line;
}

}  // namespace

std::string cut_to_width(std::string_view text, std::size_t width) {
  std::string cut;
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t size = std::min<std::size_t>(byte < 0x80   ? 1
                                                   : byte < 0xe0 ? 2
                                                   : byte < 0xf0 ? 3
                                                                 : 4,
                                                   text.size() - i);
    const bool is_control =
        byte < 0x20 || byte == 0x7f ||
        (byte == 0xc2 && size == 2 && static_cast<unsigned char>(text[i + 1]) < 0xa0);
    const std::size_t wide = size > 2 ? 2 : 1;  // at most: few scripts beyond U+0800 are narrow
    if (columns + wide > width) break;
    columns += wide;
    if (is_control)
      cut += '?';
    else
      cut.append(text.substr(i, size));
    i += size;
  }
  return cut;
}

std::string progress_line(const annotate::PanelProgress& now, std::optional<double> max_cost,
                          double seconds, std::size_t width) {
  const double share = share_of(now.done(), now.questions);
  std::string line;
  constexpr std::size_t bar = 10;
  constexpr std::size_t width_for_bar = 60;
  if (width >= width_for_bar)
    line = fmt::format("[{:<{}}] ",
                       std::string(std::min(bar, static_cast<std::size_t>(share * bar)), '#'), bar);
  line += fmt::format("{:.0f} %  {}/{}  {}", 100 * share, now.done(), now.questions,
                      figures(now, max_cost, seconds));
  return cut_to_width(line, width > 0 ? width - 1 : 0);  // the last column may wrap
}

PanelProgress::PanelProgress(std::optional<double> max_cost)
    : max_cost_(max_cost),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(Clock::now() + (terminal_ ? Clock::duration(300ms) : Clock::duration(log_period))) {}

PanelProgress::~PanelProgress() {
  if (terminal_ && shown_) std::fputs("\r\x1b[K", stderr);
}

void PanelProgress::say(std::string_view line) {
  constexpr std::size_t longest = 500;
  fmt::print(stderr, "{}{}\n", terminal_ && shown_ ? "\r\x1b[K" : "", cut_to_width(line, longest));
}

void PanelProgress::show(const annotate::PanelProgress& now) {
  Interrupt::set_under_way(now.in_flight);
  if (Interrupt::asked() && !told_stopping_) {
    told_stopping_ = true;
    say("stopping: nothing more is sent; waiting for the requests in flight (interrupt again, "
        "after "
        "a second, to lose them)");
  }
  if (!now.trouble.empty() && told_.insert(now.trouble.substr(0, now.trouble.find(": "))).second)
    say(fmt::format("{}; trying again", now.trouble));
  constexpr std::int64_t enough = 50;
  constexpr double many = 0.05;
  if (!told_unusable_ && now.replies >= enough && share_of(now.unusable, now.replies) > many) {
    told_unusable_ = true;
    say(
        fmt::format("Warning: {} of {} replies have no readable verdict; the table at the end says "
                    "why",
                    now.unusable, now.replies));
  }
  const auto time = Clock::now();
  if (time < next_) return;
  next_ = time + (terminal_ ? Clock::duration(terminal_period) : Clock::duration(log_period));
  shown_ = true;
  const double seconds = std::chrono::duration<double>(time - start_).count();
  if (terminal_) {
    fmt::print(stderr, "\r{}\x1b[K", progress_line(now, max_cost_, seconds, terminal_width()));
    std::fflush(stderr);
    return;
  }
  say(fmt::format("{} of {} questions ({} stored, {} shared): {}; {} tokens in, {} out", now.done(),
                  now.questions, now.stored, now.shared, figures(now, max_cost_, seconds),
                  now.prompt_tokens, now.completion_tokens));
}

}  // namespace sp2dpo::tool
