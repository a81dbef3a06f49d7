#include <set>

#include "client/completions/completions.h"

namespace neptune::completions {

namespace {

using man::Argument;
using man::Command;

constexpr std::string_view path_function = R"sh(
# The verbs given so far, without options and their values.
function __neptune_sync_path
    set -l words
    set -l taking no
    for word in (commandline -opc)[2..-1]
        if test $taking = yes
            set taking no
        else if string match -q -- '-*' $word
            contains -- $word $__neptune_sync_takes; and set taking yes
        else
            set -a words $word
        end
    end
    string join -- \n $words
end

function __neptune_sync_at
    set -l path (string join -- ' ' (__neptune_sync_path))
    test "$path" = "$argv"
end

function __neptune_sync_below
    set -l path (string join -- ' ' (__neptune_sync_path))
    string match -q -- "$argv *" "$path "
end

complete -c neptune-sync -f
)sh";

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// The arguments of `complete` that say what an argument's value may be.
std::string values_of(const Argument& argument) {
  const auto offer = offer_for(argument);
  if (offer == Offer::files) return " -F";
  if (offer == Offer::nothing) return {};
  return " -a " + quoted("(neptune-sync completion " + std::string(asked(offer)) + " 2>/dev/null)");
}

std::string names_of(const Argument& argument) {
  std::string out;
  for (const auto& name : argument.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  return out;
}

void collect_taking(const Command& command, std::set<std::string>& taking) {
  for (const auto& argument : command.arguments)
    if (!argument.positional && !argument.value.empty()) taking.insert(argument.names.begin(), argument.names.end());
  for (const auto& verb : command.commands) collect_taking(verb, taking);
}

void write_command(std::string& out, const Command& command, const std::string& path) {
  const auto at = path.empty()               ? std::string("test (count (__neptune_sync_path)) = 0")
                  : command.commands.empty() ? "__neptune_sync_below " + path
                                             : "__neptune_sync_at " + path;
  const auto begin = "complete -c neptune-sync -n " + quoted(at);
  for (const auto& verb : command.commands)
    out += begin + " -a " + quoted(verb.name) + " -d " + quoted(verb.description) + "\n";
  for (const auto& argument : command.arguments) {
    if (argument.positional) {
      if (const auto values = values_of(argument); !values.empty()) out += begin + values + "\n";
      continue;
    }
    // Those of the program may stand anywhere.
    out += path.empty() ? "complete -c neptune-sync" : begin;
    out += names_of(argument) + (argument.value.empty() ? "" : " -r" + values_of(argument)) + " -d " +
           quoted(argument.description) + "\n";
  }
  for (const auto& verb : command.commands) write_command(out, verb, path.empty() ? verb.name : path + " " + verb.name);
}

}  // namespace

std::string fish(const Command& program) {
  std::set<std::string> taking;
  collect_taking(program, taking);
  std::string out = "# Completion of " + program.name + " for fish. Made from the program itself.\n";
  out += "\nset -g __neptune_sync_takes";
  for (const auto& name : taking) out += " " + name;
  out += "\n" + std::string(path_function);
  write_command(out, program, {});
  return out;
}

}  // namespace neptune::completions
