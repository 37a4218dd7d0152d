// SPDX-License-Identifier: Apache-2.0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "rows.cpp"
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <sp2dpo/cpu/rows.hpp>
#include <sp2dpo/loss/detail/check_rows.hpp>
#include <sp2dpo/loss/detail/logit_range.hpp>
#include <sp2dpo/loss/objective.hpp>

// Comes last: it needs the target that foreach_target.h sets.
#include "lanes-inl.hpp"

#ifndef SP2DPO_CPU_ROW_CALL
#define SP2DPO_CPU_ROW_CALL
namespace sp2dpo::cpu {
namespace {

// The arguments of any of the calls.
struct RowCall {
  const LogitRows& logits;
  const RowLabels& labels;
  const RowSelection& selection;
  RowStatistics statistics{};
  const double* lse_others = nullptr;  // null: computed first
  const double* coefficient = nullptr;
  GradientRows gradient{};  // no data: not computed
  MaskedRows masked{};
};

}  // namespace
}  // namespace sp2dpo::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sp2dpo::cpu::HWY_NAMESPACE {
namespace {

// Elements whose terms are summed in lanes before double takes over: at most 64 per lane of four
// vectors, and few enough to stay in the first-level cache between the passes.
constexpr std::size_t block_size = std::min<std::size_t>(2048, 4 * 64 * hn::MaxLanes(Tag<float>()));

// Σ exp(x) as 2^k · sum. With an integer k, moving to a larger one is exact.
template <class Lane>
struct ExpSum {
  Lane k = Lane(detail::lowest_exponent);
  double sum = 0;
  double plain = 0;  // Σ x, if requested

  // Dividing by the same rounded log2(e) that x was multiplied by cancels its rounding.
  [[nodiscard]] double log() const {
    return static_cast<double>(k) / static_cast<double>(Exp2<Lane>::log2e) + std::log(sum);
  }
};

// Prefetches the elements one block after a step's own, which may be past the end of memory.
template <class Element>
HWY_INLINE void prefetch_next_block(const typename Element::Memory* at) {
  constexpr std::size_t line = 64;
  const auto next = reinterpret_cast<std::uintptr_t>(at) + block_size * sizeof(*at);
  for (std::size_t i = 0; i < step<Element>() * sizeof(*at); i += line)
    hwy::Prefetch(reinterpret_cast<const char*>(next + i));
}

// Returns k for values up to `max`; not below lowest_exponent, so that masked logits stay below it.
template <class Lane>
Lane exponent_above(double max) {
  const double product = max * static_cast<double>(Exp2<Lane>::log2e);
  // Where a lane holds no more than integers, the product's own rounding is the nearest k, also to
  // the product that a target without fused multiply-add rounds.
  constexpr double integers =
      static_cast<double>(std::uint64_t{1} << std::numeric_limits<Lane>::digits);
  const double k = std::fabs(product) < integers ? std::ceil(product) : product;
  return static_cast<Lane>(std::clamp(k, static_cast<double>(detail::lowest_exponent),
                                      static_cast<double>(std::numeric_limits<Lane>::max())));
}

// Calls body(even, from) and body(odd, from) in turn, where `from` is the address of the next two
// vectors. Two accumulators hide the latency of adding to one.
template <class Element, class Body>
HWY_INLINE void fold(const typename Element::Memory* from, std::size_t count,
                     typename Element::Memory filler, Two<typename Element::Lane>& even,
                     Two<typename Element::Lane>& odd, const Body& body) {
  const std::size_t n = step<Element>();
  std::size_t i = 0;
  for (; i + 2 * n <= count; i += 2 * n) {
    body(even, from + i);
    body(odd, from + i + n);
  }
  if (i + n <= count) {
    body(even, from + i);
    i += n;
  }
  if (i < count) body(odd, Tail<Element>(from + i, count - i, filler).data());
}

template <class Element>
void add_block(const typename Element::Memory* from, std::size_t count, bool plain,
               ExpSum<typename Element::Lane>& total) {
  using Memory = typename Element::Memory;
  using Lane = typename Element::Lane;
  using Pair = Two<Lane>;
  const Tag<Lane> d;
  const auto sum_of = [&](const Pair& x, const Pair& y) HWY_ATTR {
    return static_cast<double>(
        hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(x.a, x.b), hn::Add(y.a, y.b)))));
  };

  const auto lowest = hn::Set(d, -std::numeric_limits<Lane>::infinity());
  Pair even{lowest, lowest}, odd = even;
  fold<Element>(from, count, Element::minus_infinity, even, odd,
                [](Pair& max, const Memory* at) HWY_ATTR {
                  prefetch_next_block<Element>(at);
                  const Pair x = Element::load(at);
                  max = {hn::Max(max.a, x.a), hn::Max(max.b, x.b)};
                });
  const Lane max =
      hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(even.a, even.b), hn::Max(odd.a, odd.b))));
  if (const Lane k = exponent_above<Lane>(static_cast<double>(max)); k > total.k) {
    total.sum *= std::exp2(static_cast<double>(total.k) - static_cast<double>(k));
    total.k = k;
  }
  if (static_cast<double>(max) > detail::largest_logit)
    total.sum = std::numeric_limits<double>::quiet_NaN();

  const auto minus_k = hn::Set(d, -total.k);
  const bool large = is_large(total.k);
  const Pair zero{hn::Zero(d), hn::Zero(d)};
  even = odd = zero;
  fold<Element>(from, count, Element::minus_infinity, even, odd,
                [minus_k, large](Pair& sum, const Memory* at) HWY_ATTR {
                  const Pair x = Element::load(at);
                  sum = {hn::Add(sum.a, exp2_from<Lane>(x.a, minus_k, large)),
                         hn::Add(sum.b, exp2_from<Lane>(x.b, minus_k, large))};
                });
  total.sum += sum_of(even, odd);

  if (!plain) return;
  even = odd = zero;
  fold<Element>(from, count, 0, even, odd, [](Pair& sum, const Memory* at) HWY_ATTR {
    const Pair x = Element::load(at);
    sum = {hn::Add(sum.a, x.a), hn::Add(sum.b, x.b)};
  });
  total.plain += sum_of(even, odd);
}

template <class Element>
void add(const typename Element::Memory* from, std::int64_t count, bool plain,
         ExpSum<typename Element::Lane>& total) {
  auto left = static_cast<std::size_t>(count);
  for (; left > block_size; from += block_size, left -= block_size)
    add_block<Element>(from, block_size, plain, total);
  if (left > 0) add_block<Element>(from, left, plain, total);
}

// Sets out[j] = scale · 2^(in[j] · log2e − k); `in` and `out` may be the same.
template <class Element>
void scaled_exps(const typename Element::Memory* in, std::size_t count, typename Element::Lane k,
                 typename Element::Lane scale, typename Element::Memory* out) {
  using Lane = typename Element::Lane;
  const Tag<Lane> d;
  const std::size_t n = step<Element>();
  const auto minus_k = hn::Set(d, -k);
  const bool large = is_large(k);
  const auto factor = hn::Set(d, scale);
  const auto convert = [=](const typename Element::Memory* from, typename Element::Memory* to)
                           HWY_ATTR {
                             const auto x = Element::load(from);
                             Element::store({hn::Mul(exp2_from<Lane>(x.a, minus_k, large), factor),
                                             hn::Mul(exp2_from<Lane>(x.b, minus_k, large), factor)},
                                            to);
                           };
  std::size_t i = 0;
  for (; i + n <= count; i += n) convert(in + i, out + i);
  if (i < count) {
    Tail<Element> tail(in + i, count - i, 0);
    convert(tail.data(), tail.data());
    tail.copy_to(out + i);
  }
}

double label_logit(const RowCall& call, std::int64_t row, const void* in) {
  return call.labels.logit != nullptr ? call.labels.logit[row]
                                      : detail::load(in, call.logits.dtype, call.labels.label[row]);
}

// Writes the row's requested statistics, and returns its lse_others.
template <class Element>
double find_statistics(const RowCall& call, std::int64_t row, bool masked,
                       const typename Element::Memory* in) {
  double log_prob = 0, lse_others = 0, plain = 0;
  if (!masked) {
    const std::int64_t label = call.labels.label[row];
    const bool with_sum = call.statistics.logit_sum != nullptr;
    ExpSum<typename Element::Lane> others;
    add<Element>(in, label, with_sum, others);
    add<Element>(in + label + 1, call.logits.vocab - label - 1, with_sum, others);
    lse_others = others.log();
    log_prob = -detail::softplus(detail::label_distance(lse_others, label_logit(call, row, in)));
    plain = others.plain + detail::load(in, call.logits.dtype, label);
  }
  if (call.statistics.log_prob != nullptr) call.statistics.log_prob[row] = log_prob;
  if (call.statistics.lse_others != nullptr) call.statistics.lse_others[row] = lse_others;
  if (call.statistics.logit_sum != nullptr) call.statistics.logit_sum[row] = plain;
  return lse_others;
}

template <class Element>
void gradient_row(const RowCall& call, std::int64_t row, double lse_others,
                  const typename Element::Memory* in, typename Element::Memory* out) {
  using Lane = typename Element::Lane;
  const double coefficient = call.coefficient[row];
  const double z = label_logit(call, row, in);
  const double distance = detail::label_distance(lse_others, z);
  const double lse = std::max(lse_others, z) + std::log1p(std::exp(-std::fabs(distance)));
  const Lane k = exponent_above<Lane>(lse);
  auto scale =
      static_cast<Lane>(-coefficient * std::exp2(static_cast<double>(k) -
                                                 lse * static_cast<double>(Exp2<Lane>::log2e)));
  if (std::isnan(scale)) scale = std::numeric_limits<Lane>::quiet_NaN();  // without payload
  scaled_exps<Element>(in, static_cast<std::size_t>(call.logits.vocab), k, scale, out);
  // Computed in double and rounded once: p − 1 in the element type would cancel at p near 1.
  detail::store(out, call.logits.dtype, call.labels.label[row],
                coefficient * detail::sigmoid(distance));
}

template <class Element>
void do_row(const RowCall& call, std::int64_t row) {
  using Memory = typename Element::Memory;
  const LogitRows& logits = call.logits;
  const bool masked = call.labels.label[row] == call.labels.ignored;
  const auto* in = static_cast<const Memory*>(logits.data) + logits.layout.offset(row);
  const double lse_others = call.lse_others != nullptr
                                ? call.lse_others[row]
                                : find_statistics<Element>(call, row, masked, in);

  if (call.gradient.data == nullptr || (masked && call.masked == MaskedRows::leave)) return;
  auto* out = static_cast<Memory*>(call.gradient.data) + call.gradient.layout.offset(row);
  std::int64_t done = 0;
  if (!masked && call.coefficient[row] != 0) {
    gradient_row<Element>(call, row, lse_others, in, out);
    done = logits.vocab;
  }
  const std::int64_t columns = std::max(logits.vocab, logits.padded_vocab);
  std::memset(out + done, 0, static_cast<std::size_t>(columns - done) * sizeof(Memory));
}

// Goes from the last row to the first, which starts with the rows that a pass just before this one
// left in the cache.
void do_rows(const RowCall& call, std::int64_t begin, std::int64_t end) {
  visit(call.logits.dtype, [&](auto element) HWY_ATTR {
    for (std::int64_t i = end; i-- > begin;) do_row<decltype(element)>(call, call.selection[i]);
  });
}

}  // namespace
}  // namespace sp2dpo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sp2dpo::cpu {
namespace {

HWY_EXPORT(do_rows);

void run(const RowCall& call, const Executor& executor) {
  // Below some tens of thousands of elements, another thread costs more than it saves.
  const std::int64_t grain = std::max<std::int64_t>(1, 32768 / call.logits.vocab);
  executor(call.selection.count, grain, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(do_rows)(call, begin, end);
  });
}

/// Checks the call; returns false where it has nothing to do.
bool checked(const char* call, const LogitRows& logits, const RowLabels& labels,
             const RowSelection& selection) {
  if (detail::is_empty(call, selection)) return false;
  detail::check_rows(call, logits, labels, selection);
  detail::check_labels(call, labels, selection, logits.rows, logits.vocab);
  return true;
}

}  // namespace

void check_rows(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection) {
  (void)checked("cpu::check_rows", logits, labels, selection);
}

void row_log_probs(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                   const RowStatistics& out, const Executor& executor) {
  if (!checked("cpu::row_log_probs", logits, labels, selection)) return;
  run({.logits = logits, .labels = labels, .selection = selection, .statistics = out}, executor);
}

void row_gradient(const LogitRows& logits, const RowLabels& labels, const RowSelection& selection,
                  const double* lse_others, const double* coefficient, const GradientRows& out,
                  MaskedRows masked, const Executor& executor) {
  constexpr const char* call = "cpu::row_gradient";
  if (!checked(call, logits, labels, selection)) return;
  detail::check_gradient(call, logits, coefficient, out);
  detail::require(lse_others != nullptr, "{}: lse_others is null; row_log_probs writes it", call);
  run({.logits = logits,
       .labels = labels,
       .selection = selection,
       .lse_others = lse_others,
       .coefficient = coefficient,
       .gradient = out,
       .masked = masked},
      executor);
}

void row_log_probs_and_gradient(const LogitRows& logits, const RowLabels& labels,
                                const RowSelection& selection, const RowStatistics& out,
                                const double* coefficient, const GradientRows& gradient,
                                MaskedRows masked, const Executor& executor) {
  constexpr const char* call = "cpu::row_log_probs_and_gradient";
  if (!checked(call, logits, labels, selection)) return;
  detail::check_gradient(call, logits, coefficient, gradient);
  run({.logits = logits,
       .labels = labels,
       .selection = selection,
       .statistics = out,
       .coefficient = coefficient,
       .gradient = gradient,
       .masked = masked},
      executor);
}

}  // namespace sp2dpo::cpu
#endif
