#pragma once

#include <filesystem>
#include <string>

#include "app/app.h"
#include "support/error.h"

/// What is done to the state directory by hand, without a daemon: `--check-queue`, `--export`, `--import`. All of it is
/// done as the directory's owner, also when root asks, so that the daemon finds nothing there that it may not write.
namespace neptune::app {

/// Goes through the change queue and the daemon's memory of a daemon that does not run. An error when something is
/// wrong (code "broken"); its message says what, and what a repair would do. With `repair` it does that, after a copy
/// of each file was made beside it.
Result<std::string> check_queue(const Flags& flags, bool repair);

/// Writes the changes that are queued and not on the server into `file` ("-": standard output), but for files that wait
/// to be uploaded: these are on this machine. They stay queued. With `move`, of a daemon that does not run, they are
/// taken out of the queue once `file` is on disk; what may be on the server already stays. A sentence says how many.
Result<std::string> export_queue(const Flags& flags, const std::string& file, bool move);

/// Queues the changes of an exported file, of a daemon that does not run; those that are known from an earlier time are
/// not queued again. A sentence says how many.
Result<std::string> import_queue(const Flags& flags, const std::filesystem::path& file);

}  // namespace neptune::app
