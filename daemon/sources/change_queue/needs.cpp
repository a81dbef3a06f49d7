#include "sources/change_queue/needs.h"

#include <array>

namespace neptune::sources {

namespace {

constexpr std::string_view discards_line = "!\n";

void append(std::string& out, char mark, const ContainerName& name) {
  out += mark;
  out += static_cast<char>('0' + static_cast<int>(name.kind));
  out += name.project.workspace + '\t' + name.project.project + '\t' + name.id + '\n';
}

std::string_view take(std::string_view& text, char end) {
  const auto at = text.find(end);
  const auto part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

}  // namespace

std::string write_needs(const Needs& needs) {
  std::string out;
  if (needs.fork_parent) append(out, '^', *needs.fork_parent);
  for (const auto& name : needs.after) append(out, '-', name);
  if (needs.discards) out += discards_line;
  return out;
}

Needs read_needs(std::string_view text) {
  Needs needs;
  while (!text.empty()) {
    auto line = take(text, '\n');
    needs.discards = needs.discards || line == discards_line.substr(0, 1);
    if (line.size() < 2) continue;
    ContainerName name;
    const bool fork = line[0] == '^';
    name.kind = static_cast<ContainerKind>(line[1] - '0');
    line.remove_prefix(2);
    name.project.workspace = take(line, '\t');
    name.project.project = take(line, '\t');
    name.id = line;
    if (fork) {
      needs.fork_parent = std::move(name);
    } else {
      needs.after.push_back(std::move(name));
    }
  }
  return needs;
}

}  // namespace neptune::sources
