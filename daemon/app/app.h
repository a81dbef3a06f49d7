#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "support/error.h"

/// The composition root: builds everything once, in order, runs it until a signal, and takes it down in reverse.
namespace neptune::app {

struct Flags {
  std::optional<std::filesystem::path> config;
};

/// "0.1.0"
std::string version();

/// Reads and checks the configuration and the tokens, and says what it found; for `--check-config`.
Result<std::string> check_config(const Flags& flags);

/// Runs the daemon until SIGTERM or SIGINT. An error is one that kept it from starting.
Result<void> run(const Flags& flags);

}  // namespace neptune::app
