#pragma once

#include <fmt/format.h>

#include <string>

#include "changes/names.h"
#include "support/sizes.h"

/// What a container is called where its project is said with it. The lanes of management have names of ours, and are
/// nobody's run.
namespace neptune::engine {

/// "run-7 of ml-team/lab", "all that was asked for in ml-team/lab".
inline std::string name_with_project(const ContainerName& container) {
  const auto scope = Scope::of(container.project).text();
  if (container.kind == ContainerKind::removals) return "all that was to be removed in " + scope;
  if (container.kind == ContainerKind::management) return "all that was asked for in " + scope;
  return fmt::format("{} of {}", container.label(), scope);
}

/// "2 changes of run-7 of ml-team/lab", "1 change to ml-team/lab", "1 removal in ml-team/lab".
inline std::string changes_of(std::uint64_t count, const ContainerName& container) {
  const auto scope = Scope::of(container.project).text();
  if (container.kind == ContainerKind::removals) return number_of(count, "removal") + " in " + scope;
  if (container.kind == ContainerKind::management) return number_of(count, "change") + " to " + scope;
  return fmt::format("{} of {}", number_of(count, "change"), name_with_project(container));
}

}  // namespace neptune::engine
