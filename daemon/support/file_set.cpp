#include "support/file_set.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "support/try.h"

namespace neptune {

namespace fs = std::filesystem;

namespace {

bool has_magic(std::string_view part) {
  return part.find_first_of("*?[") != std::string_view::npos;
}

bool is_nothing(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
}

/// For messages: a name on disk is bytes of any kind.
std::string shown(const fs::path& path) {
  auto text = path.string();
  for (auto& c : text)
    if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) < 0x20) c = '?';
  return text.substr(0, 300);
}

std::unexpected<Error> not_looked_into(const fs::path& path, const std::error_code& error) {
  if (error == std::errc::permission_denied || error == std::errc::operation_not_permitted)
    return fail("file_not_readable",
                fmt::format("the folder {} may not be read by the daemon; give its user read access", shown(path)));
  return fail("file_unreadable_now",
              fmt::format("the folder {} cannot be read now ({}); it is tried again", shown(path), error.message()),
              true);
}

class Search {
 public:
  explicit Search(std::size_t most) : left_(most) {}

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
      std::error_code ignored;
      const auto type = fs::symlink_status(at, ignored).type();
      if (type != fs::file_type::not_found && type != fs::file_type::none) matches_.insert(at);
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

  Result<std::vector<fs::path>> list(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> entries;
    fs::directory_iterator entry(folder, error);
    for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
      if (left_ == 0)
        return fail(
            "file_set_too_large",
            fmt::format("the files to upload are looked for among too many, in {}; name fewer of them", shown(folder)));
      --left_;
      entries.push_back(entry->path());
    }
    if (error && !is_nothing(error)) return not_looked_into(folder, error);
    return entries;
  }

  std::vector<std::string> parts_;
  std::set<fs::path> matches_;
  std::size_t left_;
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

Result<FileSet> find_files(const std::vector<std::string>& patterns, std::size_t most) {
  Search search(most);
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
