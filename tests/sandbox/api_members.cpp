// Who belongs to a project. A user's id is the user's name.
#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

json::object member_json(const std::string& user, const std::string& role) {
  return {
      {"role", role},
      {"editableRole", true},
      {"canLeaveProject", true},
      {"registeredMemberInfo",
       {{"username", user}, {"firstName", user}, {"lastName", ""}, {"avatarUrl", ""}, {"avatarSource", "default"}}}};
}

json::array members_json(const Project& project) {
  json::array out;
  for (const auto& [user, role] : project.members) out.push_back(member_json(user, role));
  return out;
}

void check_joining(const Workspace& workspace, const Project& project, const std::string& user,
                   const std::string& role) {
  if (workspace.type == "team") {
    if (!workspace.members.empty() && !workspace.members.contains(user))
      refuse(422, "CANNOT_ADD_OUTSIDERS_TO_TEAM_PROJECT", user + " is no member of workspace " + workspace.name);
    return;
  }
  if (project.visibility == "priv")
    refuse(422, "CANNOT_ADD_MEMBERS_TO_PRIVATE_INDIVIDUAL_PROJECT",
           "nobody joins a private project of an individual workspace");
  if (role == "manager")
    refuse(422, "CANNOT_ADD_MANAGER_TO_INDIVIDUAL_PROJECT", "an individual workspace's projects have one manager");
}

Response add(World& world, const Request& request) {
  auto& project = project_of(world, request);
  require_writable(world, project.name);
  const auto body = object_body(request);
  const auto user = string_of(body, "userId"), role = role_of(body);
  check_joining(*world.store.workspace(project.name.workspace), project, user, role);
  if (!project.members.try_emplace(user, role).second)
    refuse(409, "", user + " already is a member of " + project.name.full());
  return answer(member_json(user, role));
}

std::string& member_of(Project& project, const Request& request) {
  const auto& user = request.vars.at("userId");
  const auto found = project.members.find(user);
  if (found == project.members.end())
    refuse(422, "USER_NOT_IN_PROJECT", user + " is no member of " + project.name.full());
  return found->second;
}

Response update(World& world, const Request& request) {
  auto& project = project_of(world, request);
  require_writable(world, project.name);
  auto& role = member_of(project, request);
  role = role_of(object_body(request));
  return answer(member_json(request.vars.at("userId"), role));
}

Response remove(World& world, const Request& request) {
  auto& project = project_of(world, request);
  member_of(project, request);
  project.members.erase(request.vars.at("userId"));
  return done();
}

Response list(World& world, const Request& request) {
  const auto& project = project_of(world, request);
  return answer(json::array{json::object{{"projectName", project.name.project},
                                         {"projectId", project.id},
                                         {"organizationName", project.name.workspace},
                                         {"organizationId", world.store.workspace(project.name.workspace)->id},
                                         {"members", members_json(project)}}});
}

}  // namespace

std::string role_of(const json::object& body) {
  auto role = string_of(body, "role");
  if (role != "viewer" && role != "member" && role != "manager") refuse(400, "", "'role' is viewer, member or manager");
  return role;
}

void add_member_api(World& world) {
  const std::string base = "/api/backend/v1/projects/members", one = base + "/{userId}";
  const auto bound = [&world](Response (*handle)(World&, const Request&)) {
    return [&world, handle](const Request& request) { return handle(world, request); };
  };
  const std::string which = "projectIdentifier!";
  add_write(world, "POST", base, {"addProjectMember", which + " @member!", "ProjectMemberDTO"}, bound(add));
  add_write(world, "PATCH", one, {"updateProjectMember", which + " @member!", "ProjectMemberDTO"}, bound(update));
  add_write(world, "DELETE", one, {"deleteProjectMember", which, ""}, bound(remove));
  add_read(world, "GET", base,
           {"listProjectsMembers", "[]projectIdentifier! ?includeInvitations", "[ProjectMembersDTO]"}, bound(list));
  add_read(world, "GET", base + "Of", {"listProjectMembers", which, "[ProjectMemberDTO]"},
           [&world](const Request& request) { return answer(members_json(project_of(world, request))); });
}

}  // namespace neptune::sandbox
