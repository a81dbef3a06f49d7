#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "support/error.h"

/// The composition root: builds everything once, in order, runs it until a signal, and takes it down in reverse.
namespace neptune::app {

struct Flags {
  std::optional<std::filesystem::path> config;
};

inline constexpr auto queue_file = "changes.sqlite3";  ///< in the state directory
inline constexpr auto memory_file = "memory.sqlite3";  ///< likewise

/// "0.1.0"
std::string version();

/// Reads and checks the configuration and the tokens, and says what it found; for `--check-config`.
Result<std::string> check_config(const Flags& flags);

/// The same as `neptune-sync doctor` takes it: JSON of an api::Diagnosis, with checks of "config" and "token" that have
/// no remedies.
std::string config_as_checks(const Flags& flags);

/// All that `neptune-sync doctor` wants to know where no daemon runs: the configuration, and what the running one would
/// tell of its box and of the way to its servers, as far as the caller may see it. A piece at a time, as it is found:
/// JSON of an api::Diagnosis. Changes nothing on disk.
void diagnose(const Flags& flags, const std::function<void(const std::string&)>& tell);

/// Whether the change queue holds nothing, of a daemon that does not run: a sentence. An error when it holds something,
/// or that cannot be told.
Result<std::string> check_unsent(const Flags& flags);

/// Runs the daemon until SIGTERM or SIGINT. An error is one that kept it from starting.
Result<void> run(const Flags& flags);

}  // namespace neptune::app
