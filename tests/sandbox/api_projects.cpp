// Projects: made, changed, deleted, listed, and their storage limits.
#include <algorithm>
#include <cctype>

#include "changes/limits.h"
#include "tests/sandbox/routes.h"
#include "tests/sandbox/snapshot.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

json::object identity(const Project& project, const Workspace& workspace) {
  return {{"id", project.id},
          {"name", project.name.project},
          {"projectKey", project.key},
          {"organizationId", workspace.id},
          {"version", 2},
          {"organizationName", workspace.name}};
}

json::object with_role(World& world, const Project& project) {
  const auto& workspace = *world.store.workspace(project.name.workspace);
  auto body = identity(project, workspace);
  body["visibility"] = project.visibility;
  body["description"] = project.description;
  body["archived"] = project.state.archived;
  body["organizationType"] = workspace.type;
  body["userCount"] = project.members.size();
  body["userRoleInProject"] = "manager";
  body["userRoleInOrganization"] = "owner";
  body["timeOfCreation"] = time_text(project.created_ms);
  body["lastActivity"] = time_text(project.created_ms);
  body["codeAccess"] = "default";
  body["featured"] = false;
  body["avatarUrl"] = "";
  body["avatarSource"] = "default";
  return body;
}

void check_name(const Workspace& workspace, const std::string& name, const Project* except) {
  if (!valid_project_name({workspace.name, name}))
    refuse(400, "PROJECT_NAME_INVALID", "a project's name has 3 to 128 characters, none of them / \\ # ? % :");
  if (Store::name_taken(workspace, name, except))
    refuse(409, "PROJECT_NAME_COLLISION", "workspace " + workspace.name + " already has a project " + name);
}

void check_key(const Workspace& workspace, const std::string& key) {
  if (!valid_key(key))
    refuse(400, "PROJECT_KEY_INVALID", "a key has 1 to 10 of A-Z and 0-9, at least one of them a letter");
  if (Store::key_taken(workspace, key))
    refuse(409, "PROJECT_KEY_COLLISION", "workspace " + workspace.name + " already has a project with key " + key);
}

void check_visibility(const Workspace& workspace, const std::string& visibility) {
  if (visibility != "priv" && visibility != "pub" && visibility != "workspace")
    refuse(400, "", "visibility is priv, workspace or pub");
  if (visibility == "workspace" && workspace.type != "team")
    refuse(422, "VISIBILITY_RESTRICTED", "visibility workspace exists in team workspaces only");
}

Response create(World& world, const Request& request) {
  const auto body = object_body(request);
  // The 1.x client says it by its id, in a member of another name.
  const auto by_id = optional_string(body, "organizationId");
  auto& workspace = workspace_named(world, by_id ? *by_id : string_of(body, "organizationIdentifier"));
  const auto name = string_of(body, "name");
  const auto visibility = optional_string(body, "visibility").value_or("priv");
  const auto key = optional_string(body, "projectKey");
  require_writable(world, {workspace.name, {}});
  check_name(workspace, name, nullptr);
  check_visibility(workspace, visibility);
  if (key) check_key(workspace, *key);
  auto& project = world.store.put_project({workspace.name, name}, key.value_or(""));
  project.visibility = visibility;
  project.description = string_of(body, "description", false);
  return answer(with_role(world, project));
}

/// A project that is read-only can be archived, and an archived one brought back while its workspace is writable.
void require_updatable(World& world, const Project& project, const json::object& body) {
  const auto* archived = body.if_contains("archived");
  if (archived == nullptr || body.size() > 1 || !archived->is_bool()) return require_writable(world, project.name);
  if (!archived->get_bool()) require_writable(world, {project.name.workspace, {}});
}

Response update(World& world, const Request& request) {
  auto& project = project_of(world, request);
  const auto body = object_body(request);
  require_updatable(world, project, body);
  const auto& workspace = *world.store.workspace(project.name.workspace);
  const auto name = optional_string(body, "name"), visibility = optional_string(body, "visibility");
  const auto* archived = body.if_contains("archived");
  if (archived != nullptr && !archived->is_bool()) refuse(400, "", "'archived' must be true or false");
  if (name) check_name(workspace, *name, &project);
  if (visibility) check_visibility(workspace, *visibility);
  if (const auto description = optional_string(body, "description")) project.description = *description;
  if (visibility) project.visibility = *visibility;
  if (archived != nullptr) project.state.archived = archived->get_bool();
  if (name && *name != project.name.project) world.store.rename(project, *name);
  return answer(with_role(world, project));
}

Response remove(World& world, const Request& request) {
  world.store.delete_project(project_of(world, request));
  return done();
}

Response set_limit(World& world, const Request& request) {
  auto& project = project_of(world, request);
  const auto body = object_body(request);
  const auto* size = body.if_contains("maxStorageSize");
  json::error_code error;
  const auto bytes = size == nullptr ? -1 : size->to_number<std::int64_t>(error);
  if (error || bytes < 0) refuse(400, "", "'maxStorageSize' must be a number of bytes");
  project.state.limit = static_cast<std::uint64_t>(bytes);
  return answer(json::object{{"maxStorageSize", bytes}});
}

Response remove_limit(World& world, const Request& request) {
  project_of(world, request).state.limit.reset();
  return done();
}

bool contains_ignoring_case(const std::string& text, const std::string& part) {
  const auto found = std::search(text.begin(), text.end(), part.begin(), part.end(),
                                 [](unsigned char l, unsigned char r) { return std::tolower(l) == std::tolower(r); });
  return part.empty() || found != text.end();
}

Response list(World& world, const Request& request) {
  const auto& wanted = request.query_value("organizationIdentifier");
  const auto& archived = request.query_value("archived");
  auto skip = number_of(request, "offset", 0);
  const auto limit = number_of(request, "limit", 1000);
  std::int64_t matching = 0;
  json::array entries;
  for (const auto& [name, workspace] : world.store.workspaces()) {
    if (!wanted.empty() && wanted != name && wanted != workspace.id) continue;
    for (const auto& [project_name, project] : workspace.projects) {
      if (!contains_ignoring_case(project_name, request.query_value("searchTerm"))) continue;
      if (!archived.empty() && (archived == "true") != project.state.archived) continue;
      ++matching;
      if (--skip < 0 && std::ssize(entries) < limit) entries.push_back(with_role(world, project));
    }
  }
  return answer(
      json::object{{"entries", std::move(entries)}, {"matchingItemCount", matching}, {"totalItemCount", matching}});
}

}  // namespace

bool valid_key(std::string_view key) {
  const auto letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  return !key.empty() && key.size() <= 10 && std::any_of(key.begin(), key.end(), letter) &&
         std::all_of(key.begin(), key.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

void add_project_api(World& world) {
  const std::string base = "/api/backend/v1/projects";
  const auto bound = [&world](Response (*handle)(World&, const Request&)) {
    return [&world, handle](const Request& request) { return handle(world, request); };
  };
  const std::string which = "projectIdentifier!", listed = " searchTerm #offset #limit []sortBy []sortDirection ";
  add_write(world, "POST", base, {"createProject", "@projectToCreate!", "ProjectWithRoleDTO"}, bound(create));
  add_write(world, "PUT", base, {"updateProject", which + " @projectToUpdate!", "ProjectWithRoleDTO"}, bound(update));
  add_write(world, "DELETE", base, {"deleteProject", which, ""}, bound(remove));
  add_write(world, "PUT", base + "/storage-limit",
            {"setStorageLimit", which + " @storageLimit!", "ProjectStorageLimitTraitDTO"}, bound(set_limit));
  add_write(world, "DELETE", base + "/storage-limit", {"deleteStorageLimit", which, ""}, bound(remove_limit));
  add_read(world, "GET", base, {"listProjects", "organizationIdentifier" + listed + "userRelation", "ProjectListDTO"},
           bound(list));
  add_read(world, "GET", base + "/listForOrganization",
           {"listOrganizationProjects", "organizationIdentifier!" + listed + "?archived", "ProjectListDTO"},
           bound(list));
  add_read(world, "GET", base + "/get", {"getProject", which, "ProjectDTO"}, [&world](const Request& request) {
    const auto& project = project_of(world, request);
    return answer(identity(project, *world.store.workspace(project.name.workspace)));
  });
  add_read(world, "GET", base + "/details", {"getProjectDetails", which, "ProjectWithRoleDTO"},
           [&world](const Request& request) { return answer(with_role(world, project_of(world, request))); });
}

}  // namespace neptune::sandbox
