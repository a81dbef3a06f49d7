#include "sources/client_dir/dir_moves.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "sources/client_dir/dir_files.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

/// O_PATH: to find others below it; O_RDONLY: to look into it. errno tells why not.
Descriptor folder_in(const Descriptor& folder, const char* name, int how) {
  return Descriptor(::openat(folder.get(), name, how | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/// The directory at the path, where it is the one that is meant; errno tells why not.
Descriptor open_this(const fs::path& path, const SourceKey& is) {
  auto directory = open_directory(path);
  struct stat about{};
  if (directory && (::fstat(directory.get(), &about) != 0 || about.st_dev != is.device || about.st_ino != is.inode)) {
    directory = Descriptor();
    errno = ENOENT;
  }
  return directory;
}

/// As the folder above it, for all who use that.
bool give_to_owner_of(const Descriptor& above, const Descriptor& folder) {
  struct stat wanted{}, about{};
  if (::fstat(above.get(), &wanted) != 0 || ::fstat(folder.get(), &about) != 0) return false;
  const bool theirs = about.st_uid == wanted.st_uid && about.st_gid == wanted.st_gid;
  if (!theirs && ::fchown(folder.get(), wanted.st_uid, wanted.st_gid) != 0 && about.st_uid != wanted.st_uid)
    return false;
  return ::fchmod(folder.get(), wanted.st_mode & 07777) == 0;
}

Descriptor make_async(const Descriptor& above) {
  constexpr const char* name = "async";
  const bool made = ::mkdirat(above.get(), name, 0700) == 0;
  if (!made && errno != EEXIST) return {};
  auto folder = folder_in(above, name, made ? O_RDONLY : O_PATH);
  if (!folder || !made || give_to_owner_of(above, folder)) return folder;
  const int error = errno;
  ::unlinkat(above.get(), name, AT_REMOVEDIR);
  errno = error;
  return {};
}

std::vector<std::string> names_in(const Descriptor& folder) {
  struct Close {
    void operator()(DIR* listing) const { ::closedir(listing); }
  };
  const int fd = ::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, Close> listing(fd < 0 ? nullptr : ::fdopendir(fd));
  std::vector<std::string> names;
  while (const dirent* entry = listing ? ::readdir(listing.get()) : nullptr)
    if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
  return names;
}

bool empty(const Descriptor& folder) {
  for (const auto& name : names_in(folder)) {
    if (::unlinkat(folder.get(), name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return false;
    const auto below = folder_in(folder, name.c_str(), O_RDONLY);
    if (!below || !empty(below) || ::unlinkat(folder.get(), name.c_str(), AT_REMOVEDIR) != 0) return false;
  }
  return true;
}

}  // namespace

Result<fs::path> rename_to_async(const fs::path& from, const SourceKey& is, const std::string& name) {
  const auto to = from.parent_path().parent_path() / "async" / name;
  const auto failed = [&from, &to] {
    return fail("client_dir_not_renamed",
                fmt::format("{} cannot be renamed to {} ({})", from.string(), to.string(), std::strerror(errno)));
  };
  const auto directory = open_this(from, is);
  if (!directory) return failed();
  const auto folder = folder_in(directory, "..", O_PATH);
  if (!folder) return failed();
  const auto above = folder_in(folder, "..", O_PATH);
  if (!above) return failed();
  const auto async = make_async(above);
  if (!async) return failed();
  const auto old_name = from.filename().string();
  if (::renameat2(folder.get(), old_name.c_str(), async.get(), name.c_str(), RENAME_NOREPLACE) != 0) return failed();
  return to;
}

Result<void> remove_directory(const fs::path& path, const SourceKey& is) {
  const auto failed = [&path] {
    return fail("client_dir_not_removed",
                fmt::format("{} cannot be removed ({})", path.string(), std::strerror(errno)));
  };
  const auto directory = open_this(path, is);
  if (!directory) return failed();
  const auto folder = folder_in(directory, "..", O_PATH);
  if (!folder || !empty(directory)) return failed();
  if (::unlinkat(folder.get(), path.filename().c_str(), AT_REMOVEDIR) != 0) return failed();
  return {};
}

}  // namespace neptune::sources
