#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sources/folder_watch/file_system.h"
#include "sources/folder_watch/inotify.h"
#include "sources/watch_folder.h"

namespace neptune::sources {

/// How a folder is looked through.
struct ScanRules {
  std::string marker{};  ///< a directory that holds a file of this name is what is looked for; nothing below it is
  bool (*marked)(const std::filesystem::path&) = nullptr;  ///< or, in place of it: a directory at such a path is
  unsigned depth = 12;  ///< levels below the folder; our own bound: each directory costs a watch of the kernel's
};

struct ScannedDirectory {
  std::filesystem::path path;
  unsigned depth = 0;
  int watch = -1;  ///< -1: not watched
  bool marked = false;
  std::optional<FileSystem> file_system{};  ///< of one that is on another than its folder, or may be
};

/// Our own bound: each of them is told to people.
inline constexpr std::size_t closed_at_most = 20;

struct Scan {
  std::vector<ScannedDirectory> directories;
  std::optional<Error> watch_problem;   ///< some of them could not be watched
  std::vector<ClosedDirectory> closed;  ///< the first closed_at_most of those below the folder
  unsigned closed_more = 0;             ///< and how many more there are
  unsigned too_deep = 0;                ///< directories below ScanRules::depth, which were not looked into
  bool missing = false;                 ///< the directory it began with is not there
  int error = 0;                        ///< errno of the one it began with
};

/// Looks through `directory` (itself at `depth`), and watches what it finds: each directory first, then it is listed,
/// so that nothing made meanwhile is missed. Does not follow symbolic links below it. What is mounted below it is asked
/// for its file system with `probe`. Blocks.
Scan scan_tree(const std::filesystem::path& directory, unsigned depth, const ScanRules& rules, Inotify* inotify,
               const FileSystemProbe& probe);

}  // namespace neptune::sources
