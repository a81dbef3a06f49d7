#pragma once

#include <filesystem>

#include "support/error.h"
#include "support/state_dir.h"

/// Whoever does something to a state directory by hand does it as the directory's owner, so that the daemon finds
/// nothing there that it may not write.
namespace neptune::app {

/// Root becomes the directory's owner, for good.
Result<void> act_as_owner_of(const std::filesystem::path& directory);

/// The state directory of a daemon that does not run, for as long as this lives. As its owner.
Result<StateDir> claim(const std::filesystem::path& directory);

}  // namespace neptune::app
