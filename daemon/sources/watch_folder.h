#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neptune::sources {

/// One `[[watch]]` of the configuration.
struct WatchFolder {
  std::filesystem::path path;
  enum class Kind : std::uint8_t { automatic, run_logs, client_1x } kind = Kind::automatic;
  std::string project;                                     ///< where 1.x offline runs are created
  std::optional<std::chrono::milliseconds> cleanup_after;  ///< none: never
  std::chrono::milliseconds takeover_after{600000};        ///< how long a 1.x client's leftovers must be quiet
};

/// Whether `path` is `folder` or below it, by whole names: "/data/runs" is not within "/data/run".
constexpr bool is_within(std::string_view path, std::string_view folder) {
  while (folder.ends_with('/')) folder.remove_suffix(1);
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

/// A directory below a watched folder that the daemon's user may not look through: no log in it is seen.
struct ClosedDirectory {
  std::string path;
  std::string owner;  ///< a user's name, or "the user N"
};

/// Why, and what to do, in a sentence about its path.
std::string why_closed(const ClosedDirectory& directory);

struct WatchState {
  std::string path;
  std::string problem;  ///< empty when all is well; else a sentence
  bool network = false;
  bool followed = true;                   ///< false: nothing of it is, as it is not there or cannot be read
  std::vector<ClosedDirectory> closed{};  ///< below it; the first of them, when they are many
  bool finding = false;                   ///< a log was found in it that was not looked at yet
};

}  // namespace neptune::sources
