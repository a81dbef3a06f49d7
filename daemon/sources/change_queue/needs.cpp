#include "sources/change_queue/needs.h"

#include <array>

namespace neptune::sources {

namespace {

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

std::string write_needs(const std::optional<ContainerName>& fork_parent, const std::vector<ContainerName>& after) {
  std::string out;
  if (fork_parent) append(out, '^', *fork_parent);
  for (const auto& name : after) append(out, '-', name);
  return out;
}

Needs read_needs(std::string_view text) {
  Needs needs;
  while (!text.empty()) {
    auto line = take(text, '\n');
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
