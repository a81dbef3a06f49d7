#include "client/man/help.h"

#include <CLI/App.hpp>
#include <algorithm>

#include "client/man/wrap.h"

namespace neptune::man {

namespace {

constexpr auto width = help_width;
constexpr std::size_t text_at = 26;  // where the second of two columns begins
constexpr std::size_t most_examples = 2;

/// "RUN [NAME=VALUE...]"
std::string usage_of(const Command& command) {
  std::string usage;
  for (const auto& argument : command.arguments) {
    if (!argument.positional) continue;
    const auto name = argument.names.front() + (argument.several ? "..." : "");
    usage += argument.required ? " " + name : " [" + name + "]";
  }
  if (!command.commands.empty()) usage += command.alone ? " [COMMAND]" : " COMMAND";
  return usage;
}

std::string term_of(const Argument& argument) {
  std::string term;
  for (const auto& name : argument.names) term += (term.empty() ? "" : ",") + name;
  return argument.positional || argument.value.empty() ? term : term + " " + argument.value;
}

/// In two columns; a term that is too long for the first has a line to itself.
std::string entry(const std::string& term, const std::string& text) {
  const std::string indent(text_at, ' ');
  auto first = "  " + term;
  if (columns(first) + 2 > text_at) return first + "\n" + wrap(text, width, indent, indent);
  first.resize(text_at, ' ');
  return wrap(text, width, first, indent);
}

std::string part(const std::string& title, const std::string& entries) {
  return entries.empty() ? "" : "\n" + title + ":\n" + entries;
}

std::string arguments_of(const Command& command, bool positional) {
  std::string out;
  for (const auto& argument : command.arguments)
    if (argument.positional == positional) out += entry(term_of(argument), described(argument));
  return out;
}

/// In the order they were added; a group has its title above the first of it.
std::string commands_of(const Command& command) {
  std::string out, group;
  for (const auto& each : command.commands) {
    if (each.group != group) out += " " + each.group + "\n";
    group = each.group;
    out += entry(each.name, each.description);
  }
  return out;
}

/// A command's own come before those of the commands below it.
std::string examples_of(const std::string& path, const std::vector<Entry>& examples) {
  std::string out;
  std::size_t shown = 0;
  for (const auto& [command, text] : examples) {
    if (command != path && !command.starts_with(path + " ")) continue;
    if (++shown > most_examples) break;
    out += wrap(text, width, "  # ", "  # ") + "  " + command + "\n";
  }
  return out;
}

}  // namespace

std::string help(const Command& command, const std::string& path, const std::vector<Entry>& examples,
                 const std::string& footer) {
  auto out = wrap(command.description + (command.description.ends_with('.') ? "" : "."), width, "", "");
  const std::string indent(columns("Usage: " + path + " "), ' ');
  out += "\n" + wrap("[OPTIONS]" + usage_of(command), width, "Usage: " + path + " ", indent);
  out += part("Commands", commands_of(command));
  out += part("Arguments", arguments_of(command, true));
  out += part("Options", arguments_of(command, false));
  out += part("Examples", examples_of(path, examples));
  return footer.empty() ? out : out + "\n" + footer;
}

void use_help(CLI::App& app, std::vector<Entry> (*examples)(), std::string (*footer)(bool top)) {
  app.formatter_fn([examples, footer](const CLI::App* of, const std::string& path, CLI::AppFormatMode) {
    return help(command_tree(*of), path, examples(), footer(of->get_parent() == nullptr));
  });
}

}  // namespace neptune::man
