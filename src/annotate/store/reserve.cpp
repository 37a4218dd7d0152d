// SPDX-License-Identifier: Apache-2.0
#include "reserve.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <system_error>
#include <type_traits>

#include <fcntl.h>
#include <unistd.h>

namespace sp2dpo::annotate {

namespace {

// The file: `magic`, then records of size, checksum and content. A size of 0, as in room that was
// never written, and a checksum that differs, as after a process that was killed, end the list.
constexpr std::string_view magic = "sp2dpo reserve1\n";

[[noreturn]] void fail(int error, const std::string& path) {
  throw std::system_error(error, std::generic_category(), path);
}

std::uint64_t checksum(std::string_view bytes) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

template <class T>
void put(std::string& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

/// Takes values off the front of a text. `ok` turns false at its end.
struct Taker {
  std::string_view rest;
  bool ok = true;

  std::string_view bytes(std::uint64_t size) {
    if (size > rest.size()) {
      ok = false;
      return {};
    }
    const auto taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  }
  template <class T>
  T number() {
    T value{};
    if (const auto from = bytes(sizeof(T)); ok) std::memcpy(&value, from.data(), sizeof(T));
    return value;
  }
};

std::string encoded(const Addition& addition) {
  std::string out;
  put(out, static_cast<std::uint8_t>(addition.kind));
  put(out, static_cast<std::uint8_t>(addition.values.size()));
  for (const auto& value : addition.values) {
    put(out, static_cast<std::uint8_t>(value.index()));
    if (const auto* const integer = std::get_if<std::int64_t>(&value)) {
      put(out, *integer);
    } else if (const auto* const number = std::get_if<double>(&value)) {
      put(out, *number);
    } else if (!std::holds_alternative<std::nullptr_t>(value)) {
      const auto* const text = std::get_if<std::string>(&value);
      const std::string& bytes = text != nullptr ? *text : std::get<Bytes>(value).bytes;
      put(out, static_cast<std::uint64_t>(bytes.size()));
      out += bytes;
    }
  }
  return out;
}

Value take_value(Taker& from) {
  switch (from.number<std::uint8_t>()) {
    case 0:
      return nullptr;
    case 1:
      return from.number<std::int64_t>();
    case 2:
      return from.number<double>();
    case 3:
      return std::string(from.bytes(from.number<std::uint64_t>()));
    case 4:
      return Bytes{std::string(from.bytes(from.number<std::uint64_t>()))};
    default:
      from.ok = false;
      return nullptr;
  }
}

std::optional<Addition> decoded(std::string_view content) {
  Taker from{content};
  Addition addition{.kind = static_cast<Addition::Kind>(from.number<std::uint8_t>())};
  for (auto left = from.number<std::uint8_t>(); left > 0 && from.ok; --left)
    addition.values.push_back(take_value(from));
  if (!from.ok || !from.rest.empty() || addition.kind > Addition::Kind::batch) return std::nullopt;
  return addition;
}

void write_at(int descriptor, std::string_view bytes, std::size_t place, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(place));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno, path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
    place += static_cast<std::size_t>(written);
  }
}

}  // namespace

Reserve::~Reserve() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (used_ <= magic.size()) ::unlink(path_.c_str());
}

void Reserve::require(std::size_t bytes) {
  if (descriptor_ < 0) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(errno, path_);
  }
  if (bytes + magic.size() <= size_) return;
  const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes + magic.size()));
  if (error != 0) {
    if (used_ == 0) clear();
    fail(error, path_);
  }
  size_ = bytes + magic.size();
  if (used_ == 0) {
    write_at(descriptor_, magic, 0, path_);
    used_ = magic.size();
  }
}

void Reserve::append(const std::vector<Addition>& additions) {
  std::string bytes;
  for (const auto& addition : additions) {
    const auto content = encoded(addition);
    put(bytes, static_cast<std::uint64_t>(content.size()));
    put(bytes, checksum(content));
    bytes += content;
  }
  write_at(descriptor_, bytes, used_, path_);
  if (::fdatasync(descriptor_) != 0) fail(errno, path_);
  used_ += bytes.size();
}

void Reserve::shrink() {
  if (descriptor_ < 0 || ::ftruncate(descriptor_, static_cast<off_t>(used_)) != 0) return;
  size_ = used_;
}

std::vector<Addition> Reserve::read() const {
  std::vector<Addition> additions;
  std::ifstream file(path_, std::ios::binary | std::ios::ate);
  if (!file) return additions;
  auto left = static_cast<std::uint64_t>(file.tellg());
  file.seekg(0);
  // Record by record: most of a reserve that a killed process left is empty room.
  const auto take = [&](std::uint64_t size) {
    std::string bytes(size <= left ? size : 0, '\0');
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file) bytes.clear();
    left -= bytes.size();
    return bytes;
  };
  if (take(magic.size()) != magic) return additions;
  while (true) {
    const std::string head = take(2 * sizeof(std::uint64_t));
    Taker from{head};
    const auto size = from.number<std::uint64_t>();
    const auto sum = from.number<std::uint64_t>();
    if (!from.ok || size == 0) break;
    const std::string content = take(size);
    if (content.size() != size || checksum(content) != sum) break;
    auto addition = decoded(content);
    if (!addition) break;
    additions.push_back(std::move(*addition));
  }
  return additions;
}

void Reserve::clear() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  size_ = used_ = 0;
  ::unlink(path_.c_str());
}

}  // namespace sp2dpo::annotate
