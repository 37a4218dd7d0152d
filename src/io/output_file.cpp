// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::size_t block_size = 1 << 16;
constexpr mode_t default_mode = 0666;  // before the umask

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
  throw DataError(path.string(), 0, "",
                  "cannot be written: " + std::generic_category().message(error));
}

bool is_device(const std::filesystem::path& path) {
  const std::string name = path.lexically_normal().string();
  // /dev/stdout may link to a regular file (> log), which must not be replaced.
  return name.starts_with("/dev/") || name.starts_with("/proc/");
}

/// Opens a file without a name in the folder of `target`. Returns -1 if the file system cannot, or
/// could not name the file later.
int open_unnamed(const std::filesystem::path& target) {
#ifdef O_TMPFILE
  if (::access("/proc/self/fd", X_OK) != 0) return -1;
  const auto folder = target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
  return ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, default_mode);
#else
  return -1;
#endif
}

bool give_name(int descriptor, const std::filesystem::path& name) {
  const auto link = fmt::format("/proc/self/fd/{}", descriptor);
  const auto try_it = [&] {
    return ::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  return try_it() || (errno == EEXIST && ::unlink(name.c_str()) == 0 && try_it());
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code ignored;
  target_ = std::filesystem::weakly_canonical(path_, ignored);
  if (ignored || target_.empty()) target_ = path_;

  struct stat known {};
  const bool exists = ::stat(path_.c_str(), &known) == 0;
  if (!exists && errno != ENOENT) fail(path_, errno);
  if (exists && S_ISDIR(known.st_mode)) fail(path_, EISDIR);
  if (exists && (!S_ISREG(known.st_mode) || is_device(path_))) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (descriptor_ < 0) fail(path_, errno);
    return;
  }

  static std::atomic<unsigned> count = 0;
  descriptor_ = open_unnamed(target_);
  if (descriptor_ >= 0) {
    // One name for each target: what a process killed inside commit() left is replaced.
    const auto hash = std::hash<std::string>()(target_.filename().string());
    temporary_ = target_.parent_path() / fmt::format(".sp2dpo-{:016x}.tmp", hash);
  } else {
    temporary_ = target_.parent_path() / fmt::format(".sp2dpo-{}-{}.tmp", ::getpid(), count++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, default_mode);
    named_ = descriptor_ >= 0;
  }
  if (descriptor_ < 0) fail(path_, errno);
  if (exists) (void)::fchmod(descriptor_, known.st_mode & 0777);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (named_) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::string_view bytes) {
  detail::require(descriptor_ >= 0, "{}: write() after commit()", path_.string());
  buffer_ += bytes;
  if (buffer_.size() >= block_size) flush();
}

void OutputFile::flush() {
  for (std::string_view rest = buffer_; !rest.empty();) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, errno);
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer_.clear();
}

void OutputFile::commit() {
  detail::require(descriptor_ >= 0, "{}: commit() after commit()", path_.string());
  flush();
  if (!temporary_.empty()) {
    // Some file systems report a full disk only here, and may rename before they write the data.
    if (::fsync(descriptor_) != 0) fail(path_, errno);
    if (!named_ && !give_name(descriptor_, temporary_)) fail(path_, errno);
    named_ = true;
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(path_, errno);
    named_ = false;
  }
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(path_, errno);
}

}  // namespace sp2dpo::io
