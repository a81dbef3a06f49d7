#include <algorithm>

#include "client/completions/completions.h"

namespace neptune::completions {

namespace {

using man::Argument;
using man::Command;

// What comes from the daemon is compared and quoted word by word: compgen -W would expand what stands in it.
constexpr std::string_view completing = R"sh(
__neptune_sync_names() {
  local name cur=${1#[\"\']}
  while IFS= read -r name; do
    [[ $name == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
  done < <("${COMP_WORDS[0]}" completion "$2" 2>/dev/null)
}

__neptune_sync_offer() {
  case $2 in
    files)
      mapfile -t COMPREPLY < <(compgen -f -- "$1")
      compopt -o filenames 2>/dev/null
      ;;
    scopes | projects | runs | names | shells) __neptune_sync_names "$1" "$2" ;;
  esac
}

_neptune_sync() {
  local cur=${COMP_WORDS[COMP_CWORD]} path='' taking='' word i
  local verbs options takes positional
  COMPREPLY=()
  __neptune_sync_table "$path"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == '=' ]]; then
      continue
    elif [[ $taking ]]; then
      taking=''
    elif [[ $word == -* ]]; then
      [[ " $takes " == *" $word "* ]] && taking=$word
    elif [[ " $verbs " == *" $word "* ]]; then
      path="${path:+$path }$word"
      __neptune_sync_table "$path"
    fi
  done
  [[ $cur == '=' ]] && cur=''
  if [[ $taking ]]; then
    __neptune_sync_offer "$cur" "$(__neptune_sync_value_of "$taking")"
  elif [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ $verbs ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
  else
    __neptune_sync_offer "$cur" "$positional"
  fi
}

complete -F _neptune_sync neptune-sync
)sh";

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string_view word_of(Offer offer) {
  return offer == Offer::files ? "files" : asked(offer);
}

void add_options(const Command& command, std::vector<std::string>& options, std::vector<std::string>& takes) {
  for (const auto& argument : command.arguments) {
    if (argument.positional) continue;
    for (const auto& name : argument.names) {
      if (std::ranges::find(options, name) != options.end()) continue;
      options.push_back(name);
      if (!argument.value.empty()) takes.push_back(name);
    }
  }
}

void write_case(std::string& out, const Command& program, const Command& command, const std::string& path) {
  std::vector<std::string> verbs, options, takes;
  for (const auto& verb : command.commands) verbs.push_back(verb.name);
  add_options(command, options, takes);
  add_options(program, options, takes);  // those may stand after the verb, too
  const auto positional = std::ranges::find(command.arguments, true, &Argument::positional);
  out += "    '" + path + "')\n      verbs='" + joined(verbs) + "'\n      options='" + joined(options) +
         "'\n      takes='" + joined(takes) + "'\n      positional='";
  if (positional != command.arguments.end()) out += word_of(offer_for(*positional));
  out += "'\n      ;;\n";
  for (const auto& verb : command.commands)
    write_case(out, program, verb, path.empty() ? verb.name : path + " " + verb.name);
}

void collect_values(const Command& command, std::vector<std::pair<std::string, Offer>>& values) {
  for (const auto& argument : command.arguments) {
    const auto offer = offer_for(argument);
    if (argument.positional || offer == Offer::nothing) continue;
    for (const auto& name : argument.names) values.emplace_back(name, offer);
  }
  for (const auto& verb : command.commands) collect_values(verb, values);
}

}  // namespace

std::string bash(const Command& program) {
  std::string out = "# Completion of " + program.name + " for bash. Made from the program itself.\n";
  out += "\n__neptune_sync_table() {\n  case $1 in\n";
  write_case(out, program, program, {});
  out += "  esac\n}\n\n__neptune_sync_value_of() {\n  case $1 in\n";
  std::vector<std::pair<std::string, Offer>> values;
  collect_values(program, values);
  std::ranges::sort(values);
  values.erase(std::ranges::unique(values).begin(), values.end());
  for (const auto& [name, offer] : values) out += "    " + name + ") echo " + std::string(word_of(offer)) + " ;;\n";
  out += "  esac\n}\n";
  return out + std::string(completing);
}

}  // namespace neptune::completions
