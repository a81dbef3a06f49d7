#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "client/man/command_tree.h"

/// Completion scripts for shells: verbs, options, files, and the names that the daemon knows.
namespace neptune::completions {

std::string bash(const man::Command& program);
std::string zsh(const man::Command& program);
std::string fish(const man::Command& program);

/// What can be offered for an argument's value.
enum class Offer { nothing, files, scopes, projects, runs, names, shells };

Offer offer_for(const man::Argument& argument);

/// "scopes": what `PROGRAM completion` is asked for at that moment; empty for what it need not be asked.
std::string_view asked(Offer offer);

}  // namespace neptune::completions
