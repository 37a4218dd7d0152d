// SPDX-License-Identifier: Apache-2.0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "matrix.cpp"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <sp2dpo/cpu/matrix.hpp>
#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/detail/check_rows.hpp>

// Comes last: it needs the target that foreach_target.h sets.
#include "lanes-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace sp2dpo::cpu::HWY_NAMESPACE {
namespace {

constexpr std::size_t block_size = 2048;

template <class Element>
double dot_block(const typename Element::Memory* x, const typename Element::Memory* y,
                 std::size_t count) {
  using Lane = typename Element::Lane;
  const Tag<Lane> d;
  const std::size_t n = step<Element>();
  Two<Lane> even{hn::Zero(d), hn::Zero(d)}, odd = even;
  const auto add = [](Two<Lane>& sum, const Two<Lane>& u, const Two<Lane>& v) HWY_ATTR {
    sum = {hn::MulAdd(u.a, v.a, sum.a), hn::MulAdd(u.b, v.b, sum.b)};
  };
  std::size_t i = 0;
  for (; i + 2 * n <= count; i += 2 * n) {
    add(even, Element::load(x + i), Element::load(y + i));
    add(odd, Element::load(x + i + n), Element::load(y + i + n));
  }
  for (; i < count; i += n) {
    const std::size_t left = std::min(n, count - i);
    add(even, Element::load(Tail<Element>(x + i, left, 0).data()),
        Element::load(Tail<Element>(y + i, left, 0).data()));
  }
  return static_cast<double>(
      hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(even.a, even.b), hn::Add(odd.a, odd.b)))));
}

double dot(DType dtype, const void* x, const void* y, std::int64_t count) {
  double sum = 0;
  visit(dtype, [&](auto element) HWY_ATTR {
    using Element = decltype(element);
    const auto* u = static_cast<const typename Element::Memory*>(x);
    const auto* v = static_cast<const typename Element::Memory*>(y);
    const auto n = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < n; i += block_size)
      sum += dot_block<Element>(u + i, v + i, std::min(block_size, n - i));
  });
  return sum;
}

template <class Element>
void add_scaled(typename Element::Lane* sum, const typename Element::Memory* addend,
                std::size_t count, double scale) {
  using Lane = typename Element::Lane;
  const Tag<Lane> d;
  const auto factor = hn::Set(d, static_cast<Lane>(scale));
  const std::size_t n = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + n <= count; i += n)
    hn::StoreU(hn::MulAdd(Element::load_line(addend + i), factor, hn::LoadU(d, sum + i)), d,
               sum + i);
  if (i < count) {
    Tail<Element> from(addend + i, count - i, 0);
    Tail<Native<Lane>> to(sum + i, count - i, 0);
    hn::StoreU(hn::MulAdd(Element::load_line(from.data()), factor, hn::LoadU(d, to.data())), d,
               to.data());
    to.copy_to(sum + i);
  }
}

void add_row(DType dtype, void* sum, const void* addend, std::int64_t count, double scale) {
  visit(dtype, [&](auto element) HWY_ATTR {
    using Element = decltype(element);
    add_scaled<Element>(static_cast<typename Element::Lane*>(sum),
                        static_cast<const typename Element::Memory*>(addend),
                        static_cast<std::size_t>(count), scale);
  });
}

}  // namespace
}  // namespace sp2dpo::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sp2dpo::cpu {
namespace {

HWY_EXPORT(dot);
HWY_EXPORT(add_row);

template <class Void>
auto* row_of(const BasicMatrix<Void>& matrix, std::int64_t row) {
  using Byte = std::conditional_t<std::is_const_v<Void>, const std::byte, std::byte>;
  return static_cast<Byte*>(matrix.data) +
         row * matrix.stride * static_cast<std::int64_t>(size_of(matrix.dtype));
}

std::int64_t grain_of(std::int64_t columns) {
  return std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, columns));
}

void check_same(const char* call, const char* names, const ConstMatrix& a, DType dtype,
                std::int64_t columns) {
  detail::require(a.columns == columns && a.dtype == dtype,
                  "{}: {} are {} with {} columns and {} with {} columns; expected the same", call,
                  names, name_of(a.dtype), a.columns, name_of(dtype), columns);
}

void check_list(const char* call, const std::int64_t* rows, std::int64_t count, std::int64_t end) {
  for (std::int64_t i = 0; i < count; ++i)
    detail::require(rows[i] >= 0 && rows[i] < end, "{}: rows[{}] is {}; expected a row in [0, {})",
                    call, i, rows[i], end);
}

void copy_row(const ConstMatrix& in, std::int64_t from, const Matrix& out, std::int64_t to) {
  std::memcpy(row_of(out, to), row_of(in, from),
              static_cast<std::size_t>(in.columns) * size_of(in.dtype));
}

}  // namespace

void label_logits(const ConstMatrix& hidden, const ConstMatrix& head, const void* bias,
                  const RowLabels& labels, const RowSelection& selection, double* out,
                  const Executor& executor) {
  constexpr const char* call = "cpu::label_logits";
  check_same(call, "hidden and head", hidden, head.dtype, head.columns);
  if (detail::is_empty(call, selection)) return;
  // The logits [hidden.rows, head.rows] between the two set the rules for rows and labels.
  const LogitRows logits{
      .data = hidden.data, .dtype = hidden.dtype, .rows = hidden.rows, .vocab = head.rows};
  detail::check_rows(call, logits, labels, selection);
  detail::check_labels(call, labels, selection, hidden.rows, head.rows);
  executor(selection.count, grain_of(head.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = selection[i];
      const std::int64_t label = labels.label[row];
      if (label == labels.ignored) continue;
      const double product = HWY_DYNAMIC_DISPATCH(dot)(head.dtype, row_of(hidden, row),
                                                       row_of(head, label), head.columns);
      out[row] = product + (bias == nullptr ? 0.0 : detail::load(bias, head.dtype, label));
    }
  });
}

void accumulate(const Matrix& sum, const ConstMatrix& addend, double scale,
                const Executor& executor) {
  const DType wide = addend.dtype == DType::float64 ? DType::float64 : DType::float32;
  detail::require(sum.rows == addend.rows && sum.columns == addend.columns && sum.dtype == wide,
                  "cpu::accumulate: sum is {} [{}, {}]; expected {} [{}, {}] for an addend of {}",
                  name_of(sum.dtype), sum.rows, sum.columns, name_of(wide), addend.rows,
                  addend.columns, name_of(addend.dtype));
  executor(sum.rows, grain_of(sum.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) HWY_DYNAMIC_DISPATCH(add_row)
    (addend.dtype, row_of(sum, row), row_of(addend, row), sum.columns, scale);
  });
}

void gather_rows(const ConstMatrix& in, const std::int64_t* rows, const Matrix& out,
                 const Executor& executor) {
  constexpr const char* call = "cpu::gather_rows";
  check_same(call, "in and out", in, out.dtype, out.columns);
  check_list(call, rows, out.rows, in.rows);
  executor(out.rows, grain_of(in.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) copy_row(in, rows[i], out, i);
  });
}

void scatter_rows(const ConstMatrix& in, const std::int64_t* rows, const Matrix& out,
                  const Executor& executor) {
  constexpr const char* call = "cpu::scatter_rows";
  check_same(call, "in and out", in, out.dtype, out.columns);
  check_list(call, rows, in.rows, out.rows);
  executor(in.rows, grain_of(in.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) copy_row(in, i, out, rows[i]);
  });
}

}  // namespace sp2dpo::cpu
#endif
