#include "support/file_set.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "support/reading.h"
#include "support/try.h"

namespace neptune {

namespace fs = std::filesystem;

namespace {

bool has_magic(std::string_view part) {
  return part.find_first_of("*?[") != std::string_view::npos;
}

bool is_nothing(int error) {
  return error == ENOENT || error == ENOTDIR;
}

/// For messages: a name on disk is bytes of any kind.
std::string shown(const fs::path& path) {
  auto text = path.string();
  for (auto& c : text)
    if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) c = '?';
  return text.substr(0, 300);
}

std::unexpected<Error> not_looked_into(const fs::path& path, int error) {
  if (error == EACCES || error == EPERM)
    return fail("file_not_readable",
                fmt::format("the folder {} may not be read by the daemon; give its user read access", shown(path)));
  if (passes(error))
    return fail("file_unreadable_now",
                fmt::format("the folder {} cannot be read now ({}); it is tried again", shown(path), strerror(error)),
                true);
  return fail("file_unreadable", fmt::format("the folder {} cannot be read ({}); see to it, then try it again",
                                             shown(path), strerror(error)));
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

/// Null where it is none, or is not there; a link to one is followed.
Result<Folder> open_folder(const fs::path& path, std::optional<std::uint32_t> reader) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 && is_nothing(errno)) return Folder();
  if (fd < 0) return not_looked_into(path, errno);
  Folder folder(::fdopendir(fd));
  struct stat about{};
  if (!folder || ::fstat(fd, &about) != 0) {
    const int error = errno;
    if (!folder) ::close(fd);
    return not_looked_into(path, error);
  }
  if (may_be_read_for(reader, fd, about)) return folder;
  return fail("file_not_theirs",
              fmt::format("the folder {} belongs to another user and is not readable by everybody, so it is not looked "
                          "into on behalf of uid {}; copy its files to a folder of their own",
                          shown(path), *reader));
}

class Search {
 public:
  Search(std::size_t most, std::optional<std::uint32_t> reader) : left_(most), reader_(reader) {}

  Result<void> match(const std::string& pattern) {
    parts_.clear();
    bool upwards = false;
    for (const auto& part : fs::path(pattern).relative_path()) {
      upwards = upwards || part == ".." || part == ".";
      if (!part.empty()) parts_.push_back(part.string());
    }
    if (!pattern.starts_with('/') || upwards || pattern.find('\0') != std::string::npos)
      return fail(
          "file_path_invalid",
          fmt::format("'{}' is no pattern of files to upload: it must be absolute, without '..'", shown(pattern)));
    return descend("/", 0);
  }

  const std::set<fs::path>& matches() const { return matches_; }

  /// The path, or all that is in it and no folder.
  Result<void> walk(const fs::path& path, std::set<fs::path>& files) {
    if (!is_folder(path)) {
      files.insert(path);
      return {};
    }
    auto entries = list(path);
    if (!entries) return std::unexpected(std::move(entries.error()));
    for (const auto& entry : *entries) NEPTUNE_TRY(walk(entry, files));
    return {};
  }

  static bool is_folder(const fs::path& path) {
    std::error_code ignored;
    return fs::symlink_status(path, ignored).type() == fs::file_type::directory;
  }

 private:
  Result<void> descend(const fs::path& at, std::size_t next) {
    if (next == parts_.size()) {
      struct stat about{};
      if (::lstat(at.c_str(), &about) == 0) {
        matches_.insert(at);
      } else if (!is_nothing(errno)) {
        return not_looked_into(at, errno);
      }
      return {};
    }
    const auto& part = parts_[next];
    if (!has_magic(part)) return descend(at / part, next + 1);
    const bool any_depth = part == "**";
    if (any_depth) NEPTUNE_TRY(descend(at, next + 1));
    // As the last part it stands for the folder itself, and so for all that is in it.
    if (any_depth && next + 1 == parts_.size()) return {};
    auto entries = list(at);
    if (!entries) return std::unexpected(std::move(entries.error()));
    for (const auto& entry : *entries) {
      const auto name = entry.filename().string();
      if (any_depth && !name.starts_with('.') && is_folder(entry)) NEPTUNE_TRY(descend(entry, next));
      if (!any_depth && ::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD | FNM_NOESCAPE) == 0)
        NEPTUNE_TRY(descend(entry, next + 1));
    }
    return {};
  }

  Result<std::vector<fs::path>> list(const fs::path& path) {
    auto folder = open_folder(path, reader_);
    if (!folder) return std::unexpected(std::move(folder.error()));
    std::vector<fs::path> entries;
    if (!*folder) return entries;
    for (;;) {
      errno = 0;
      const auto* entry = ::readdir(folder->get());
      if (entry == nullptr && errno != 0) return not_looked_into(path, errno);
      if (entry == nullptr) return entries;
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (left_ == 0)
        return fail(
            "file_set_too_large",
            fmt::format("the files to upload are looked for among too many, in {}; name fewer of them", shown(path)));
      --left_;
      entries.push_back(path / name);
    }
  }

  std::vector<std::string> parts_;
  std::set<fs::path> matches_;
  std::size_t left_;
  std::optional<std::uint32_t> reader_;
};

fs::path common_folder(const std::set<fs::path>& matches) {
  auto common = *matches.begin();
  for (const auto& path : matches) {
    fs::path both;
    auto a = common.begin(), b = path.begin();
    for (; a != common.end() && b != path.end() && *a == *b; ++a, ++b) both /= *a;
    common = std::move(both);
  }
  return Search::is_folder(common) ? common : common.parent_path();
}

}  // namespace

Result<FileSet> find_files(const std::vector<std::string>& patterns, std::size_t most,
                           std::optional<std::uint32_t> reader) {
  Search search(most, reader);
  for (const auto& pattern : patterns) NEPTUNE_TRY(search.match(pattern));
  std::set<fs::path> files;
  for (const auto& match : search.matches()) NEPTUNE_TRY(search.walk(match, files));
  FileSet set;
  if (files.empty()) return set;
  const auto folder = common_folder(search.matches());
  for (const auto& file : files) set.members.push_back({file, file.lexically_relative(folder).string()});
  return set;
}

}  // namespace neptune
