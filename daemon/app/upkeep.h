#pragma once

#include <filesystem>
#include <string>

#include "app/app.h"
#include "support/error.h"

/// `--check-queue`, as the state directory's owner (state_owner.h).
namespace neptune::app {

/// Goes through the change queue and the daemon's memory of a daemon that does not run. An error when something is
/// wrong (code "broken"); its message says what, and what a repair would do. With `repair` it does that, after a copy
/// of each file was made beside it.
Result<std::string> check_queue(const Flags& flags, bool repair);

}  // namespace neptune::app
