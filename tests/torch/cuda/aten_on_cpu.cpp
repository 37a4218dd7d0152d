// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <ATen/native/CPUFallback.h>
#include <cuda_runtime_api.h>
#include <torch/library.h>

/// libtorch's own CUDA kernels cannot run without a GPU, since its wheels lack their PTX. The few
/// that sp2dpo calls are implemented here by the CPU's, with copies in both directions.
namespace sp2dpo {
namespace {

using at::Tensor;

/// The span of memory that a tensor's elements lie in, in bytes.
std::size_t span(const Tensor& tensor) {
  std::int64_t last = 0;
  for (std::int64_t i = 0; i < tensor.dim(); ++i) {
    if (tensor.size(i) == 0) return 0;
    last += (tensor.size(i) - 1) * tensor.stride(i);
  }
  return static_cast<std::size_t>(last + 1) * tensor.element_size();
}

Tensor on_cpu(const Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  const Tensor copy =
      at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
  cudaMemcpy(copy.data_ptr(), tensor.data_ptr(), span(tensor), cudaMemcpyDeviceToHost);
  return copy;
}

Tensor& copy(Tensor& self, const Tensor& source, bool /*non_blocking*/) {
  if (self.is_cpu()) return self.copy_(on_cpu(source));
  // Elements between those of a view keep what they hold.
  const bool whole = self.is_non_overlapping_and_dense();
  Tensor host =
      whole ? at::empty_strided(self.sizes(), self.strides(), self.options().device(at::kCPU))
            : on_cpu(self);
  host.copy_(on_cpu(source));
  cudaMemcpy(self.data_ptr(), host.data_ptr(), span(self), cudaMemcpyHostToDevice);
  return self;
}

Tensor& fill(Tensor& self, const at::Scalar& value) {
  return copy(self, at::full_like(self, value, at::TensorOptions(at::kCPU)), false);
}

Tensor& zero(Tensor& self) {
  return fill(self, 0);
}

/// Copies back what an operator changed in place, for by_way_of_the_cpu.
Tensor copy_back(const Tensor& from, const Tensor& to) {
  return to.copy_(from);
}

void by_way_of_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("copy_", &copy);
  m.impl("fill_.Scalar", &fill);
  m.impl("zero_", &zero);
  m.impl("_copy_from_and_resize", &copy_back);
  for (const char* name :
       {"mul.Tensor", "mul_.Tensor", "add.Tensor", "neg", "sum.dim_IntList", "cat", "div.Tensor",
        "sub.Tensor", "index_select", "eq.Scalar", "where.self"})
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&by_way_of_the_cpu>());
}

}  // namespace
}  // namespace sp2dpo
