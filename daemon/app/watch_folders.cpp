#include "app/watch_folders.h"

#include <cstdlib>

namespace neptune::app {

namespace {

sources::WatchFolder watch_folder(const config::WatchConfig& watch) {
  using Kind = sources::WatchFolder::Kind;
  sources::WatchFolder folder;
  folder.path = watch.path;
  folder.kind = watch.kind == "run-logs"    ? Kind::run_logs
                : watch.kind == "client-1x" ? Kind::client_1x
                                            : Kind::automatic;
  folder.project = watch.project;
  // What the client itself goes by.
  if (const char* project = std::getenv("NEPTUNE_PROJECT"); folder.project.empty() && project) folder.project = project;
  folder.cleanup_after = watch.cleanup_after;
  folder.takeover_after = watch.takeover_after;
  return folder;
}

}  // namespace

std::vector<sources::WatchFolder> watch_folders(const config::Config& config) {
  std::vector<sources::WatchFolder> folders;
  for (const auto& watch : config.watches) folders.push_back(watch_folder(watch));
  return folders;
}

}  // namespace neptune::app
