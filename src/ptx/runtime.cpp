// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "device.hpp"
#include "modules.hpp"
#include "names.hpp"
#include <cuda_runtime_api.h>

/// A stand-in for the CUDA runtime: the functions that nvcc's code and this library call. Work is
/// done when it is submitted, whatever its stream.
namespace sp2dpo::ptx {
namespace {

struct Runtime {
  cudaError_t last_error = cudaSuccess;
  struct Configuration {
    dim3 grid, block;
    std::size_t shared;
    cudaStream_t stream;
  };
  std::vector<Configuration> configurations;
  std::set<cudaStream_t> streams{nullptr, cudaStreamLegacy, cudaStreamPerThread};
  std::set<cudaEvent_t> events;
  std::uintptr_t next_handle = 0x1000;
};

Runtime& runtime() {
  static Runtime state;
  return state;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) runtime().last_error = error;
  return error;
}

/// Begins a call that a stream capture forbids.
cudaError_t begin_synchronous(const char* call) {
  if (device().is_capturing) {
    device().findings().add(std::string(call) + " is called during a stream capture");
    return cudaErrorStreamCaptureUnsupported;
  }
  return device().take_fault(call);
}

template <class Handle>
cudaError_t make_handle(std::set<Handle>& all, Handle* out) {
  *out = reinterpret_cast<Handle>(++runtime().next_handle);
  all.insert(*out);
  return cudaSuccess;
}

unsigned capability() {
  return static_cast<unsigned>(10 * device().properties.major + device().properties.minor);
}

Extent extent_of(const dim3& d) {
  return {d.x, d.y, d.z};
}

std::uint64_t volume(const Extent& e) {
  return std::uint64_t{e[0]} * e[1] * e[2];
}

Extent cluster_of(const cudaLaunchConfig_t& config) {
  for (unsigned i = 0; i < config.numAttrs; ++i)
    if (const auto& attribute = config.attrs[i];
        attribute.id == cudaLaunchAttributeClusterDimension)
      return {attribute.val.clusterDim.x, attribute.val.clusterDim.y, attribute.val.clusterDim.z};
  return {1, 1, 1};
}

/// Returns the error with which hardware would refuse the launch.
cudaError_t check_launch(const Kernel& kernel, const void* function, const LaunchRecord& launch) {
  const Properties& properties = device().properties;
  if (!runtime().streams.contains(launch.stream)) return cudaErrorInvalidResourceHandle;
  if (volume(launch.grid) == 0 || volume(launch.block) == 0) return cudaErrorInvalidConfiguration;
  if (launch.grid[0] > 0x7fffffff || launch.grid[1] > 65535 || launch.grid[2] > 65535)
    return cudaErrorInvalidConfiguration;
  if (launch.block[2] > 64 || volume(launch.block) > 1024) return cudaErrorInvalidConfiguration;
  if (volume(launch.block) > kernel.max_threads) return cudaErrorInvalidValue;
  const std::size_t dynamic =
      std::max(modules().max_dynamic_shared[function],
               properties.shared_per_block -
                   std::min<std::size_t>(properties.shared_per_block, kernel.shared_bytes));
  if (launch.dynamic_shared_bytes > dynamic) return cudaErrorInvalidValue;
  const std::uint64_t cluster = volume(launch.cluster);
  if (cluster == 1) return cudaSuccess;
  if (properties.major < 9) return cudaErrorNotSupported;
  for (int i = 0; i < 3; ++i)
    if (launch.grid[i] % launch.cluster[i] != 0) return cudaErrorInvalidClusterSize;
  return cluster > properties.largest_cluster ? cudaErrorInvalidClusterSize : cudaSuccess;
}

cudaError_t launch(const void* function, const LaunchRecord& wanted, void** arguments) {
  if (const auto fault = device().take_fault("launch")) return fault;
  Kernel* const kernel = modules().find(function, capability());
  if (kernel == nullptr) return cudaErrorNoKernelImageForDevice;
  LaunchRecord record = wanted;
  record.kernel = kernel->name;
  if (const auto error = check_launch(*kernel, function, record)) return error;
  std::vector<std::byte> parameters(kernel->parameter_bytes);
  for (std::size_t i = 0; i < kernel->parameters.size(); ++i) {
    const Parameter& parameter = kernel->parameters[i];
    std::memcpy(parameters.data() + parameter.offset, arguments[i], parameter.bytes);
  }
  run({.kernel = *kernel,
       .grid = record.grid,
       .block = record.block,
       .cluster = record.cluster,
       .dynamic_shared_bytes = static_cast<std::uint32_t>(record.dynamic_shared_bytes),
       .parameters = parameters,
       .max_instructions = device().max_instructions},
      device().schedule, device().memory(), device().findings());
  device().launches().push_back(std::move(record));
  return cudaSuccess;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments,
                   std::size_t shared, cudaStream_t stream) {
  return remember(launch(
      function, {{}, extent_of(grid), extent_of(block), {1, 1, 1}, shared, stream}, arguments));
}

cudaError_t allocate(void** out, std::size_t bytes) {
  *out = nullptr;
  if (bytes == 0) return cudaSuccess;
  *out = device().memory().allocate(bytes, device().properties.memory);
  return *out == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t free_memory(void* address) {
  if (address == nullptr) return cudaSuccess;
  return device().memory().free(address) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return cudaSuccess;
  GlobalMemory& memory = device().memory();
  // The addresses decide; the direction that the caller states does not matter.
  const auto is_device = [](const void* p) {
    return reinterpret_cast<std::uint64_t>(p) >> window_shift == global_window;
  };
  const auto source = is_device(from) ? memory.find(from, bytes) : GlobalMemory::Place{};
  const auto target = is_device(to) ? memory.find(to, bytes) : GlobalMemory::Place{};
  if ((is_device(from) && source.region == nullptr) || (is_device(to) && target.region == nullptr))
    return cudaErrorInvalidValue;
  const void* const bytes_from = source.region ? source.region->data() + source.offset : from;
  void* const bytes_to = target.region ? target.region->data() + target.offset : to;
  std::memmove(bytes_to, bytes_from, bytes);
  if (target.region) target.region->set_initialised(target.offset, bytes);
  if (source.region) {
    const auto* const cells = source.region->cells() + source.offset / 2;
    const bool written = std::all_of(cells, cells + (bytes + 1) / 2,
                                     [](const Cell& cell) { return cell.is_initialised; });
    if (!written) device().findings().add("a copy reads uninitialised memory");
  }
  return cudaSuccess;
}

cudaError_t address_of_symbol(void** out, const void* shadow) {
  const auto address = modules().find_variable(shadow, capability());
  *out = reinterpret_cast<void*>(address);
  return address == 0 ? cudaErrorInvalidSymbol : cudaSuccess;
}

cudaError_t fill(void* to, int value, std::size_t bytes) {
  const auto target = device().memory().find(to, bytes);
  if (target.region == nullptr) return cudaErrorInvalidValue;
  std::memset(target.region->data() + target.offset, value, bytes);
  target.region->set_initialised(target.offset, bytes);
  return cudaSuccess;
}

}  // namespace
}  // namespace sp2dpo::ptx

using namespace sp2dpo::ptx;

extern "C" {

void** __cudaRegisterFatBinary(void* fatbinary) {
  return reinterpret_cast<void**>(modules().add(fatbinary));
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) {
  return 1;
}
void __cudaRegisterFunction(void** handle, const char* function, char*, const char* kernel, int,
                            uint3*, uint3*, dim3*, dim3*, int*) {
  modules().add_function(reinterpret_cast<Modules::Handle>(handle), function, kernel);
}
void __cudaRegisterVar(void** handle, char* shadow, char*, const char* name, int, std::size_t, int,
                       int) {
  modules().add_variable(reinterpret_cast<Modules::Handle>(handle), shadow, name);
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared, void* stream) {
  runtime().configurations.push_back({grid, block, shared, static_cast<cudaStream_t>(stream)});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared, void* stream) {
  const auto configuration = runtime().configurations.back();
  runtime().configurations.pop_back();
  *grid = configuration.grid;
  *block = configuration.block;
  *shared = configuration.shared;
  *static_cast<cudaStream_t*>(stream) = configuration.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared, cudaStream_t stream) {
  return launch(kernel, grid, block, arguments, shared, stream);
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             std::size_t shared, cudaStream_t stream) {
  return launch(function, grid, block, arguments, shared, stream);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                void** arguments) {
  return remember(launch(function,
                         {{},
                          extent_of(config->gridDim),
                          extent_of(config->blockDim),
                          cluster_of(*config),
                          config->dynamicSmemBytes,
                          config->stream},
                         arguments));
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  if (const auto fault = device().take_fault("cudaFuncGetAttributes")) return remember(fault);
  const Kernel* const kernel = modules().find(function, capability());
  if (kernel == nullptr) return remember(cudaErrorNoKernelImageForDevice);
  *attributes = {};
  attributes->sharedSizeBytes = kernel->shared_bytes;
  attributes->maxThreadsPerBlock = static_cast<int>(kernel->max_threads);
  attributes->ptxVersion = attributes->binaryVersion = static_cast<int>(kernel->target);
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (const auto fault = device().take_fault("cudaFuncSetAttribute")) return remember(fault);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  const auto bytes = static_cast<std::size_t>(value);
  if (bytes > device().properties.shared_per_block_optin) return remember(cudaErrorInvalidValue);
  modules().max_dynamic_shared[function] = bytes;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* function,
                                           const cudaLaunchConfig_t* config) {
  if (const auto fault = device().take_fault("cudaOccupancyMaxActiveClusters"))
    return remember(fault);
  if (modules().find(function, capability()) == nullptr)
    return remember(cudaErrorNoKernelImageForDevice);
  const auto blocks = static_cast<std::uint32_t>(volume(cluster_of(*config)));
  const Properties& properties = device().properties;
  *clusters = blocks <= properties.largest_cluster
                  ? properties.multiprocessors / static_cast<int>(blocks)
                  : 0;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** out, std::size_t bytes) {
  const auto fault = begin_synchronous("cudaMalloc");
  return remember(fault ? fault : allocate(out, bytes));
}
cudaError_t cudaFree(void* address) {
  const auto fault = begin_synchronous("cudaFree");
  return remember(fault ? fault : free_memory(address));
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  const auto fault = begin_synchronous("cudaMemcpy");
  return remember(fault ? fault : copy(to, from, bytes));
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  const auto fault = device().take_fault("cudaMemcpyAsync");
  return remember(fault ? fault : copy(to, from, bytes));
}
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  const auto fault = device().take_fault("cudaMemset");
  return remember(fault ? fault : fill(to, value, bytes));
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  const auto fault = device().take_fault("cudaMemsetAsync");
  return remember(fault ? fault : fill(to, value, bytes));
}

cudaError_t cudaGetSymbolAddress(void** out, const void* shadow) {
  return remember(address_of_symbol(out, shadow));
}
cudaError_t cudaMemcpyToSymbol(const void* shadow, const void* from, std::size_t bytes,
                               std::size_t offset, cudaMemcpyKind) {
  const auto fault = begin_synchronous("cudaMemcpyToSymbol");
  void* to = nullptr;
  if (const auto error = fault ? fault : address_of_symbol(&to, shadow)) return remember(error);
  return remember(copy(static_cast<std::byte*>(to) + offset, from, bytes));
}
cudaError_t cudaMemcpyFromSymbol(void* to, const void* shadow, std::size_t bytes,
                                 std::size_t offset, cudaMemcpyKind) {
  const auto fault = begin_synchronous("cudaMemcpyFromSymbol");
  void* from = nullptr;
  if (const auto error = fault ? fault : address_of_symbol(&from, shadow)) return remember(error);
  return remember(copy(to, static_cast<const std::byte*>(from) + offset, bytes));
}

cudaError_t cudaStreamCreate(cudaStream_t* out) {
  return make_handle(runtime().streams, out);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return remember(runtime().streams.erase(stream) == 1 ? cudaSuccess
                                                       : cudaErrorInvalidResourceHandle);
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return remember(begin_synchronous("cudaStreamSynchronize"));
}
cudaError_t cudaDeviceSynchronize() {
  return remember(begin_synchronous("cudaDeviceSynchronize"));
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* number) {
  *number = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int number) {
  return remember(number == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (const auto fault = device().take_fault("cudaDeviceGetAttribute")) return remember(fault);
  const Properties& properties = device().properties;
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiprocessors;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.shared_per_block_optin);
      return cudaSuccess;
    default:
      return remember(cudaErrorNotSupported);
  }
}

cudaError_t cudaGetLastError() {
  return std::exchange(runtime().last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
  return runtime().last_error;
}
const char* cudaGetErrorName(cudaError_t error) {
  static constexpr std::pair<cudaError_t, const char*> names[] = {
      {cudaSuccess, "cudaSuccess"},
      {cudaErrorInvalidValue, "cudaErrorInvalidValue"},
      {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation"},
      {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration"},
      {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol"},
      {cudaErrorInvalidDevice, "cudaErrorInvalidDevice"},
      {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle"},
      {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice"},
      {cudaErrorInvalidClusterSize, "cudaErrorInvalidClusterSize"},
      {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources"},
      {cudaErrorNotSupported, "cudaErrorNotSupported"},
      {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported"}};
  return name_in(names, error);
}
const char* cudaGetErrorString(cudaError_t) {
  return "an error of the interpreter's CUDA runtime";
}

}  // extern "C"
