// Workspaces: "organizations" in the API. Their status, who is in them, and who is invited.
#include <algorithm>

#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

Response workspace_status(World& world, const Request& request) {
  const auto& identifier = request.vars.at("organizationIdentifier");
  const auto* workspace = world.store.find_workspace(identifier);
  if (workspace == nullptr && !world.store.auto_create_workspaces)
    return error_response(404, "", "there is no workspace " + identifier);
  static const Workspace untouched;
  const auto& found = workspace == nullptr ? untouched : *workspace;
  constexpr std::int64_t unlimited = std::int64_t{1} << 50;
  const auto limit = found.state.limit ? static_cast<std::int64_t>(*found.state.limit) : unlimited;
  const auto used = static_cast<std::int64_t>(found.state.used);
  world.traffic.note(
      {.scope = identifier, .status_call = true, .read_only = found.state.read_only() ? identifier : std::string()});
  return answer(json::object{{"mode", found.state.read_only() ? "read_only" : "normal"},
                             {"storageBytesLimit", limit},
                             {"storageBytesAvailable", std::max<std::int64_t>(0, limit - used)},
                             {"activeProjectsUsage", found.projects.size()},
                             {"subscription", {{"status", "ok"}}}});
}

json::object organization_json(const Workspace& workspace) {
  return {{"id", workspace.id},
          {"name", workspace.name},
          {"organizationType", workspace.type},
          {"paymentStatus", "ok"},
          {"pricingPlan", workspace.type == "team" ? "v3_team" : "v3_free_individual"},
          {"limitsEnforced", true},
          {"supportsMonitoringHoursLimits", false},
          {"userflowIdentityHash", ""},
          {"avatarUrl", ""},
          {"avatarSource", "default"},
          {"created", time_text(0)},
          {"traits", json::object()}};
}

Response my_organizations(const World& world) {
  json::array out;
  for (const auto& [name, workspace] : world.store.workspaces()) {
    const auto organization = organization_json(workspace);
    auto entry = organization;
    for (const auto* own : {"supportsMonitoringHoursLimits", "userflowIdentityHash", "traits"}) entry.erase(own);
    entry["userRole"] = "owner";
    entry["organization"] = organization;
    out.push_back(std::move(entry));
  }
  return answer(out);
}

json::object invitation_json(const Workspace& workspace, const Invitation& invitation) {
  return {{"id", invitation.id},           {"organizationName", workspace.name},
          {"invitee", invitation.invitee}, {"invitationType", invitation.type},
          {"roleGrant", invitation.role},  {"status", "pending"},
          {"invitedBy", "sandbox-user"},   {"createdAt", time_text(0)},
          {"lastSentAt", time_text(0)},    {"projects", json::array()}};
}

Response organization_members(World& world, const Request& request) {
  const auto& workspace = workspace_named(world, request.vars.at("organizationIdentifier"));
  json::array out;
  for (const auto& user : workspace.members)
    out.push_back({{"role", "member"},
                   {"editableRole", true},
                   {"registeredMemberInfo",
                    {{"username", user},
                     {"firstName", user},
                     {"lastName", ""},
                     {"avatarUrl", ""},
                     {"avatarSource", "default"}}}});
  for (const auto& invitation : workspace.invitations)
    out.push_back({{"role", invitation.role},
                   {"editableRole", true},
                   {"totalNumberOfProjects", workspace.projects.size()},
                   {"numberOfProjects", invitation.add_to_all_projects ? workspace.projects.size() : 0},
                   {"invitationInfo", invitation_json(workspace, invitation)}});
  return answer(out);
}

Invitation invitation_of(const Workspace& workspace, const json::object& entry) {
  Invitation out;
  out.invitee = string_of(entry, "invitee");
  out.type = string_of(entry, "invitationType");
  out.role = string_of(entry, "roleGrant");
  if (out.type != "user" && out.type != "emailRecipient") refuse(400, "", "'invitationType' is user or emailRecipient");
  if (out.role != "member" && out.role != "owner") refuse(400, "", "'roleGrant' is member or owner");
  const auto* all = entry.if_contains("addToAllProjects");
  out.add_to_all_projects = all != nullptr && all->is_bool() && all->get_bool();
  const bool invited = std::any_of(workspace.invitations.begin(), workspace.invitations.end(),
                                   [&](const auto& each) { return each.invitee == out.invitee; });
  if (invited || workspace.members.contains(out.invitee))
    refuse(409, "", out.invitee + " already is invited to workspace " + workspace.name + " or a member of it");
  return out;
}

Response invite(World& world, const Request& request) {
  const auto body = object_body(request);
  auto& workspace = workspace_named(world, string_of(body, "organizationIdentifier"));
  require_writable(world, {workspace.name, {}});
  if (workspace.type != "team") refuse(403, "", "an individual workspace takes nobody else in");
  const auto* entries = body.if_contains("invitationsEntries");
  if (entries == nullptr || !entries->is_array()) refuse(400, "", "'invitationsEntries' must be an array");
  std::vector<Invitation> invitations;
  for (const auto& entry : entries->get_array()) {
    if (!entry.is_object()) refuse(400, "", "an invitation must be an object");
    invitations.push_back(invitation_of(workspace, entry.get_object()));
  }
  json::array out;
  for (auto& invitation : invitations) {
    invitation.id = uuid_of(workspace.id + "!" + std::to_string(++workspace.invited));
    out.push_back(invitation_json(workspace, invitation));
    workspace.invitations.push_back(std::move(invitation));
  }
  return answer(json::object{{"invitations", std::move(out)}});
}

Response change_invitation(World& world, const Request& request) {
  const auto& id = request.vars.at("invitationId");
  const auto role = string_of(object_body(request), "roleGrant");
  if (role != "member" && role != "owner") refuse(400, "", "'roleGrant' is member or owner");
  for (const auto& [name, each] : world.store.workspaces()) {
    auto& workspace = *world.store.workspace(name);
    for (auto& invitation : workspace.invitations)
      if (invitation.id == id) {
        require_writable(world, {name, {}});
        invitation.role = role;
        return answer(invitation_json(workspace, invitation));
      }
  }
  refuse(404, "", "there is no invitation " + id);
}

Response revoke(World& world, const Request& request) {
  const auto& id = request.vars.at("invitationId");
  for (const auto& [name, each] : world.store.workspaces()) {
    auto& invitations = world.store.workspace(name)->invitations;
    if (std::erase_if(invitations, [&](const auto& invitation) { return invitation.id == id; }) > 0) return done();
  }
  refuse(404, "", "there is no invitation " + id);
}

}  // namespace

void add_workspace_api(World& world) {
  const std::string organizations = "/api/backend/v1/organizations2/";
  const std::string invitations = "/api/backend/v1/invitations/organization";
  add_read(world, "GET", "/api/backend/v1/payments/{organizationIdentifier}/status",
           {"workspaceStatus", "", "WorkspaceStatusDTO"},
           [&world](const Request& request) { return workspace_status(world, request); });
  add_read(world, "GET", "/api/backend/v1/myOrganizations", {"listOrganizations", "", "[OrganizationWithRoleDTO]"},
           [&world](const Request&) { return my_organizations(world); });
  add_read(world, "GET", organizations + "{organization}", {"getOrganization", "", "OrganizationDTO"},
           [&world](const Request& request) {
             return answer(organization_json(workspace_named(world, request.vars.at("organization"))));
           });
  add_read(world, "GET", organizations + "{organizationIdentifier}/members",
           {"listOrganizationMembers", "", "[OrganizationMemberDTO]"},
           [&world](const Request& request) { return organization_members(world, request); });
  add_write(world, "POST", invitations,
            {"createOrganizationInvitations", "@newOrganizationInvitations!", "OrganizationInvitationsDTO"},
            [&world](const Request& request) { return invite(world, request); });
  add_write(world, "PUT", invitations + "/{invitationId}",
            {"updateOrganizationInvitation", "@update!", "OrganizationInvitationDTO"},
            [&world](const Request& request) { return change_invitation(world, request); });
  add_write(world, "DELETE", invitations + "/{invitationId}", {"revokeOrganizationInvitation", "", ""},
            [&world](const Request& request) { return revoke(world, request); });
}

}  // namespace neptune::sandbox
