#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

/// What a program's manual page and its completions are made of.
namespace neptune::man {

/// An option, or what stands without one ("positional").
struct Argument {
  std::vector<std::string> names;  ///< "-f", "--follow"; of a positional one its only name
  bool positional = false;
  std::string value;  ///< what it takes: "TEXT"; empty: nothing, it is a flag
  std::string description;
  std::string limits;       ///< what is taken: "from 1 to 1000"; empty when nothing more is said
  std::string preset;       ///< taken when it is not given; empty: none
  std::string environment;  ///< the variable it is taken from when it is not given; empty: none
  bool required = false;
  bool several = false;  ///< may be given several times
};

/// A program, or one verb of it.
struct Command {
  std::string name;
  std::string description;
  std::vector<Argument> arguments;  ///< as `--help` lists them; hidden ones are left out
  std::vector<Command> commands;    ///< the verbs below it
  bool alone = false;               ///< it does something without one of them, too
  std::string group{};              ///< what it is listed under, among its siblings; empty: nothing in particular
};

/// The description with all else there is to know: "How many at most (from 1 to 1000; default: 100)".
std::string described(const Argument& argument);

/// The tree as the parser itself has it, so that nothing made of it can say other than `--help`.
Command command_tree(const CLI::App& app);

}  // namespace neptune::man
