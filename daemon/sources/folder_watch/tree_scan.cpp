#include "sources/folder_watch/tree_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "support/users.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t coming_and_going =
    IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_EXCL_UNLINK;
// IN_OPEN and IN_CLOSE_WRITE: somebody came to it, or left it.
constexpr std::uint32_t every_touch = coming_and_going | IN_MODIFY | IN_OPEN | IN_CLOSE_WRITE;

// Large trees that never hold what is looked for, and for run logs the directories of neptune 1.x.
bool skipped(const fs::path& directory, std::string_view name, const ScanRules& rules) {
  for (const auto* never : {".git", "node_modules", "__pycache__", ".venv", ".cache", "lost+found"})
    if (name == never) return true;
  return !rules.marked && directory.filename() == ".neptune" &&
         (name == "offline" || name == "async" || name == "sync");
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

struct Listing {
  bool readable = false;
  int error = 0;
  bool marked = false;
  std::vector<std::string> subdirectories;
};

bool is_directory(int at, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat data{};
  return fstatat(at, entry.d_name, &data, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(data.st_mode);
}

Listing list(const fs::path& path, bool follow, const ScanRules& rules) {
  Listing out;
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
  const std::unique_ptr<DIR, CloseDirectory> directory(fd < 0 ? nullptr : fdopendir(fd));
  if (!directory) {
    out.error = errno;
    return out;
  }
  out.readable = true;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (name == rules.marker)
      out.marked = true;
    else if (is_directory(dirfd(directory.get()), *entry) && !skipped(path, name, rules))
      out.subdirectories.emplace_back(name);
  }
  return out;
}

class Scanner {
 public:
  Scanner(const ScanRules& rules, Inotify* inotify, const FileSystemProbe& probe)
      : rules_(rules), inotify_(inotify), probe_(probe) {}

  void look(const fs::path& path, unsigned depth, bool first, std::optional<FileSystem> above = std::nullopt) {
    // Of the one that a later scan begins with it is not known what lies between it and the folder.
    const auto file_system = depth > 0 && (first || is_mounted(path)) ? std::optional(probe_(path)) : above;
    // The folder itself may be a link; what is below it may not lead out of it.
    const bool follow = depth == 0;
    const bool marked = rules_.marked && rules_.marked(path);
    ScannedDirectory found{path, depth, watch(path, marked ? every_touch : coming_and_going, follow), marked,
                           file_system};
    if (marked && depth > 0) {  // whatever is in it, and whether or not it can be read
      scan_.directories.push_back(std::move(found));
      return;
    }
    auto listing = list(path, follow, rules_);
    if (!listing.readable) {
      if (first) scan_.error = listing.error;
      scan_.missing |= first && (listing.error == ENOENT || listing.error == ENOTDIR);
      if (listing.error == EACCES && depth > 0) add_closed(path);
      return;
    }
    if (listing.marked) watch(path, every_touch, follow);
    found.marked |= listing.marked;
    const bool ends = found.marked || depth >= rules_.depth;
    if (ends && !found.marked) scan_.too_deep += static_cast<unsigned>(listing.subdirectories.size());
    scan_.directories.push_back(std::move(found));
    if (ends) return;
    for (const auto& name : listing.subdirectories) look(path / name, depth + 1, false, file_system);
  }

  Scan take() { return std::move(scan_); }

 private:
  void add_closed(const fs::path& path) {
    struct stat data{};
    if (::lstat(path.c_str(), &data) != 0) return;
    if (scan_.closed.size() == closed_at_most)
      ++scan_.closed_more;
    else
      scan_.closed.push_back(
          {path.string(), user_name(data.st_uid).value_or("the user " + std::to_string(data.st_uid))});
  }

  static bool is_mounted(const fs::path& path) {
    struct stat data{}, parent{};
    return lstat(path.c_str(), &data) == 0 && lstat(path.parent_path().c_str(), &parent) == 0 &&
           data.st_dev != parent.st_dev;
  }

  int watch(const fs::path& path, std::uint32_t mask, bool follow) {
    if (!inotify_) return -1;
    auto watch = inotify_->watch(path, follow ? mask : mask | IN_DONT_FOLLOW);
    if (watch) return *watch;
    if (watch.error().code == "inotify_limit") scan_.watch_problem = std::move(watch.error());
    return -1;
  }

  const ScanRules& rules_;
  Inotify* inotify_;
  const FileSystemProbe& probe_;
  Scan scan_;
};

}  // namespace

Scan scan_tree(const fs::path& directory, unsigned depth, const ScanRules& rules, Inotify* inotify,
               const FileSystemProbe& probe) {
  Scanner scanner(rules, inotify, probe);
  scanner.look(directory, depth, true);
  return scanner.take();
}

}  // namespace neptune::sources
