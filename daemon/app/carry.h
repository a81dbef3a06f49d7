#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "app/app.h"
#include "support/error.h"

/// `--export` and `--import`: what is not sent, in a file for another machine (portable_file.h; why it is as it is:
/// docs/decisions/0010). Both act as the state directory's owner.
namespace neptune::app {

struct Carried {
  std::string text;        ///< sentences: what is in the file, or was taken from it, and what was not
  bool everything = true;  ///< what waits here to be sent is all in it, or all that is in it was taken
};

/// Writes what is not on the server into `file` ("-": standard output). It stays here as well. With `move`, of a daemon
/// that does not run, it is taken out of here once `file` is on disk; what may be on the server already stays.
Result<Carried> export_unsent(const Flags& flags, const std::string& file, bool move);

/// Takes what an exported file holds, of a daemon that does not run; what is known from an earlier time is not taken
/// again, and a change whose key was given to another one here is not taken. Logs are put below `into`, or the first
/// folder that is watched for such.
Result<Carried> import_unsent(const Flags& flags, const std::filesystem::path& file,
                              const std::optional<std::filesystem::path>& into);

}  // namespace neptune::app
