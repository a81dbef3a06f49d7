#include "client/man/command_tree.h"

#include <CLI/App.hpp>

namespace neptune::man {

namespace {

Argument argument_of(const CLI::Option& option) {
  Argument argument;
  argument.positional = !option.nonpositional();
  if (argument.positional) argument.names.push_back(option.get_name(true));
  for (const auto& name : option.get_snames()) argument.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) argument.names.push_back("--" + name);
  argument.description = option.get_description();
  if (option.get_items_expected_max() > 0) {
    const auto type = option.get_type_name();
    const auto colon = type.find(':');
    argument.value = type.substr(0, colon);
    if (colon != std::string::npos) argument.limits = type.substr(colon + 1);
    argument.preset = option.get_default_str();
  }
  argument.environment = option.get_envname();
  argument.required = option.get_required();
  argument.several = option.get_expected_max() > 1;
  return argument;
}

}  // namespace

std::string described(const Argument& argument) {
  std::string notes;
  const auto note = [&notes](const std::string& text) { notes += (notes.empty() ? "" : "; ") + text; };
  if (!argument.limits.empty()) note(argument.limits);
  if (!argument.preset.empty()) note("default: " + argument.preset);
  if (!argument.environment.empty()) note("else $" + argument.environment);
  if (argument.required && !argument.positional) note("required");
  if (argument.several && !argument.positional) note("may be given several times");
  return notes.empty() ? argument.description : argument.description + " (" + notes + ")";
}

Command command_tree(const CLI::App& app) {
  Command command;
  command.name = app.get_name();
  command.description = app.get_description();
  const auto shown = [](const auto* each) { return !each->get_group().empty(); };
  for (const auto* option : app.get_options(shown)) command.arguments.push_back(argument_of(*option));
  for (const auto* verb : app.get_subcommands(shown)) command.commands.push_back(command_tree(*verb));
  command.alone = app.get_require_subcommand_min() == 0;
  // One that was given none has its parent's.
  if (const auto* above = app.get_parent(); above && app.get_group() != above->get_group())
    command.group = app.get_group();
  return command;
}

}  // namespace neptune::man
