#include "support/disk.h"

#include <sys/statvfs.h>

namespace neptune {

std::optional<std::uint64_t> free_space(const std::filesystem::path& path) {
  struct statvfs disk{};
  if (::statvfs(path.c_str(), &disk) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

}  // namespace neptune
