// SPDX-License-Identifier: Apache-2.0
#include "writer_lock.hpp"

#include <cerrno>
#include <list>
#include <mutex>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {

/// A file that this process has opened for its lock. It is never closed: closing any descriptor of
/// a file takes SQLite's own locks on it away from the whole process.
struct WriterLock::Inode {
  dev_t device;
  ino_t number;
  int descriptor;
  bool locked;
};

namespace {

constexpr mode_t default_mode = 0666;  // before the umask

[[noreturn]] void fail(const std::string& name, const std::string& message) {
  throw DataError(name, 0, "", message);
}

[[noreturn]] void fail_as_busy(const std::string& name) {
  fail(name, "another process is writing to this store");
}

/// True where flock() locks by the same means as SQLite, which would lock itself out.
bool is_network(int descriptor) {
  struct statfs system {};
  if (::fstatfs(descriptor, &system) != 0) return false;
  constexpr unsigned nfs = 0x6969, smb = 0x517B, smb2 = 0xFE534D42, cifs = 0xFF534D42;
  const auto type = static_cast<unsigned>(system.f_type);
  return type == nfs || type == smb || type == smb2 || type == cifs;
}

}  // namespace

WriterLock::WriterLock(const std::string& name, const std::filesystem::path& file, bool wanted) {
  if (!wanted) return;
  const auto beside = file.string() + ".lock";
  by_name_ = ::open(beside.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, default_mode);
  if (by_name_ < 0)
    fail(name, fmt::format("cannot create {}: {}", beside, std::generic_category().message(errno)));
  try {
    if (::flock(by_name_, LOCK_EX | LOCK_NB) != 0) fail_as_busy(name);
    lock_inode(name, file);
  } catch (...) {
    ::close(by_name_);
    throw;
  }
}

void WriterLock::lock_inode(const std::string& name, const std::filesystem::path& file) {
  static std::mutex mutex;
  static std::list<Inode> known;
  const std::scoped_lock lock(mutex);
  struct stat found {};
  if (::stat(file.c_str(), &found) == 0)
    for (auto& inode : known)
      if (inode.device == found.st_dev && inode.number == found.st_ino) inode_ = &inode;
  if (inode_ == nullptr) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, default_mode);
    if (descriptor < 0 || ::fstat(descriptor, &found) != 0)
      fail(name, fmt::format("cannot be opened: {}", std::generic_category().message(errno)));
    known.push_back({found.st_dev, found.st_ino, descriptor, false});
    inode_ = &known.back();
  }
  if (inode_->locked ||
      (!is_network(inode_->descriptor) && ::flock(inode_->descriptor, LOCK_EX | LOCK_NB) != 0 &&
       errno == EWOULDBLOCK)) {
    inode_ = nullptr;
    fail_as_busy(name);
  }
  inode_->locked = true;
}

WriterLock::~WriterLock() {
  if (inode_ != nullptr) {
    (void)::flock(inode_->descriptor, LOCK_UN);
    inode_->locked = false;
  }
  if (by_name_ >= 0) ::close(by_name_);
}

}  // namespace sp2dpo::annotate
