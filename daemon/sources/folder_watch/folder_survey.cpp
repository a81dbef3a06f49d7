#include "sources/folder_watch/folder_survey.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <utility>

namespace neptune::sources {

std::string trouble_of_itself(const std::filesystem::path& folder, const Scan& scan, const FileSystem& file_system,
                              std::chrono::seconds interval) {
  const auto path = folder.string();
  if (scan.missing) return fmt::format("{} is not there yet; it will be watched as soon as it is made", path);
  if (scan.error != 0)
    return fmt::format("{} cannot be read ({}); let the daemon's user read it", path, std::strerror(scan.error));
  if (file_system.network)
    return fmt::format(
        "{} is on a network file system ({}): only closed run logs are taken from it, and it is "
        "looked through every {} seconds",
        path, file_system.name, interval.count());
  return {};
}

WatchState look_at(const std::filesystem::path& folder, std::chrono::seconds interval) {
  const ScanRules nothing_below{.depth = 0};
  const auto scan = scan_tree(folder, 0, nothing_below, nullptr, file_system_of);
  WatchState state;
  state.path = folder.string();
  state.followed = !scan.missing && scan.error == 0;
  const auto file_system = state.followed ? file_system_of(folder) : FileSystem();
  state.network = file_system.network;
  state.problem = trouble_of_itself(folder, scan, file_system, interval);
  return state;
}

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
