#include "support/disk.h"

#include <sys/statvfs.h>

namespace neptune {

std::optional<std::uint64_t> free_space(const std::filesystem::path& path) {
  struct statvfs disk{};
  if (::statvfs(path.c_str(), &disk) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

std::error_code keep_private(const std::filesystem::path& file) {
  using std::filesystem::perms;
  std::error_code error;
  const auto mode = std::filesystem::status(file, error).permissions();
  if (!error && (mode & (perms::group_all | perms::others_all)) != perms::none)
    std::filesystem::permissions(file, mode & perms::owner_all, error);
  return error;
}

}  // namespace neptune
