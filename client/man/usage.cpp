#include "client/man/usage.h"

#include <CLI/App.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "support/spelling.h"

namespace neptune::man {

namespace {

/// The command that was given, with all above it.
struct Given {
  std::vector<const CLI::App*> commands;  ///< the program first
  std::string path;                       ///< "neptune-sync run log"
};

Given given(const CLI::App& app) {
  Given found{.commands = {&app}, .path = app.get_name()};
  for (auto below = app.get_subcommands(); !below.empty(); below = below.front()->get_subcommands()) {
    found.commands.push_back(below.front());
    found.path += " " + below.front()->get_name();
  }
  return found;
}

bool is_shown(const CLI::App* command) {
  return !command->get_group().empty();
}

std::vector<std::string> commands_below(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* each : command.get_subcommands(is_shown)) names.push_back(each->get_name());
  return names;
}

constexpr std::size_t few = 12;  // commands that can be listed in a sentence

std::vector<std::string> options_of(const Given& given) {
  std::vector<std::string> names;
  for (const auto* command : given.commands)
    for (const auto* option : command->get_options([](const CLI::Option* each) { return !each->get_group().empty(); }))
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

/// Where below a command one of that very name is: "run create", "project create".
void look_for(const std::string& word, const CLI::App& command, const std::string& path,
              std::vector<std::string>& found) {
  for (const auto* each : command.get_subcommands(is_shown)) {
    const auto here = path + " " + each->get_name();
    if (each->get_name() == word) found.push_back(here);
    look_for(word, *each, here, found);
  }
}

std::string in_quotes(const std::string& text) {
  return "`" + text + "`";
}

std::string list(const std::vector<std::string>& words, const std::string& before_last) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i)
    out += (i == 0 ? "" : i + 1 == words.size() ? before_last : ", ") + words[i];
  return out;
}

std::string meant(const std::vector<std::string>& words) {
  return words.empty() ? "" : " Did you mean " + list(words, " or ") + "?";
}

std::string followed_by(const Given& given, const std::vector<std::string>& names) {
  return in_quotes(given.path) + " is followed by " + list(names, " or ") + ".";
}

std::string unknown_option(const std::string& word, const Given& given) {
  const auto name = word.substr(0, word.find('='));
  const auto near = closest(name, options_of(given));
  return "'" + name + "' is no option of " + in_quotes(given.path) + "." +
         meant(near.empty() ? std::vector<std::string>{} : std::vector<std::string>{near});
}

std::string unknown_command(const std::string& word, const Given& given) {
  std::vector<std::string> likely;
  if (const auto near = closest(word, commands_below(*given.commands.back())); !near.empty())
    likely.push_back(given.path + " " + near);
  else
    look_for(word, *given.commands.front(), given.commands.front()->get_name(), likely);
  // A project behind what is followed by a command: most likely, what there is of it was to be listed.
  if (likely.empty() && word.find('/') != std::string::npos)
    for (const auto& name : commands_below(*given.commands.back()))
      if (name == "list") likely.push_back(given.path + " list " + word);
  for (auto& each : likely) each = in_quotes(each);
  const auto names = commands_below(*given.commands.back());
  return "'" + word + "' is no command of " + in_quotes(given.path) + "." + meant(likely) +
         (likely.empty() && names.size() <= few ? " " + followed_by(given, names) : "");
}

/// "neptune-sync wait --run r1": a name where none stands alone.
std::vector<std::string> as_option(const std::string& word, const Given& given) {
  const auto* option = word.find('/') == std::string::npos ? "--run" : "--project";
  for (const auto* each : given.commands.back()->get_options())
    if (each->check_lname(option + 2) && each->count() == 0) return {in_quotes(given.path + " " + option + " " + word)};
  return {};
}

std::string unknown(const std::string& word, const Given& given) {
  if (word.starts_with("-") && word.size() > 1) return unknown_option(word, given);
  if (!commands_below(*given.commands.back()).empty()) return unknown_command(word, given);
  return "'" + word + "' is one argument too many for " + in_quotes(given.path) + "." + meant(as_option(word, given));
}

bool needs_command(const CLI::App& command) {
  return command.get_require_subcommand_min() > 0 && command.get_subcommands().empty();
}

std::string missing_command(const Given& given) {
  const auto names = commands_below(*given.commands.back());
  if (names.size() > few) return "Say what to do, as in " + in_quotes(given.path + " " + names.front()) + ".";
  return "Say what to do: " + followed_by(given, names);
}

std::string sentence(const CLI::App& app, const CLI::ParseError& error, const Given& given) {
  const auto is = [&error](CLI::ExitCodes code) { return error.get_exit_code() == static_cast<int>(code); };
  const bool required = is(CLI::ExitCodes::RequiredError);
  // The parser misses what was to be there before it looks at what is there instead.
  const auto left = app.remaining(true);
  if (!left.empty() && (required || is(CLI::ExitCodes::ExtrasError))) return unknown(left.front(), given);
  if (required && needs_command(*given.commands.back())) return missing_command(given);
  const std::string text = error.what();
  if (is(CLI::ExitCodes::ArgumentMismatch)) return text.substr(0, text.find(':')) + " needs a value.";
  return text.ends_with('.') ? text : text + ".";
}

}  // namespace

int end_of_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  const auto at = given(app);
  std::fprintf(stderr, "%s: %s\nSee `%s --help`.\n", app.get_name().c_str(), sentence(app, error, at).c_str(),
               at.path.c_str());
  return wrong_usage;
}

}  // namespace neptune::man
