#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "support/error.h"

namespace neptune {

/// `workspace/project`, the full name of a project.
struct ProjectName {
  std::string workspace;
  std::string project;

  /// Splits "workspace/project". Refuses a missing or empty half and a second '/'.
  static Result<ProjectName> parse(std::string_view full);

  std::string full() const { return workspace + "/" + project; }
  auto operator<=>(const ProjectName&) const = default;
};

/// What a mode applies to: a workspace (`project` empty), or one project in it.
struct Scope {
  std::string workspace;
  std::string project;

  static Scope of(std::string workspace) { return {std::move(workspace), {}}; }
  static Scope of(const ProjectName& name) { return {name.workspace, name.project}; }

  /// "workspace" or "workspace/project"; the form of the API and the CLI.
  static Result<Scope> parse(std::string_view text);
  std::string text() const { return project.empty() ? workspace : workspace + "/" + project; }

  bool is_workspace() const { return project.empty(); }
  auto operator<=>(const Scope&) const = default;
};

/// One container's name: what the ordered changes of a stream belong to.
struct RunName {
  ProjectName project;
  std::string run;
  auto operator<=>(const RunName&) const = default;
};

}  // namespace neptune
