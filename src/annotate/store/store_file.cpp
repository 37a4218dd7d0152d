// SPDX-License-Identifier: Apache-2.0
#include "store_file.hpp"

#include <system_error>

#include "text/real_path.hpp"
#include <fmt/format.h>
#include <unistd.h>

#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {

namespace fs = std::filesystem;

fs::path store_file(const fs::path& path) {
  const std::string name = path.string();
  const auto refuse = [&](const std::string& message) { throw DataError(name, 0, "", message); };
  if (name.empty()) throw DataError("the store", 0, "", "its file name is empty; expected a name");
  if (name == ":memory:" || name.starts_with("file:"))
    refuse(
        fmt::format("SQLite would keep nothing, or keep it elsewhere, under this name; write "
                    "./{} for a file of that name",
                    name));
  std::error_code error;
  const auto status = fs::status(path, error);
  if (fs::is_directory(status)) refuse("is a folder; a store is a file");
  const std::string normal = fs::absolute(path).lexically_normal().string();
  const bool is_device = (normal.starts_with("/dev/") && !normal.starts_with("/dev/shm/")) ||
                         normal.starts_with("/proc/");
  if (is_device || (fs::exists(status) && !fs::is_regular_file(status)))
    refuse("is not a regular file, so that nothing would be kept in it");
  const fs::path real = fs::absolute(text::link_target(path));
  const fs::path folder = fs::canonical(real.parent_path(), error);
  return error ? real : folder / real.filename();
}

bool is_frozen(const fs::path& file) {
  std::error_code missing;
  if (::access(file.parent_path().c_str(), W_OK) == 0) return false;
  const auto log = fs::file_size(file.string() + "-wal", missing);
  return missing || log == 0;
}

std::string immutable_uri(const fs::path& file) {
  std::string uri = "file:";
  for (const char c : file.string()) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '%' || c == '?' || c == '#')
      uri += fmt::format("%{:02x}", byte);
    else
      uri += c;
  }
  return uri + "?immutable=1";
}

}  // namespace sp2dpo::annotate
