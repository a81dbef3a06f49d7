#include "changes/names.h"

namespace neptune {

Result<ProjectName> ProjectName::parse(std::string_view full) {
  const auto slash = full.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == full.size() ||
      full.find('/', slash + 1) != std::string_view::npos)
    return fail("invalid_project_name", "'" + std::string(full) + "' is not a project name; write workspace/project");
  return ProjectName{std::string(full.substr(0, slash)), std::string(full.substr(slash + 1))};
}

Result<Scope> Scope::parse(std::string_view text) {
  if (text.empty()) return fail("invalid_scope", "a scope is a workspace or workspace/project; it was empty");
  if (text.find('/') == std::string_view::npos) return Scope{std::string(text), {}};
  const auto name = ProjectName::parse(text);
  if (!name) return std::unexpected(name.error());
  return Scope::of(*name);
}

}  // namespace neptune
