#include "support/reading.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace neptune {

namespace {

/// By the path that the descriptor has now: no link leads elsewhere.
bool is_everybodys(int fd, const struct stat& about) {
  if ((about.st_mode & S_IROTH) == 0) return false;
  std::error_code error;
  const auto path = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", fd), error);
  if (error || !path.is_absolute()) return false;
  for (auto folder = path.parent_path();; folder = folder.parent_path()) {
    struct stat above{};
    if (::lstat(folder.c_str(), &above) != 0 || !S_ISDIR(above.st_mode) || (above.st_mode & S_IXOTH) == 0) return false;
    if (folder == folder.parent_path()) return true;
  }
}

}  // namespace

bool may_be_read_for(std::optional<std::uint32_t> reader, int fd, const struct stat& about) {
  if (!reader || *reader == 0 || *reader == ::geteuid()) return true;
  return about.st_uid == *reader || is_everybodys(fd, about);
}

bool passes(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EINTR:
    case EAGAIN:
    case EBUSY:
    case ESTALE:
    case ETIMEDOUT:
    case ENOTCONN:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace neptune
