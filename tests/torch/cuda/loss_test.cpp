// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ptx/device.hpp"
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <sp2dpo/torch/loss.hpp>

/// Compares the losses of CUDA tensors with those of the same tensors on the CPU.
namespace sp2dpo {
namespace {

using at::Tensor;
using testing::HasSubstr;

constexpr std::int64_t pairs = 3, length = 5, vocab = 70, width = 16;

/// The same numbers on every device, as leaves that require gradients.
struct Batch {
  explicit Batch(const at::Device& device_, at::ScalarType dtype = at::kFloat) : device(device_) {
    const auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
    const auto normal = [&](at::IntArrayRef sizes) {
      return (at::randn(sizes, generator, at::TensorOptions(at::kDouble)) * 0.7)
          .to(dtype)
          .to(device);
    };
    chosen = normal({pairs}).requires_grad_();
    rejected = normal({pairs}).requires_grad_();
    logits = normal({2 * pairs, length, vocab}).requires_grad_();
    hidden = normal({2 * pairs, length, width}).requires_grad_();
    head = normal({vocab, width}).requires_grad_();
    bias = normal({vocab}).requires_grad_();
    reference_logits = normal({2 * pairs, length, vocab});
    reference_hidden = normal({2 * pairs, length, width});
    reference = {(at::randn({pairs}, generator, at::TensorOptions(at::kDouble)) - 20).to(device),
                 (at::randn({pairs}, generator, at::TensorOptions(at::kDouble)) - 20).to(device)};
    beta = at::tensor({0.1, 0.3, 0.05}, at::kDouble).to(device).requires_grad_();
    host_labels =
        at::randint(0, vocab, {2 * pairs, length}, generator, at::TensorOptions(at::kLong));
    host_labels.narrow(1, 0, 2).fill_(-100);
    labels = host_labels.to(device);
  }

  at::Device device;
  Tensor chosen, rejected, logits, hidden, head, bias, reference_logits, reference_hidden, beta;
  Tensor labels, host_labels;
  LogProbs reference;
};

void expect_near(const Tensor& got, const Tensor& want, double tolerance, const std::string& what) {
  ASSERT_EQ(got.defined(), want.defined()) << what;
  if (!got.defined()) return;
  ASSERT_EQ(got.sizes(), want.sizes()) << what;
  ASSERT_EQ(got.scalar_type(), want.scalar_type()) << what;
  const Tensor a = got.detach().cpu().to(at::kDouble), b = want.detach().to(at::kDouble);
  const double scale = b.abs().max().item<double>();
  EXPECT_LE((a - b).abs().max().item<double>(), tolerance * scale) << what;
}

/// Expects the same tensors from `run` on the device and on the CPU.
void expect_same(const std::function<std::vector<Tensor>(const Batch&)>& run, double tolerance,
                 at::ScalarType dtype = at::kFloat) {
  const auto want = run(Batch(at::kCPU, dtype));
  const auto got = run(Batch(at::Device(at::kCUDA, 0), dtype));
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i)
    expect_near(got[i], want[i], tolerance, "tensor " + std::to_string(i));
}

std::vector<Tensor> with_gradients(const LossOutput& out, std::initializer_list<Tensor> leaves) {
  out.loss.backward();
  std::vector<Tensor> all{out.loss, out.losses(), out.chosen_logps(), out.rejected_rewards()};
  for (const Tensor& leaf : leaves) all.push_back(leaf.grad());
  return all;
}

/// Allocates what libtorch's engine and this thread's matrix products keep for good before the
/// tests, so that each test leaves no memory behind.
struct Kept : testing::Environment {
  void SetUp() override {
    const Batch batch(at::Device(at::kCUDA, 0));
    const Loss<> loss;
    loss({batch.chosen, batch.rejected}, batch.reference, {.beta = 0.1}).loss.backward();
    (void)loss.from_hidden(batch.hidden, batch.head, {}, batch.labels, batch.reference,
                           {.beta = 0.1});
  }
};
const auto* const kept_for_good = testing::AddGlobalTestEnvironment(new Kept);

TEST(TorchCuda, LogProbabilitiesMatchTheCpu) {
  expect_same(
      [](const Batch& batch) {
        const auto out =
            Loss<>()({batch.chosen, batch.rejected}, batch.reference, {.beta = batch.beta});
        return with_gradients(out, {batch.chosen, batch.rejected, batch.beta});
      },
      1e-6);
}

TEST(TorchCuda, LogitsMatchTheCpu) {
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const bool in_place : {false, true})
      expect_same(
          [&](const Batch& batch) {
            const Tensor logits = batch.logits * 1;
            const auto out =
                Loss<>().from_logits(logits, batch.labels, batch.reference, {.beta = batch.beta},
                                     {.gradient_in_place = in_place});
            return with_gradients(out, {batch.logits, batch.beta});
          },
          dtype == at::kFloat ? 2e-6 : 1e-2, dtype);
}

TEST(TorchCuda, UnitGradientsMatchTheCpu) {
  expect_same(
      [](const Batch& batch) {
        const auto got = Loss<>().value_and_grad_from_logits(
            batch.logits.detach(), batch.labels, ReferenceLogits{batch.reference_logits},
            {.beta = batch.beta.detach()}, {}, /*unit=*/true);
        return std::vector<Tensor>{got.output.loss, got.logits, got.row_scale};
      },
      2e-6);
}

/// Calls the operator by its name, with the defaults of what is not given.
std::vector<Tensor> call(const char* name, const std::map<std::string, c10::IValue>& given) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  std::vector<c10::IValue> stack;
  for (const auto& argument : op.schema().arguments()) {
    const auto found = given.find(argument.name());
    stack.push_back(found != given.end()       ? found->second
                    : argument.default_value() ? *argument.default_value()
                                               : c10::IValue());
  }
  op.callBoxed(stack);
  std::vector<Tensor> results;
  for (const auto& value : stack) results.push_back(value.toTensor());
  return results;
}

TEST(TorchCuda, OnePassOverTheRowsMatchesTheCpu) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const bool with_coefficient : {false, true})
      expect_same(
          [&](const Batch& batch) {
            std::map<std::string, c10::IValue> arguments{{"logits", batch.logits.detach()},
                                                         {"labels", batch.labels}};
            if (with_coefficient)
              arguments["coefficient"] = at::arange(2.0 * pairs * length, at::kDouble)
                                             .view({2 * pairs, length})
                                             .to(batch.device);
            return call("sp2dpo::row_log_probs_and_gradient", arguments);
          },
          dtype == at::kFloat ? 2e-6 : 1e-2, dtype);
  for (const auto& launch : ptx::device().launches())
    EXPECT_THAT(launch.kernel, HasSubstr("unit_gradient_kernel"));
  EXPECT_THAT(ptx::device().launches(), testing::SizeIs(6));
}

TEST(TorchCuda, ValueAndGradientMatchTheCpu) {
  for (const bool unit : {false, true})
    expect_same(
        [&](const Batch& batch) {
          auto results = call("sp2dpo::logits_loss_value_and_grad",
                              {{"logits", batch.logits.detach()},
                               {"labels", batch.labels},
                               {"beta", batch.beta.detach()},
                               {"ref_chosen_logps", batch.reference.chosen},
                               {"ref_rejected_logps", batch.reference.rejected},
                               {"unit", unit}});
          if (!unit) results.pop_back();  // an empty row_scale
          return results;
        },
        2e-6);
}

TEST(TorchCuda, HiddenStatesMatchTheCpu) {
  // Memory for all rows; for a few, fewer than a pair has.
  constexpr std::int64_t products = std::int64_t{32} << 20, few = 4 * 4 * (vocab + 2 * width);
  for (const bool labels_on_host : {false, true})
    for (const std::int64_t bytes : {std::int64_t{1} << 30, products + few})
      for (const auto dtype : {at::kFloat, at::kBFloat16})
        expect_same(
            [&](const Batch& batch) {
              const Loss<> loss({}, {.nll_coefficient = 0.2, .nll_normalizer = 7.0});
              const auto out = loss.from_hidden(
                  batch.hidden, batch.head, batch.bias,
                  labels_on_host ? batch.host_labels : batch.labels,
                  ReferenceHidden{batch.reference_hidden, batch.head.detach() * 1.5},
                  {.beta = batch.beta, .weight = 0.5}, {.workspace_bytes = bytes});
              return with_gradients(out, {batch.hidden, batch.head, batch.bias, batch.beta});
            },
            dtype == at::kFloat ? 3e-6 : 2e-2, dtype);
}

TEST(TorchCuda, AReferenceWithTheSameHeadMatchesTheCpu) {
  expect_same(
      [](const Batch& batch) {
        const auto out = Loss<>().from_hidden(
            batch.hidden, batch.head, batch.bias, batch.host_labels,
            ReferenceHidden{batch.reference_hidden, batch.head, batch.bias}, {.beta = batch.beta});
        return with_gradients(out, {batch.hidden, batch.head, batch.bias, batch.beta});
      },
      3e-6);
}

TEST(TorchCuda, HiddenStatesAddTheHeadsGradientToMainGrad) {
  expect_same(
      [](const Batch& batch) {
        const Tensor sum = at::full({vocab, width}, 0.25, batch.head.options());
        for (int call = 0; call < 2; ++call)
          (void)Loss<>().value_and_grad_from_hidden(
              batch.hidden.detach(), batch.head.detach(), {}, batch.labels, batch.reference,
              {.beta = batch.beta.detach()}, {.main_grad = sum});
        return std::vector<Tensor>{sum};
      },
      3e-6);
}

TEST(TorchCuda, LabelsOnTheCpuAllowSkippingEmptyResponses) {
  expect_same(
      [](const Batch& batch) {
        batch.host_labels.select(0, pairs).fill_(-100);  // the first pair's rejected response
        const Loss<> loss(
            {}, {.average_log_prob = true, .empty_rows = EmptyRows::skip, .nll_coefficient = 0.2});
        const auto out = loss.from_hidden(batch.hidden, batch.head, batch.bias, batch.host_labels,
                                          batch.reference, {.beta = batch.beta});
        EXPECT_EQ(out.valid_pairs(), pairs - 1);
        auto all = with_gradients(out, {batch.hidden, batch.head, batch.bias});
        for (const auto& [name, value] : out.metrics())
          all.push_back(at::scalar_tensor(value, at::kDouble));
        return all;
      },
      3e-6);
}

TEST(TorchCuda, AnEmptyResponseIsNanWithLabelsOnTheDevice) {
  const Batch batch(at::Device(at::kCUDA, 0));
  batch.host_labels.select(0, pairs).fill_(-100);  // the first pair's rejected response
  const Tensor labels = batch.host_labels.to(batch.device);
  for (const auto empty_rows : {EmptyRows::error, EmptyRows::keep}) {
    const Loss<> loss({}, {.empty_rows = empty_rows});
    for (const auto& out :
         {loss.from_logits(batch.logits, labels, batch.reference, {.beta = 0.1}),
          loss.from_hidden(batch.hidden, batch.head, {}, labels, batch.reference, {.beta = 0.1})}) {
      const Tensor losses = out.losses().cpu();
      EXPECT_EQ(std::isnan(losses[0].item<float>()), empty_rows == EmptyRows::error);
      EXPECT_FALSE(std::isnan(losses[1].item<float>()));
    }
  }
}

TEST(TorchCuda, CheckFindsAnInvalidLabel) {
  const Batch batch(at::Device(at::kCUDA, 0));
  batch.host_labels.select(0, 2).fill_(vocab);
  const Tensor labels = batch.host_labels.to(batch.device);
  for (const auto& out :
       {Loss<>().from_logits(batch.logits, labels, batch.reference, {.beta = 0.1}),
        Loss<>().from_hidden(batch.hidden, batch.head, {}, labels, batch.reference,
                             {.beta = 0.1})}) {
    try {
      out.check();
      ADD_FAILURE() << "nothing was found";
    } catch (const c10::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("the label of row 10 is outside"));
    }
  }
}

TEST(TorchCuda, OptionsThatNeedTheLabelsOnTheHostAreRefused) {
  const Batch batch(at::Device(at::kCUDA, 0));
  const auto refused = [&](const LossOptions& options) {
    try {
      (void)Loss<>({}, options)
          .from_logits(batch.logits, batch.labels, batch.reference, {.beta = 0.1});
    } catch (const c10::Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing is refused");
  };
  EXPECT_THAT(refused({.empty_rows = EmptyRows::skip}), HasSubstr("empty_rows skip"));
  EXPECT_THAT(refused({.nll_coefficient = 1}), HasSubstr("nll_normalizer"));
  EXPECT_THAT(refused({.mean_logits = true}), HasSubstr("mean_logits"));
}

}  // namespace
}  // namespace sp2dpo
