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

namespace {

const char* remedy_for(int error) {
  if (error == EROFS) return "Mount it to be written; where the kernel turned it read-only, `dmesg` tells why.";
  if (error == EIO) return "Look after the disk: `dmesg` tells what the kernel finds wrong with it.";
  if (error == ENOSPC || error == EDQUOT) return "Free some space there.";
  return "It must belong to the user the daemon runs as.";
}

}  // namespace

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
    return fail("state_dir_unusable", fmt::format("the state directory {} cannot be written: {}. {}", path.string(),
                                                  std::strerror(errno), remedy_for(errno)));
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
