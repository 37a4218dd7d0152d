// SPDX-License-Identifier: Apache-2.0
#include "traffic.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace sp2dpo::annotate {

Traffic::Traffic(const EndpointOptions& options)
    : options_(options),
      requests_(options.requests_per_minute),
      tokens_(options.tokens_per_minute),
      random_(options.seed != 0 ? options.seed : std::random_device{}()),
      width_(options.max_concurrent) {}

bool Traffic::possible(double tokens) const {
  return options_.tokens_per_minute == 0 || tokens <= options_.tokens_per_minute;
}

Traffic::Time Traffic::ready(double tokens, Time now) const {
  if (under_way_ >= (open_ ? 1 : static_cast<int>(width_))) return Time::max();
  return std::max(
      {requests_.ready(1, now), tokens_.ready(tokens, now), gate_, open_ ? probe_ : now});
}

Traffic::Permit Traffic::send(double tokens, Time now) {
  ++under_way_;
  return {requests_.take(1, now), tokens_.take(tokens, now)};
}

void Traffic::alive() {
  --under_way_;
  failures_ = 0;
  openings_ = 0;
  open_ = false;
}

void Traffic::answered(const Permit& permit, std::optional<double> tokens) {
  alive();
  throttles_ = 0;
  rejections_ = 0;
  ever_answered_ = true;
  width_ = std::min<double>(options_.max_concurrent, width_ + 1 / width_);
  if (tokens) tokens_.settle(permit.tokens, *tokens);
}

void Traffic::throttled(std::optional<Wait> retry_after, Time now) {
  alive();
  rejections_ = 0;
  // Of the requests in flight when the gate closed, only the first counts.
  if (now >= gate_) {
    width_ = std::max(1.0, std::floor(width_ / 2));
    gate_ = now + backoff(++throttles_);
  }
  if (retry_after) gate_ = std::max(gate_, now + *retry_after);
}

void Traffic::failed(Time now) {
  --under_way_;
  if (++failures_ == 1) first_failure_ = now;
  if (failures_ < options_.max_failures) return;
  // Requests in flight with the failed ones carry no new information.
  if (open_ && now < probe_) return;
  open_ = true;
  probe_ = now + std::min<Wait>(options_.max_backoff,
                                options_.backoff * (1LL << std::min(++openings_, 30)));
  if (now - first_failure_ >= options_.max_outage) out_of_order_ = true;
}

void Traffic::rejected(bool about_question, int status, std::string_view reason) {
  alive();
  if (about_question) return;
  // Request numbers and sizes differ in every message.
  std::string alike(reason);
  std::erase_if(alike, [](char c) { return c >= '0' && c <= '9'; });
  if (alike != rejection_) rejections_ = 0;
  rejection_ = std::move(alike);
  // After an answer, only a key, a model or an address can be refused for all questions.
  static constexpr std::array refusing = {401, 403, 404, 405};
  const bool concerns_all =
      !ever_answered_ || std::ranges::find(refusing, status) != refusing.end();
  if (++rejections_ >= options_.max_failures && concerns_all) out_of_order_ = true;
}

Traffic::Wait Traffic::backoff(int attempts) {
  const auto longest = std::min<Wait>(options_.max_backoff,
                                      options_.backoff * (1LL << std::clamp(attempts - 1, 0, 30)));
  return Wait(std::uniform_int_distribution<Wait::rep>(0, longest.count())(random_));
}

}  // namespace sp2dpo::annotate
