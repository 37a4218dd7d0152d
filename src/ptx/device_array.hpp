// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

namespace sp2dpo::ptx {

inline void expect_success(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorName(status));
}

/// A copy of a host vector in device memory.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    expect_success(cudaMalloc(&data_, std::max<std::size_t>(bytes(), 1)));
    expect_success(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice));
  }
  /// Uninitialised.
  explicit DeviceArray(std::size_t size) : size_(size) {
    expect_success(cudaMalloc(&data_, std::max<std::size_t>(bytes(), 1)));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  [[nodiscard]] T* data() const { return static_cast<T*>(data_); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::vector<T> get() const {
    std::vector<T> values(size_);
    expect_success(cudaDeviceSynchronize());
    expect_success(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  [[nodiscard]] std::size_t bytes() const { return size_ * sizeof(T); }

  std::size_t size_;
  void* data_ = nullptr;
};

}  // namespace sp2dpo::ptx
