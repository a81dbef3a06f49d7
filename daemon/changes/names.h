#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "support/error.h"

namespace neptune {

/// Whose a workspace is: one user's, or many people's.
enum class WorkspaceType : std::uint8_t { unknown, individual, team };

/// Such as a line break: no name has any.
bool has_control_characters(std::string_view text);

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
  /// It is that project, or one of the workspace's.
  bool covers(const ProjectName& name) const {
    return name.workspace == workspace && (is_workspace() || name.project == project);
  }
  auto operator<=>(const Scope&) const = default;
};

/// Whose ordered changes a stream holds. `files` are the files of a run on their way: a stream beside the run's own, so
/// that neither waits for the other. `management` and `removals` are not metadata containers of the server: they
/// are the two lanes of a project's management (of a workspace's, when the project is empty), see changes/change.h.
enum class ContainerKind : std::uint8_t { run, model, model_version, project, management, removals, files };

/// "run", "model", "model_version", "project", "management", "removals", "files".
std::string_view name(ContainerKind kind);

/// One container: what the ordered changes of a stream belong to.
struct ContainerName {
  ProjectName project;
  std::string
      id;  ///< a run's custom id (also of its files), a model's or version's short id or key, "member jo"; else empty
  ContainerKind kind = ContainerKind::run;

  /// For people: "run-7", "model FOREST", "project metadata", "management", "files of run-7".
  std::string label() const;
  auto operator<=>(const ContainerName&) const = default;
};

}  // namespace neptune
