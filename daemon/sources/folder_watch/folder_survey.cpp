#include "sources/folder_watch/folder_survey.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <utility>

namespace neptune::sources {

std::vector<FoundDirectory> survey_folders(const std::vector<WatchFolder>& folders, WatchFolder::Kind not_of,
                                           const ScanRules& rules, std::vector<std::string>& problems) {
  std::map<std::string, FoundDirectory> found;
  for (const auto& folder : folders) {
    if (folder.kind == not_of) continue;
    const auto file_system = file_system_of(folder.path);
    const auto scan = scan_tree(folder.path, 0, rules, nullptr, file_system_of);
    if (scan.missing) continue;
    const auto path = folder.path.string();
    const auto directories = [](std::size_t n) { return n == 1 ? "a directory" : fmt::format("{} directories", n); };
    if (scan.error != 0)
      problems.push_back(fmt::format("{} cannot be looked through ({})", path, std::strerror(scan.error)));
    else if (!scan.closed.empty())
      problems.push_back(
          fmt::format("{} in {} cannot be read", directories(scan.closed.size() + scan.closed_more), path));
    if (scan.too_deep > 0)
      problems.push_back(fmt::format("{} more than {} levels below {}", directories(scan.too_deep), rules.depth, path));
    for (const auto& directory : scan.directories) {
      if (!directory.marked) continue;
      FoundDirectory one{directory.path, directory.file_system.value_or(file_system), folder};
      const auto [known, fresh] = found.try_emplace(directory.path.string(), one);
      const bool inner = folder.path.string().size() > known->second.folder.path.string().size();
      if (!fresh && inner) known->second = std::move(one);
    }
  }
  std::vector<FoundDirectory> all;
  for (auto& [path, one] : found) all.push_back(std::move(one));
  return all;
}

}  // namespace neptune::sources
