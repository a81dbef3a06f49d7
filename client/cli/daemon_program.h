#pragma once

#include <string>
#include <vector>

namespace neptune::cli {

/// The daemon's program: beside this one, else where the shell finds it.
std::string daemon_program();

/// Goes on as the daemon's program with these arguments, whose output and exit code are then this command's. Returns
/// only when it cannot be started: the sentence that says so.
std::string become_daemon_program(std::vector<std::string> arguments);

}  // namespace neptune::cli
