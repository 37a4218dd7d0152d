// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "pair_variables.hpp"
#include "sequences.hpp"
#include <ATen/core/Tensor.h>

#include <sp2dpo/loss/any_objective.hpp>
#include <sp2dpo/loss/hidden_rows.hpp>
#include <sp2dpo/loss/pair_curvature.hpp>

namespace sp2dpo {

/// A loss of logits as it is returned, and what its backward needs.
struct LogitsResult : LossAndRecord {
  at::Tensor lse_others;   ///< float64 [R], by row number
  at::Tensor coefficient;  ///< float64 [R]: the loss's derivative by each row's log-probability
};

/// The operations that a device provides. A call chooses its backend once, by backend_of(), and
/// does not ask again which device it runs on. To add a device, add one file with a class like this
/// one and a RegisterBackend.
///
/// All pointers and tensors are on the backend's device. Errors are c10::Error. A backend has no
/// state that changes, so that several threads may use it.
class Backend {
 public:
  virtual ~Backend() = default;

  /// Returns a copy on this device of a tensor on the CPU, without waiting for the device.
  [[nodiscard]] virtual at::Tensor upload(const at::Tensor& tensor) const { return tensor; }

  /// Runs the loop over pairs; returns gradient_scale · Σ weight · value, one number of type
  /// `dtype`.
  [[nodiscard]] virtual at::Tensor pair_loss(const AnyObjective& objective, const PairInputs& in,
                                             const PairOutputs& out, std::int64_t pairs,
                                             at::ScalarType dtype) const = 0;
  /// Runs the loop of second derivatives. By default, refuses.
  virtual void pair_curvature(const AnyObjective& objective, const PairInputs& in,
                              const PairDirection& direction, const PairOutputs& out,
                              std::int64_t pairs) const;
  /// See sp2dpo::scaled_gradients, which is the default.
  [[nodiscard]] virtual PairVariables scaled_gradients(const at::Tensor& columns,
                                                       const at::Tensor& upstream,
                                                       const PairVariables& variables,
                                                       const PairNeeds& needs) const;

  /// Throws for a label outside the vocabulary where the labels can be read without waiting.
  virtual void check_labels(const LogitRows& /*rows*/, const RowLabels& /*labels*/) const {}
  /// The passes over all rows.
  virtual void row_log_probs(const LogitRows& rows, const RowLabels& labels,
                             const RowStatistics& out) const = 0;
  virtual void row_gradient(const LogitRows& rows, const RowLabels& labels,
                            const double* lse_others, const double* coefficient,
                            const GradientRows& out) const = 0;
  virtual void row_log_probs_and_gradient(const LogitRows& rows, const RowLabels& labels,
                                          const RowStatistics& out, const double* coefficient,
                                          const GradientRows& gradient) const = 0;

  /// The loss, and the gradient where `job` says.
  [[nodiscard]] virtual LogitsResult logits_loss(const LogitsJob& job,
                                                 const SequenceCall& call) const = 0;
  /// The sequences' log-probabilities, float64 [2, P].
  [[nodiscard]] virtual at::Tensor logits_log_probs(const LogitRows& rows,
                                                    const LabelledPairs& pairs,
                                                    bool average) const = 0;

  /// How many rows of hidden states are taken at a time within `bytes` or, without that, within
  /// what suits the device.
  [[nodiscard]] virtual std::int64_t chunk_rows(const HiddenRows& rows,
                                                const std::optional<std::int64_t>& bytes,
                                                bool with_reference) const = 0;
  /// Returns whether hidden_loss passes a reference's hidden states through the policy's products.
  [[nodiscard]] virtual bool takes_reference() const { return false; }
  /// Returns whether hidden_loss writes the gradient of float16 hidden states in float32.
  [[nodiscard]] virtual bool writes_wide_hidden() const { return false; }
  /// The loss; gradients go to where `rows` says. `reference` is null, or the hidden states of a
  /// reference with the same head, if takes_reference().
  [[nodiscard]] virtual LossAndRecord hidden_loss(const HiddenRows& rows, const SequenceCall& call,
                                                  std::int64_t chunk_rows,
                                                  const ConstMatrix& reference) const = 0;
  /// The sequences' log-probabilities, float64 [2, P].
  [[nodiscard]] virtual at::Tensor hidden_log_probs(const HiddenRows& rows,
                                                    const LabelledPairs& pairs, bool average,
                                                    std::int64_t chunk_rows) const = 0;
};

/// Returns the backend of the tensor's device. Throws c10::Error if the tensor, the argument `name`
/// of a call, is undefined, and if this build has no backend for its device.
std::shared_ptr<const Backend> backend_of(const char* name, const at::Tensor& tensor);

/// Makes a backend known, as a static object in the backend's file.
struct RegisterBackend {
  using Make = std::shared_ptr<const Backend> (*)(const at::Device& device);
  RegisterBackend(c10::DeviceType type, Make make);
};

}  // namespace sp2dpo
