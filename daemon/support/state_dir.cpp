#include "support/state_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace neptune {

Result<StateDir> StateDir::open(const std::filesystem::path& path) {
  std::error_code made;
  if (std::filesystem::create_directories(path, made))
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, made);
  if (made)
    return fail("state_dir_unusable", fmt::format("the state directory {} cannot be made: {}. Make it, owned by the "
                                                  "user the daemon runs as, or set state_dir.",
                                                  path.string(), made.message()));
  const auto file = path / "lock";
  Descriptor lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock)
    return fail(
        "state_dir_unusable",
        fmt::format("the state directory {} cannot be written: {}. It must belong to the user the daemon runs as.",
                    path.string(), std::strerror(errno)));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(
        "state_dir_in_use",
        fmt::format(
            "another neptune-syncd uses the state directory {}. Stop it, or give this one a state_dir of its own.",
            path.string()));
  StateDir dir(path, std::move(lock));
  dir.restore_reserve();
  return dir;
}

bool StateDir::release_reserve() {
  std::error_code ignored;
  return std::filesystem::remove(path_ / "reserve", ignored);
}

bool StateDir::restore_reserve() {
  const auto file = path_ / "reserve";
  struct stat present{};
  if (::stat(file.c_str(), &present) == 0 && static_cast<std::uint64_t>(present.st_blocks) * 512 >= reserve_bytes)
    return true;
  const Descriptor reserve(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!reserve) return false;
  // With something left beside it, or what is written next would have it given back again.
  const bool whole = ::posix_fallocate(reserve.get(), 0, static_cast<off_t>(reserve_bytes + left_beside)) == 0 &&
                     ::ftruncate(reserve.get(), static_cast<off_t>(reserve_bytes)) == 0;
  if (!whole) release_reserve();
  return whole;
}

}  // namespace neptune
