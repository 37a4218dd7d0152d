// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sp2dpo::detail {

class TemporaryFile;

/// Bytes in temporary files that are appended once and then read front to back, as often as needed.
/// Holds one block of 64 KiB in memory. Several Readers may read at the same time.
class Spool {
 public:
  Spool();
  ~Spool();
  Spool(Spool&&) noexcept;
  Spool& operator=(Spool&&) noexcept;

  /// Throws Error if the temporary file cannot be written.
  void append(const void* bytes, std::size_t size);
  /// Appends the bytes of another spool by taking over its files.
  void append(Spool&& other);

  /// Reads from the front. The spool must outlive the reader and must not change meanwhile.
  class Reader {
   public:
    explicit Reader(const Spool& spool) : spool_(&spool) {}

    /// Reads the next `size` bytes, which must exist. Throws Error if the file cannot be read.
    void read(void* to, std::size_t size);

   private:
    void refill();

    const Spool* spool_;
    std::size_t segment_ = 0;
    std::int64_t offset_ = 0;  // in the segment's file
    bool tail_ = false;        // whether the block is the segment's unwritten rest
    std::vector<char> block_;
    std::size_t used_ = 0;  // bytes of the block
  };

 private:
  struct Segment;

  std::vector<Segment> segments_;
};

}  // namespace sp2dpo::detail
