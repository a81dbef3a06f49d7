// A workspace's service accounts, and the projects they belong to.
#include <algorithm>

#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

json::object account_json(const Workspace& workspace, const ServiceAccount& account) {
  return {{"id", account.id},           {"name", account.name},           {"displayName", account.name},
          {"isAdmin", account.admin},   {"organizationId", workspace.id}, {"created", time_text(0)},
          {"createdBy", "sandbox-user"}};
}

const ServiceAccount& account_of(World& world, const Project& project, const std::string& id) {
  const auto& accounts = world.store.workspace(project.name.workspace)->service_accounts;
  const auto found = std::find_if(accounts.begin(), accounts.end(), [&](const auto& each) { return each.id == id; });
  if (found == accounts.end()) refuse(404, "", "workspace " + project.name.workspace + " has no service account " + id);
  return *found;
}

Response with_role(World& world, const Project& project, const std::string& id, const std::string& role) {
  const auto& workspace = *world.store.workspace(project.name.workspace);
  return answer(
      json::object{{"serviceAccountInfo", account_json(workspace, account_of(world, project, id))}, {"role", role}});
}

Response add(World& world, const Request& request) {
  auto& project = project_of(world, request);
  require_writable(world, project.name);
  const auto body = object_body(request);
  const auto id = string_of(body, "serviceAccountId"), role = role_of(body);
  const auto& account = account_of(world, project, id);
  if (!project.service_accounts.try_emplace(id, role).second)
    refuse(409, "", account.name + " already belongs to " + project.name.full());
  return with_role(world, project, id, role);
}

std::string& role_in(World& world, Project& project, const std::string& id) {
  const auto& account = account_of(world, project, id);
  const auto found = project.service_accounts.find(id);
  if (found == project.service_accounts.end())
    refuse(422, "SERVICE_ACCOUNT_NOT_IN_PROJECT", account.name + " does not belong to " + project.name.full());
  return found->second;
}

Response update(World& world, const Request& request) {
  auto& project = project_of(world, request);
  require_writable(world, project.name);
  auto& role = role_in(world, project, request.vars.at("serviceAccountId"));
  role = role_of(object_body(request));
  return with_role(world, project, request.vars.at("serviceAccountId"), role);
}

Response remove(World& world, const Request& request) {
  auto& project = project_of(world, request);
  role_in(world, project, request.vars.at("serviceAccountId"));
  project.service_accounts.erase(request.vars.at("serviceAccountId"));
  return done();
}

Response list_of_project(World& world, const Request& request) {
  const auto& project = project_of(world, request);
  const auto& workspace = *world.store.workspace(project.name.workspace);
  json::array out;
  for (const auto& [id, role] : project.service_accounts)
    out.push_back({{"serviceAccountInfo", account_json(workspace, account_of(world, project, id))}, {"role", role}});
  return answer(out);
}

Response create(World& world, const Request& request) {
  auto& workspace = workspace_named(world, request.query_value("organizationIdentifier"));
  require_writable(world, {workspace.name, {}});
  const auto body = object_body(request);
  const auto* admin = body.if_contains("isAdmin");
  const auto* account = world.store.add_service_account(workspace, string_of(body, "name"),
                                                        admin != nullptr && admin->is_bool() && admin->get_bool());
  if (account == nullptr) refuse(409, "SERVICE_ACCOUNT_ALREADY_EXISTS_IN_ORGANIZATION", "there is one of that name");
  return answer(account_json(workspace, *account));
}

Response list_of_workspace(World& world, const Request& request) {
  const auto& workspace = workspace_named(world, request.query_value("organizationIdentifier"));
  json::array out;
  // None is ever deactivated.
  if (request.query_value("deactivated") != "true")
    for (const auto& account : workspace.service_accounts) out.push_back(account_json(workspace, account));
  return answer(out);
}

}  // namespace

void add_service_account_api(World& world) {
  const std::string base = "/api/backend/v1/projects/service_accounts", one = base + "/{serviceAccountId}";
  const std::string all = "/api/backend/v1/serviceAccounts";
  const auto bound = [&world](Response (*handle)(World&, const Request&)) {
    return [&world, handle](const Request& request) { return handle(world, request); };
  };
  const std::string which = "projectIdentifier!", with = "ServiceAccountWithRoleDTO";
  add_write(world, "POST", base, {"addProjectServiceAccount", which + " @account!", with}, bound(add));
  add_write(world, "PATCH", one, {"updateProjectServiceAccount", which + " @member!", with}, bound(update));
  add_write(world, "DELETE", one, {"deleteProjectServiceAccount", which, ""}, bound(remove));
  add_read(world, "GET", base, {"listProjectServiceAccounts", which, "[ServiceAccountWithRoleDTO]"},
           bound(list_of_project));
  add_write(
      world, "POST", all,
      {"createServiceAccount", "organizationIdentifier! ?addToAllProjects! @newServiceAccount!", "ServiceAccountDTO"},
      bound(create));
  add_read(world, "GET", all, {"listServiceAccounts", "organizationIdentifier! ?deactivated", "[ServiceAccountDTO]"},
           bound(list_of_workspace));
}

}  // namespace neptune::sandbox
