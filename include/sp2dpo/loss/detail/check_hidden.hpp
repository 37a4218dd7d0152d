// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>
#include <sp2dpo/loss/sequence_loss.hpp>

/// Argument checks of the losses of sequences that the kernel rooms share; see check_rows.hpp.
namespace sp2dpo::detail {

/// The element type in which gradients of head and bias are summed.
[[nodiscard]] constexpr DType sum_type(DType dtype) {
  return dtype == DType::float64 ? dtype : DType::float32;
}

/// Checks a matrix's stride; with one row, any stride will do.
inline void check_stride(const char* call, const char* name, const ConstMatrix& m) {
  require(m.rows <= 1 || m.stride >= m.columns,
          "{}: {} has a stride of {} elements, fewer than its {} columns", call, name, m.stride,
          m.columns);
}

/// The matrix that a gradient is expected to be. A null gradient is not computed.
struct ExpectedGradient {
  std::int64_t rows, columns;
  DType dtype;
  bool dense;  ///< whether the stride must equal the columns
};

inline void check_gradient(const char* call, const char* name, const Matrix& m,
                           const ExpectedGradient& expected) {
  const bool stride = expected.dense ? m.stride == m.columns : m.rows <= 1 || m.stride >= m.columns;
  require(m.data == nullptr || (m.rows == expected.rows && m.columns == expected.columns &&
                                m.dtype == expected.dtype && stride),
          "{}: {} is {} [{}, {}] with a stride of {} elements; expected {} [{}, {}]{}", call, name,
          name_of(m.dtype), m.rows, m.columns, m.stride, name_of(expected.dtype), expected.rows,
          expected.columns, expected.dense ? ", dense" : "");
}

/// What a device can write gradients to.
struct GradientForms {
  bool dense;                ///< only matrices whose stride equals their columns
  bool wide_hidden = false;  ///< d_hidden in the type of sums, too
};

/// Checks the matrices of a loss from hidden states, everything but the labels' values.
/// `one_chunk`: one chunk holds all rows, so that d_head may be of the head's own type.
inline void check_hidden(const char* call, const HiddenRows& rows, const PairRows& pairs,
                         bool one_chunk, const GradientForms& forms) {
  const DType dtype = rows.hidden.dtype;
  require(rows.hidden.data != nullptr, "{}: hidden.data is null", call);
  require(rows.head.data != nullptr, "{}: head.data is null", call);
  require(rows.labels.label != nullptr, "{}: labels.label is null", call);
  require(rows.head.dtype == dtype && rows.head.columns == rows.hidden.columns,
          "{}: head is {} [{}, {}] and hidden is {} [{}, {}]; expected the same element type and "
          "width",
          call, name_of(rows.head.dtype), rows.head.rows, rows.head.columns, name_of(dtype),
          rows.hidden.rows, rows.hidden.columns);
  require(rows.head.rows > 0 && rows.head.columns > 0, "{}: head is [{}, {}]", call, rows.head.rows,
          rows.head.columns);
  check_stride(call, "hidden", rows.hidden);
  check_stride(call, "head", rows.head);
  if (const auto last = std::ranges::max_element(pairs.rows()); last != pairs.rows().end())
    require(*last < rows.hidden.rows, "{}: the pairs contain row {}, but hidden has {} rows", call,
            *last, rows.hidden.rows);
  const bool in_own_type = one_chunk && !rows.add && rows.d_head.dtype == dtype;
  const DType sums = sum_type(dtype);
  const bool wide = forms.wide_hidden && rows.d_hidden.dtype == sums;
  check_gradient(call, "d_hidden", rows.d_hidden,
                 {rows.hidden.rows, rows.hidden.columns, wide ? sums : dtype, forms.dense});
  check_gradient(call, "d_head", rows.d_head,
                 {rows.head.rows, rows.head.columns, in_own_type ? dtype : sums, forms.dense});
  check_gradient(call, "d_bias", rows.d_bias, {1, rows.head.rows, sums, forms.dense});
}

inline void check_chunk(const char* call, std::int64_t chunk_rows) {
  require(chunk_rows > 0, "{}: chunk_rows is {}; expected at least 1", call, chunk_rows);
}

/// Checks what a loss reads by pair. The policy's log-probabilities come from the rows, and so do
/// the reference's `with_reference`.
inline void check_inputs(const char* call, const SequenceLoss& loss, bool with_reference = false) {
  if (loss.rows.pairs() == 0) return;
  PairInputs inputs = loss.inputs;
  inputs.policy_chosen = inputs.policy_rejected = 0.0;
  if (with_reference) inputs.reference_chosen = inputs.reference_rejected = 0.0;
  require_inputs(call, "loss.inputs.", inputs);
}

/// Checks that the derivatives by the log-probabilities go where the gradient pass reads them.
inline void check_slopes(const char* call, const SequenceLoss& loss, double* d_chosen,
                         double* d_rejected) {
  require(loss.outputs.d_policy_chosen == PairSink(d_chosen, DType::float64),
          "{}: loss.outputs.d_policy_chosen does not write a dense float64 out.d_chosen", call);
  require(loss.outputs.d_policy_rejected == PairSink(d_rejected, DType::float64),
          "{}: loss.outputs.d_policy_rejected does not write a dense float64 out.d_rejected", call);
}

}  // namespace sp2dpo::detail
