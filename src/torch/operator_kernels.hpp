// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "operator_arguments.hpp"

/// Boxed kernels, each named after its operator: those that compute on the tensors' device, those
/// for meta tensors, and the losses, which get their gradients from the operators below them.
namespace sp2dpo::operators {

void row_log_probs(const OperatorHandle& op, Stack* stack);
void row_gradient(const OperatorHandle& op, Stack* stack);
void row_log_probs_and_gradient(const OperatorHandle& op, Stack* stack);
void log_probs_loss_forward(const OperatorHandle& op, Stack* stack);
void log_probs_loss_curvature(const OperatorHandle& op, Stack* stack);
void logits_loss_forward(const OperatorHandle& op, Stack* stack);
void logits_loss_value_and_grad(const OperatorHandle& op, Stack* stack);
void hidden_loss_forward(const OperatorHandle& op, Stack* stack);

void row_log_probs_meta(const OperatorHandle& op, Stack* stack);
void row_gradient_meta(const OperatorHandle& op, Stack* stack);
void row_log_probs_and_gradient_meta(const OperatorHandle& op, Stack* stack);
void log_probs_loss_forward_meta(const OperatorHandle& op, Stack* stack);
void log_probs_loss_curvature_meta(const OperatorHandle& op, Stack* stack);
void logits_loss_forward_meta(const OperatorHandle& op, Stack* stack);
void logits_loss_value_and_grad_meta(const OperatorHandle& op, Stack* stack);
void hidden_loss_forward_meta(const OperatorHandle& op, Stack* stack);

void log_probs_loss(const OperatorHandle& op, Stack* stack);
void logits_loss(const OperatorHandle& op, Stack* stack);
void hidden_loss(const OperatorHandle& op, Stack* stack);

}  // namespace sp2dpo::operators
