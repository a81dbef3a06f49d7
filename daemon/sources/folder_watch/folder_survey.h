#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "sources/folder_watch/file_system.h"
#include "sources/folder_watch/tree_scan.h"
#include "sources/watch_folder.h"

namespace neptune::sources {

struct FoundDirectory {
  std::filesystem::path path;
  FileSystem file_system;
  WatchFolder folder;  ///< the watched one it lies in; of several the innermost
};

/// Directories that `rules` mark in watched folders, but for those `not_of` this kind; each once. A folder that is not
/// there holds nothing; `problems` gets a sentence for what could not be looked into. Blocks.
std::vector<FoundDirectory> survey_folders(const std::vector<WatchFolder>& folders, WatchFolder::Kind not_of,
                                           const ScanRules& rules, std::vector<std::string>& problems);

/// What keeps a folder from being followed as it should be, as a look at itself tells: a sentence, or empty.
/// `interval`: between two looks through it.
std::string trouble_of_itself(const std::filesystem::path& folder, const Scan& scan, const FileSystem& file_system,
                              std::chrono::seconds interval);

/// How a daemon would find a folder, as far as a look at itself tells: what is below it is left alone. Blocks.
WatchState look_at(const std::filesystem::path& folder, std::chrono::seconds interval);

}  // namespace neptune::sources
