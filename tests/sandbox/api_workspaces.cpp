// What people may ask of workspaces and projects.
#include <boost/json.hpp>

#include "tests/sandbox/world.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

Response workspace_status(World& world, const Request& request) {
  const auto* workspace = world.store.workspace(request.vars.at("workspace"));
  if (workspace == nullptr && !world.store.auto_create_workspaces)
    return error_response(404, "", "there is no workspace " + request.vars.at("workspace"));
  static const Workspace untouched;
  const auto& found = workspace == nullptr ? untouched : *workspace;
  constexpr std::int64_t unlimited = std::int64_t{1} << 50;
  const auto limit = found.state.limit ? static_cast<std::int64_t>(*found.state.limit) : unlimited;
  const auto used = static_cast<std::int64_t>(found.state.used);
  const json::object body{{"mode", found.state.read_only() ? "read_only" : "normal"},
                          {"storageBytesLimit", limit},
                          {"storageBytesAvailable", std::max<std::int64_t>(0, limit - used)},
                          {"activeProjectsUsage", found.projects.size()},
                          {"subscription", {{"status", "ok"}}}};
  return {200, json::serialize(body), "application/json", {}};
}

json::object identity(const Project& project, const Workspace& workspace) {
  return {{"id", project.id},
          {"name", project.name.project},
          {"projectKey", project.key},
          {"organizationId", workspace.id},
          {"version", 1},
          {"organizationName", workspace.name}};
}

Response project_answer(World& world, const Request& request, bool details) {
  const auto name = ProjectName::parse(request.query_value("projectIdentifier"));
  if (!name) return error_response(400, "", name.error().message);
  const auto* project = world.store.project(*name);
  if (project == nullptr) return error_response(404, "", "there is no project " + name->full());
  const auto& workspace = *world.store.workspace(name->workspace);
  auto body = identity(*project, workspace);
  if (details) {
    body["visibility"] = project->visibility;
    body["archived"] = project->state.archived;
    body["organizationType"] = workspace.type;
  }
  return {200, json::serialize(body), "application/json", {}};
}

}  // namespace

void add_workspace_api(World& world) {
  const auto get = [&](std::string pattern, std::function<Response(const Request&)> handle) {
    Route route;
    route.method = "GET";
    route.pattern = std::move(pattern);
    route.handle = std::move(handle);
    world.router.add(std::move(route));
  };
  get("/api/backend/v1/payments/{workspace}/status",
      [&world](const Request& request) { return workspace_status(world, request); });
  get("/api/backend/v1/projects/get",
      [&world](const Request& request) { return project_answer(world, request, false); });
  get("/api/backend/v1/projects/details",
      [&world](const Request& request) { return project_answer(world, request, true); });
}

}  // namespace neptune::sandbox
