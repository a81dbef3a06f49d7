#include "client/man/page.h"
#include "client/man/roff.h"

namespace neptune::man {

namespace {

/// "[NAME=VALUE ...]"
std::string usage_of(const Argument& argument) {
  auto name = italic(argument.names.front());
  if (argument.several) name += " ...";
  return argument.required ? name : "[" + name + "]";
}

std::string term_of(const Argument& argument) {
  if (argument.positional) return italic(argument.names.front());
  std::string term;
  for (const auto& name : argument.names) term += (term.empty() ? "" : ", ") + bold(name);
  return argument.value.empty() ? term : term + " " + italic(argument.value);
}

bool is_help(const Argument& argument) {
  return argument.names.back() == "--help";
}

void write_arguments(Roff& roff, const Command& command, bool help_too) {
  for (const auto& argument : command.arguments)
    if (help_too || !is_help(argument)) roff.entry({term_of(argument)}, described(argument));
}

void write_verbs(Roff& roff, const Command& parent, const std::string& above) {
  for (const auto& verb : parent.commands) {
    const auto path = above.empty() ? verb.name : above + " " + verb.name;
    auto usage = bold(path);
    for (const auto& argument : verb.arguments)
      if (argument.positional) usage += " " + usage_of(argument);
    roff.subheading(usage);
    roff.paragraphs(verb.description + ".");
    write_arguments(roff, verb, false);
    write_verbs(roff, verb, path);
  }
}

}  // namespace

std::string manual(const Command& program, const Page& page) {
  Roff roff(program.name, program.description, page);
  roff.heading("SYNOPSIS");
  const auto usage = bold(program.name) + " [" + italic("OPTIONS") + "]";
  roff.line(program.commands.empty() ? usage : usage + " " + italic("COMMAND") + " ...");
  roff.heading("DESCRIPTION");
  roff.paragraphs(program.description);
  roff.heading("OPTIONS");
  write_arguments(roff, program, true);
  if (!program.commands.empty()) {
    roff.heading("COMMANDS");
    write_verbs(roff, program, {});
  }
  for (const auto& section : page.sections) roff.section(section);
  roff.see_also(page.see_also);
  return roff.take();
}

}  // namespace neptune::man
