#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace neptune::sources {

/// One `[[watch]]` of the configuration.
struct WatchFolder {
  std::filesystem::path path;
  enum class Kind : std::uint8_t { automatic, run_logs, client_1x } kind = Kind::automatic;
  std::string project;                                     ///< where 1.x offline runs are created
  std::optional<std::chrono::milliseconds> cleanup_after;  ///< none: never
  std::chrono::milliseconds takeover_after{600000};        ///< how long a 1.x client's leftovers must be quiet
};

struct WatchState {
  std::string path;
  std::string problem;  ///< empty when all is well; else a sentence
  bool network = false;
};

}  // namespace neptune::sources
