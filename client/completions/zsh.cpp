#include "client/completions/completions.h"

namespace neptune::completions {

namespace {

using man::Argument;
using man::Command;

constexpr std::string_view head = R"sh(
# _arguments puts its options for compadd before the word.
_neptune_sync_names() {
  local -a names
  names=("${(@f)$(_call_program names neptune-sync completion $argv[-1] 2>/dev/null)}")
  [[ -n $names ]] && compadd "${(@)argv[1,-2]}" -a names
}
)sh";

/// Fit to stand in '...', in a specification of _arguments.
std::string described(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == '[' || c == ']' || c == ':' || c == '\\')
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out;
}

std::string values_of(const Argument& argument) {
  const auto offer = offer_for(argument);
  const auto what = ":" + described(argument.positional ? argument.names.back() : argument.value) + ":";
  if (offer == Offer::files) return what + "_files";
  if (offer == Offer::nothing) return what;
  return what + "_neptune_sync_names " + std::string(asked(offer));
}

/// '(-f --follow)'{-f,--follow}'[...]': one option, by either name.
std::string specification(const Argument& argument) {
  if (argument.positional) return "'" + std::string(argument.several ? "*" : "") + values_of(argument) + "'";
  const auto text = "[" + described(argument.description) + "]" + (argument.value.empty() ? "" : values_of(argument));
  const std::string repeated = argument.several ? "*" : "";
  if (argument.names.size() == 1) return "'" + repeated + argument.names[0] + text + "'";
  std::string all, either;
  for (const auto& name : argument.names) {
    all += (all.empty() ? "" : " ") + name;
    either += (either.empty() ? "" : ",") + name;
  }
  return "'" + (repeated.empty() ? "(" + all + ")" : repeated) + "'{" + either + "}'" + text + "'";
}

std::string function_of(const std::string& path) {
  std::string name = "_neptune_sync";
  for (const char c : path.empty() ? path : " " + path) name += c == ' ' || c == '-' ? '_' : c;
  return name;
}

bool is_of_program(const Argument& argument, const Command& program) {
  for (const auto& other : program.arguments)
    if (other.names == argument.names) return true;
  return false;
}

void write_dispatch(std::string& out, const Command& command, const std::string& path) {
  out += "    '1: :->verb' '*:: :->rest'\n  case $state in\n    verb)\n      local -a verbs\n      verbs=(\n";
  for (const auto& verb : command.commands)
    out += "        '" + described(verb.name) + ":" + described(verb.description) + "'\n";
  out += "      )\n      _describe verb verbs\n      ;;\n    rest)\n      case $words[1] in\n";
  for (const auto& verb : command.commands)
    out += "        " + verb.name + ") " + function_of(path.empty() ? verb.name : path + " " + verb.name) + " ;;\n";
  out += "      esac\n      ;;\n  esac\n";
}

void write_function(std::string& out, const Command& program, const Command& command, const std::string& path) {
  out += "\n" + function_of(path) + "() {\n  local context state state_descr line\n  typeset -A opt_args\n";
  out += command.commands.empty() ? "  _arguments -s \\\n" : "  _arguments -C -s \\\n";
  for (const auto& argument : command.arguments)
    if (path.empty() || !is_of_program(argument, program)) out += "    " + specification(argument) + " \\\n";
  if (!path.empty())  // those may stand after the verb, too
    for (const auto& argument : program.arguments)
      if (argument.names.back() != "--version") out += "    " + specification(argument) + " \\\n";
  if (command.commands.empty())
    out += "    && return\n";
  else
    write_dispatch(out, command, path);
  out += "}\n";
  for (const auto& verb : command.commands)
    write_function(out, program, verb, path.empty() ? verb.name : path + " " + verb.name);
}

}  // namespace

std::string zsh(const Command& program) {
  std::string out = "#compdef " + program.name + "\n# Completion of " + program.name +
                    " for zsh. Made from the program itself.\n" + std::string(head);
  write_function(out, program, program, {});
  // Sourced, it only becomes known; as a file of $fpath it is the function itself.
  return out + "\nif [ \"$funcstack[1]\" = _neptune-sync ]; then\n  _neptune_sync \"$@\"\nelse\n" +
         "  compdef _neptune_sync " + program.name + "\nfi\n";
}

}  // namespace neptune::completions
