#pragma once

#include <vector>

#include "config/config.h"
#include "sources/watch_folder.h"

namespace neptune::app {

/// As the configuration, and the environment where the client goes by it, names them.
std::vector<sources::WatchFolder> watch_folders(const config::Config& config);

}  // namespace neptune::app
