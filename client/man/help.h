#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "client/man/command_tree.h"
#include "client/man/page.h"

namespace CLI {
class App;
}

/// What `--help` prints, 80 columns wide.
namespace neptune::man {

inline constexpr std::size_t help_width = 80;

/// `path` is the command as it is written, "neptune-sync run log". Of `examples`, whose terms are command lines and
/// which may be those of all commands, it shows those that are of this one. `footer` comes last, as it is.
std::string help(const Command& command, const std::string& path, const std::vector<Entry>& examples,
                 const std::string& footer);

/// Has a program, and every command that is added to it from then on, print that. Both functions are asked when
/// somebody asks for help.
void use_help(CLI::App& app, std::vector<Entry> (*examples)(), std::string (*footer)(bool top));

}  // namespace neptune::man
