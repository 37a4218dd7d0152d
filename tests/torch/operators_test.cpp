// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "autocast.hpp"
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <sp2dpo/loss/built_in_objectives.hpp>
#include <sp2dpo/torch/loss.hpp>

namespace sp2dpo {
namespace {

using at::Tensor;
using c10::IValue;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Calls the operator by its name, with its defaults filled in.
std::vector<Tensor> call(const std::string& name, const std::map<std::string, IValue>& given,
                         const char* overload = "") {
  const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow(("sp2dpo::" + name).c_str(), overload);
  std::vector<IValue> stack;
  std::size_t used = 0;
  for (const auto& argument : op.schema().arguments()) {
    const auto found = given.find(argument.name());
    used += found != given.end();
    stack.push_back(found != given.end()       ? found->second
                    : argument.default_value() ? *argument.default_value()
                                               : IValue());
  }
  EXPECT_EQ(used, given.size()) << name << " has another argument";
  op.callBoxed(stack);
  std::vector<Tensor> results;
  for (const IValue& value : stack) results.push_back(value.toTensor());
  return results;
}

/// Three pairs at each of the levels.
struct Operands {
  explicit Operands(at::ScalarType dtype = at::kFloat) {
    at::manual_seed(11);
    const auto normal = [&](at::IntArrayRef shape) {
      return at::randn(shape, at::kDouble).to(dtype).requires_grad_();
    };
    labels = at::randint(7, {6, 4}, at::kLong);
    labels.select(1, 3).fill_(-100);
    logits = normal({6, 4, 7});
    hidden = normal({6, 4, 5});
    head_weight = normal({7, 5});
    head_bias = normal({7});
    policy = {normal({3}), normal({3})};
    reference = {at::randn({3}), at::randn({3})};
    beta = (at::rand({3}, at::kDouble) * 0.27 + 0.03).requires_grad_();
    margin = (at::randn({3}, at::kDouble) * 0.1).requires_grad_();
    weight = at::rand({3}) + 0.5;
  }

  /// The arguments of all losses; without the margin for objectives that take none.
  [[nodiscard]] std::map<std::string, IValue> arguments(bool with_margin,
                                                        const std::string& level) const {
    std::map<std::string, IValue> result{{"ref_chosen_logps", reference.chosen},
                                         {"ref_rejected_logps", reference.rejected},
                                         {"beta", beta},
                                         {"weight", weight}};
    if (with_margin) result["margin"] = margin;
    if (level == "log_probs_loss") {
      result["chosen_logps"] = policy.chosen;
      result["rejected_logps"] = policy.rejected;
    } else {
      result["labels"] = labels;
    }
    if (level == "logits_loss") result["logits"] = logits;
    if (level == "hidden_loss") {
      result["hidden"] = hidden;
      result["head_weight"] = head_weight;
      result["head_bias"] = head_bias;
    }
    return result;
  }

  /// The tensors that a loss of this level is differentiable by.
  [[nodiscard]] std::vector<Tensor> variables(const std::string& level) const {
    if (level == "log_probs_loss") return {policy.chosen, policy.rejected, beta, margin};
    if (level == "logits_loss") return {logits, beta, margin};
    return {hidden, head_weight, head_bias, beta, margin};
  }

  Tensor labels, logits, hidden, head_weight, head_bias, beta, margin, weight;
  LogProbs policy, reference;
};

const std::vector<std::string> levels{"log_probs_loss", "logits_loss", "hidden_loss"};

/// Returns the gradients that backward leaves; undefined where it leaves none.
std::vector<Tensor> gradients_of(const Tensor& loss, const std::vector<Tensor>& variables) {
  loss.sum().backward();
  std::vector<Tensor> result;
  for (const Tensor& variable : variables) {
    const Tensor& slope = variable.grad();
    result.push_back(slope.defined() ? slope.clone() : slope);
    variable.mutable_grad() = Tensor();
  }
  return result;
}

void expect_same_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted,
                      const std::string& of) {
  ASSERT_EQ(got.size(), wanted.size()) << of;
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].defined(), wanted[i].defined()) << of << ", tensor " << i;
    if (!got[i].defined()) continue;
    EXPECT_EQ(got[i].scalar_type(), wanted[i].scalar_type()) << of << ", tensor " << i;
    EXPECT_TRUE(at::equal(got[i], wanted[i])) << of << ", tensor " << i;
  }
}

template <class Objective>
LossOutput loss_of(const std::string& level, const Operands& x, const Loss<Objective>& loss,
                   const Controls& controls) {
  LogProbs policy = x.policy, reference = x.reference;
  policy.averaged = reference.averaged = averages_log_probs<Objective>;
  if (level == "log_probs_loss") return loss(policy, reference, controls);
  if (level == "logits_loss") return loss.from_logits(x.logits, x.labels, reference, controls);
  return loss.from_hidden(x.hidden, x.head_weight, x.head_bias, x.labels, reference, controls);
}

template <class Objective>
class OperatorOf : public ::testing::Test {};
using BuiltIn = ::testing::Types<Sigmoid, Hinge, Robust, ExoPair, DiscoPop, SigmoidNorm, Ipo,
                                 SppoHard, NcaPair, BcoPair, ApoZero, ApoDown>;
TYPED_TEST_SUITE(OperatorOf, BuiltIn);

TYPED_TEST(OperatorOf, IsBitIdenticalToTheLossAtEveryLevel) {
  const Operands x;
  for (const auto* reduction : {"none", "mean", "sum"}) {
    for (const auto& level : levels) {
      if (level == "hidden_loss" && reduction == std::string("none")) continue;
      LossOptions options;
      options.reduction = reduction == std::string("none")   ? Reduction::none
                          : reduction == std::string("mean") ? Reduction::mean
                                                             : Reduction::sum;
      Controls controls{.beta = x.beta, .weight = x.weight};
      if (takes_margin<TypeParam>) controls.margin = x.margin;
      const auto wanted = loss_of(level, x, Loss<TypeParam>({}, options), controls);
      auto arguments = x.arguments(takes_margin<TypeParam>, level);
      arguments["loss_type"] = TypeParam::name;
      arguments["reduction"] = reduction;
      const auto got = call(level, arguments);

      const auto name = std::string(TypeParam::name) + ", " + level + ", " + reduction;
      expect_same_bits({got[0], got[got.size() - 2], got.back()},
                       {wanted.loss, wanted.chosen_rewards(), wanted.rejected_rewards()}, name);
      if (level != "log_probs_loss")
        expect_same_bits({got[1], got[2]}, {wanted.chosen_logps(), wanted.rejected_logps()}, name);
      const auto variables = x.variables(level);
      expect_same_bits(gradients_of(got[0], variables), gradients_of(wanted.loss, variables), name);
    }
  }
}

TEST(Operators, TakeTheObjectivesParametersByName) {
  const Operands x;
  auto arguments = x.arguments(true, "log_probs_loss");
  const Controls controls{.beta = x.beta, .margin = x.margin, .weight = x.weight};
  arguments["label_smoothing"] = 0.2;
  expect_same_bits({call("log_probs_loss", arguments)[0]},
                   {Loss<>({.label_smoothing = 0.2})(x.policy, x.reference, controls).loss},
                   "label_smoothing");
  arguments.erase("label_smoothing");
  arguments["loss_type"] = "discopop";
  arguments["discopop_tau"] = 0.3;
  expect_same_bits({call("log_probs_loss", arguments)[0]},
                   {Loss<DiscoPop>({.discopop_tau = 0.3})(x.policy, x.reference, controls).loss},
                   "discopop_tau");
}

TEST(Operators, RefuseAnUnknownNameAndListTheKnownOnes) {
  const Operands x;
  auto arguments = x.arguments(false, "log_probs_loss");
  const auto refuses = [&](const auto& message) {
    EXPECT_THAT([&] { (void)call("log_probs_loss", arguments); },
                ThrowsMessage<c10::Error>(message));
  };
  arguments["loss_type"] = "sigmiod";
  refuses(AllOf(HasSubstr("unknown loss_type sigmiod"), HasSubstr("sigmoid, hinge"),
                HasSubstr("apo_down")));
  for (const auto* aot : {"aot", "aot_unpaired"}) {
    arguments["loss_type"] = aot;
    refuses(AllOf(HasSubstr("sorts the log-ratios over the batch"), HasSubstr("sigmoid, hinge")));
  }
  arguments["loss_type"] = "hinge";
  arguments["label_smoothing"] = 0.1;
  refuses(AllOf(HasSubstr("hinge has no label smoothing"), HasSubstr("0.1")));
  arguments["label_smoothing"] = 0.0;
  EXPECT_NO_THROW((void)call("log_probs_loss", arguments));
  arguments["discopop_tau"] = 0.1;
  refuses(HasSubstr("discopop_tau is for discopop, not for hinge"));
  arguments.erase("discopop_tau");
  arguments["reduction"] = "average";
  refuses(HasSubstr("reduction must be one of none, mean, sum, not average"));
}

TEST(Operators, TakeOneBetaForAllPairs) {
  const Operands x;
  for (const auto& level : levels) {
    auto arguments = x.arguments(true, level);
    arguments["beta"] = at::full({3}, 0.2, at::kDouble);
    const auto wanted = call(level, arguments);
    arguments["beta"] = 0.2;
    expect_same_bits(call(level, arguments, "number"), wanted, level);
  }
}

TEST(Operators, TakeTheOptionsOfTheLossesOfRows) {
  const Operands x;
  const auto weave = [](const Tensor& t) {
    return at::stack({t.narrow(0, 0, 3), t.narrow(0, 3, 3)}, 1).flatten(0, 1);
  };
  x.labels[1].fill_(-100);
  const LossOptions options{.normalizer = 5,
                            .average_log_prob = true,
                            .empty_rows = EmptyRows::skip,
                            .nll_coefficient = 0.3,
                            .nll_normalizer = 11};
  const LogProbs reference{x.reference.chosen, x.reference.rejected, true};
  const auto wanted = Loss<>({}, options)
                          .from_logits(x.logits, x.labels, reference,
                                       {.beta = x.beta, .margin = x.margin, .weight = x.weight});
  auto arguments = x.arguments(true, "logits_loss");
  for (const auto& [name, value] : std::map<std::string, IValue>{{"normalizer", 5.0},
                                                                 {"average_log_prob", true},
                                                                 {"empty_rows", "skip"},
                                                                 {"nll_coefficient", 0.3},
                                                                 {"nll_normalizer", 11.0}})
    arguments[name] = value;
  expect_same_bits({call("logits_loss", arguments)[0]}, {wanted.loss}, "options");

  arguments["logits"] = weave(x.logits);
  arguments["labels"] = weave(x.labels);
  arguments["interleaved"] = true;
  expect_same_bits({call("logits_loss", arguments)[0]}, {wanted.loss}, "interleaved");

  arguments["logits"] = at::constant_pad_nd(x.logits.flatten(0, 1), {0, 2}, NAN);
  arguments["labels"] =
      at::where(x.labels == -100, at::scalar_tensor(-1, at::kLong), x.labels).flatten();
  arguments["interleaved"] = false;
  arguments["cu_seqlens"] = at::arange(0, 25, 4, at::kLong);
  arguments["vocab_size"] = 7;
  arguments["ignore_index"] = -1;
  expect_same_bits({call("logits_loss", arguments)[0]}, {wanted.loss}, "packed and padded");
}

/// Uses the lower operators alone, like a caller with a custom loss between the two passes.
TEST(Operators, OfRowsRunTheTwoPassesOverTheLogits) {
  const Operands x(at::kDouble);
  const auto rows = call("row_log_probs", {{"logits", x.logits.detach()}, {"labels", x.labels}});
  const Tensor mask = x.labels != -100;
  const Tensor wanted = at::log_softmax(x.logits, -1)
                            .gather(-1, x.labels.masked_fill(~mask, 0).unsqueeze(-1))
                            .squeeze(-1);
  EXPECT_TRUE(at::allclose(rows[0], at::where(mask, wanted, at::zeros({}, at::kDouble)), 1e-13));
  const Tensor coefficient = at::randn(x.labels.sizes(), at::kDouble);
  const auto gradient = call("row_gradient", {{"logits", x.logits.detach()},
                                              {"labels", x.labels},
                                              {"lse_others", rows[1]},
                                              {"coefficient", coefficient}});
  (at::where(mask, wanted, at::zeros({}, at::kDouble)) * coefficient).sum().backward();
  EXPECT_TRUE(at::allclose(gradient[0], x.logits.grad(), 1e-12, 1e-14));

  EXPECT_THAT(
      [&] {
        (void)call("row_gradient", {{"logits", x.logits.detach()},
                                    {"labels", x.labels},
                                    {"lse_others", rows[1].to(at::kFloat)},
                                    {"coefficient", coefficient}});
      },
      ThrowsMessage<c10::Error>(AllOf(HasSubstr("lse_others must be float64"), HasSubstr("24"))));
}

TEST(Operators, OfRowsRunBothPassesInOne) {
  const Operands x(at::kDouble);
  const Tensor logits = x.logits.detach();
  const Tensor mask = x.labels != -100, label = x.labels.masked_fill(~mask, 0).unsqueeze(-1);
  const auto counted = [&](const Tensor& rows) {
    return at::where(mask, rows, at::zeros({}, at::kDouble));
  };
  const Tensor log_prob = at::log_softmax(logits, -1).gather(-1, label).squeeze(-1);
  const Tensor unit = (at::zeros_like(logits).scatter(-1, label, 1.0) - at::softmax(logits, -1)) *
                      mask.unsqueeze(-1);
  const Tensor others = at::logsumexp(logits.scatter(-1, label, -INFINITY), {-1});
  const Tensor coefficient = at::randn(x.labels.sizes(), at::kDouble);
  for (const Tensor& scale : {Tensor(), coefficient}) {
    std::map<std::string, IValue> arguments{{"logits", logits}, {"labels", x.labels}};
    if (scale.defined()) arguments["coefficient"] = scale;
    const auto rows = call("row_log_probs_and_gradient", arguments);
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_TRUE(at::allclose(rows[0], counted(log_prob), 1e-13));
    EXPECT_TRUE(at::allclose(rows[1], counted(others), 1e-13));
    EXPECT_TRUE(
        at::allclose(rows[2], scale.defined() ? unit * scale.unsqueeze(-1) : unit, 1e-12, 1e-14));
  }
  EXPECT_THAT(
      [&] {
        (void)call("row_log_probs_and_gradient",
                   {{"logits", logits}, {"labels", x.labels}, {"coefficient", at::ones({5})}});
      },
      ThrowsMessage<c10::Error>(AllOf(HasSubstr("coefficient must be float64"), HasSubstr("24"),
                                      HasSubstr("Float [5]"))));
}

TEST(Operators, GiveValueAndGradientWithoutAutograd) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const Operands x(dtype);
    for (const auto* objective : {"sigmoid", "nca_pair"}) {
      auto arguments = x.arguments(objective == std::string("sigmoid"), "logits_loss");
      arguments["loss_type"] = objective;
      arguments["nll_coefficient"] = 0.3;
      const auto wanted = call("logits_loss", arguments);
      const Tensor gradient = gradients_of(wanted[0], {x.logits})[0];
      const auto exact = call("logits_loss_value_and_grad", arguments);
      arguments["unit"] = true;
      const auto unit = call("logits_loss_value_and_grad", arguments);
      ASSERT_EQ(unit.size(), 7u);
      for (const auto& got : {exact, unit})
        expect_same_bits({got.begin(), got.begin() + 5}, wanted, objective);
      expect_same_bits({exact[5]}, {gradient}, objective);
      EXPECT_EQ(exact[6].numel(), 0);
      const Tensor mask = x.labels != -100, label = x.labels.masked_fill(~mask, 0).unsqueeze(-1);
      const Tensor p = at::softmax(x.logits.detach().to(at::kDouble), -1);
      const Tensor onehot = at::zeros_like(p).scatter(-1, label, 1.0);
      const double tolerance = dtype == at::kDouble ? 1e-14 : 1e-7;
      EXPECT_TRUE(at::allclose(unit[5].to(at::kDouble), (onehot - p) * mask.unsqueeze(-1),
                               10 * tolerance, tolerance));
      EXPECT_TRUE(at::allclose(unit[5] * unit[6].view({6, 4, 1}), gradient.to(at::kDouble),
                               10 * tolerance, tolerance));
    }
  }
  const Operands x;
  auto arguments = x.arguments(true, "logits_loss");
  arguments["reduction"] = "none";
  EXPECT_THAT([&] { (void)call("logits_loss_value_and_grad", arguments); },
              ThrowsMessage<c10::Error>(HasSubstr("gradient of the reduced loss")));
}

TEST(Operators, RefuseGradientsOfTheLowerOnes) {
  const Operands x;
  const auto rows = call("row_log_probs", {{"logits", x.logits}, {"labels", x.labels}});
  EXPECT_THAT([&] { rows[0].sum().backward(); },
              ThrowsMessage<std::exception>(HasSubstr("row_log_probs")));
}

TEST(Operators, InferShapesAndTypesForMetaTensors) {
  for (const auto dtype : {at::kBFloat16, at::kFloat, at::kDouble}) {
    const Operands x(dtype);
    for (const auto* reduction : {"none", "mean"}) {
      for (const auto& level : levels) {
        auto arguments = x.arguments(true, level);
        arguments["reduction"] = reduction;
        auto shapes = arguments;
        for (auto& [name, value] : arguments)
          if (value.isTensor()) {
            value = value.toTensor().detach();
            shapes[name] = value.toTensor().to(at::kMeta);
          }
        std::vector<std::string> names{level, level + "_forward"};
        if (level == "logits_loss" && reduction == std::string("mean"))
          names.emplace_back("logits_loss_value_and_grad");
        for (const auto& name : names) {
          const auto numbers = call(name, arguments);
          const auto meta = call(name, shapes);
          ASSERT_EQ(meta.size(), numbers.size());
          for (std::size_t i = 0; i < meta.size(); ++i) {
            EXPECT_TRUE(meta[i].is_meta());
            EXPECT_EQ(meta[i].sizes(), numbers[i].sizes()) << name << ", result " << i;
            EXPECT_EQ(meta[i].strides(), numbers[i].strides()) << name << ", result " << i;
            EXPECT_EQ(meta[i].scalar_type(), numbers[i].scalar_type()) << name << ", result " << i;
          }
        }
      }
    }
  }
}

TEST(Operators, UnderAutocastMultiplyInTheNarrowTypeAndSumInTheWideOne) {
  const Operands x;
  auto arguments = x.arguments(true, "hidden_loss");
  auto narrow = arguments;
  for (const auto* name : {"hidden", "head_weight", "head_bias"})
    narrow[name] = arguments[name].toTensor().detach().to(at::kBFloat16);
  const auto wanted = call("hidden_loss", narrow);
  narrow["hidden"] = narrow["hidden"].toTensor().to(at::kBFloat16).requires_grad_();
  narrow["head_weight"] = x.head_weight;  // like the output of a layer and a parameter
  narrow["head_bias"] = x.head_bias;
  {
    const Autocast autocast;
    const auto got = call("hidden_loss", narrow);
    expect_same_bits(got, wanted, "hidden_loss");
    got[0].backward();
  }
  EXPECT_EQ(x.head_weight.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(narrow["hidden"].toTensor().grad().scalar_type(), at::kBFloat16);

  const Operands y(at::kBFloat16);
  const auto plain = call("log_probs_loss", y.arguments(true, "log_probs_loss"));
  const auto plain_logits = call("logits_loss", y.arguments(true, "logits_loss"));
  const Autocast autocast;
  const auto cast = call("log_probs_loss", y.arguments(true, "log_probs_loss"));
  expect_same_bits(cast, plain, "log_probs_loss");
  cast[0].backward();
  EXPECT_EQ(y.policy.chosen.grad().scalar_type(), at::kBFloat16);
  expect_same_bits(call("logits_loss", y.arguments(true, "logits_loss")), plain_logits, "logits");
}

TEST(Operators, HaveAGradientOfTheirGradientFromLogProbsOnly) {
  const Operands x(at::kDouble);
  const auto second = [&](const Tensor& loss) {
    const auto slopes =
        torch::autograd::grad({loss}, {x.policy.chosen, x.beta}, {}, true, /*create_graph=*/true);
    return torch::autograd::grad({(slopes[0] * slopes[1]).sum()},
                                 {x.policy.chosen, x.policy.rejected, x.beta, x.margin});
  };
  expect_same_bits(second(call("log_probs_loss", x.arguments(true, "log_probs_loss"))[0]),
                   second(Loss<>()(x.policy, x.reference, {x.beta, x.margin, x.weight}).loss),
                   "second");
  for (const auto* level : {"logits_loss", "hidden_loss"}) {
    const auto loss = call(level, x.arguments(true, level))[0];
    EXPECT_THAT([&] { (void)torch::autograd::grad({loss}, {x.beta}, {}, true, true); },
                ThrowsMessage<c10::Error>(HasSubstr("from log-probabilities only")));
  }
}

TEST(Operators, RefuseAWeightThatRequiresAGradient) {
  const Operands x;
  for (const auto& level : levels) {
    auto arguments = x.arguments(true, level);
    arguments["weight"] = x.weight.clone().requires_grad_();
    EXPECT_THAT([&] { (void)call(level, arguments); },
                ThrowsMessage<c10::Error>(HasSubstr("weight is a constant")));
  }
}

TEST(Operators, AreBitIdenticalFromTwoThreads) {
  constexpr int rounds = 20;
  const auto work = [](const Operands& x, std::vector<Tensor>& results) {
    for (int round = 0; round < rounds; ++round)
      for (const auto& level : levels) {
        const auto got = call(level, x.arguments(true, level));
        results.insert(results.end(), got.begin(), got.end());
        for (const Tensor& gradient : gradients_of(got[0], x.variables(level)))
          results.push_back(gradient);
      }
  };
  const Operands x, y;  // the same numbers, from the same seed
  std::vector<Tensor> of_x, of_y;
  std::thread first([&] { work(x, of_x); }), second([&] { work(y, of_y); });
  first.join();
  second.join();
  expect_same_bits(of_x, of_y, "threads");
  const auto each = of_x.size() / rounds;
  for (std::size_t i = each; i < of_x.size(); ++i)
    EXPECT_TRUE(at::equal(of_x[i], of_x[i % each])) << i;
}

}  // namespace
}  // namespace sp2dpo
