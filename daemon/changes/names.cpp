#include "changes/names.h"

#include <algorithm>

namespace neptune {

bool has_control_characters(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  // Those beyond ASCII are U+0080 to U+009F.
  const auto is_beyond = [](char lead, char c) { return lead == '\xC2' && (c & '\xE0') == '\x80'; };
  return std::ranges::any_of(text, is_control) || std::ranges::adjacent_find(text, is_beyond) != text.end();
}

Result<ProjectName> ProjectName::parse(std::string_view full) {
  const auto slash = full.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == full.size() ||
      full.find('/', slash + 1) != std::string_view::npos)
    return fail("invalid_project_name", "'" + std::string(full) + "' is not a project name; write workspace/project");
  return ProjectName{std::string(full.substr(0, slash)), std::string(full.substr(slash + 1))};
}

Result<Scope> Scope::parse(std::string_view text) {
  if (text.empty()) return fail("invalid_scope", "a scope is a workspace or workspace/project; it was empty");
  if (has_control_characters(text))
    return fail("invalid_scope", "the scope's name holds a control character; leave it out");
  if (text.find('/') == std::string_view::npos) return Scope{std::string(text), {}};
  const auto name = ProjectName::parse(text);
  if (!name) return std::unexpected(name.error());
  return Scope::of(*name);
}

std::string_view name(ContainerKind kind) {
  switch (kind) {
    case ContainerKind::run:
      return "run";
    case ContainerKind::model:
      return "model";
    case ContainerKind::model_version:
      return "model_version";
    case ContainerKind::project:
      return "project";
    case ContainerKind::management:
      return "management";
    case ContainerKind::removals:
      return "removals";
    case ContainerKind::files:
      return "files";
  }
  return "run";
}

std::string ContainerName::label() const {
  switch (kind) {
    case ContainerKind::run:
      return id;
    case ContainerKind::model:
      return "model " + id;
    case ContainerKind::model_version:
      return "model version " + id;
    case ContainerKind::project:
      return "project metadata";
    case ContainerKind::management:
    case ContainerKind::removals:
      return id.empty() ? std::string(name(kind)) : id;
    case ContainerKind::files:
      return "files of " + id;
  }
  return id;
}

}  // namespace neptune
