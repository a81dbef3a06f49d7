// Who belongs to a project, and who is invited into a workspace. A user's id is the user's name: the server's lists
// hold no other. A service account has an id of its own.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>

#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/listings.h"
#include "server/impl/management.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::string_view invitations_path = "/api/backend/v1/invitations/organization";

struct AccountId {
  std::string id;
  bool remembered = false;
};

std::string name_of_account(const std::string& workspace, const std::string& account) {
  return "account " + workspace + "/" + account;
}

/// None: the workspace has no service account of that name.
asio::awaitable<Answer<std::optional<AccountId>>> find_account(std::shared_ptr<Api> api, std::string workspace,
                                                               std::string account) {
  const auto name = name_of_account(workspace, account);
  if (const auto* known = api->learned->names.find(name)) co_return AccountId{known->id, true};
  auto call = reading("/api/backend/v1/serviceAccounts", {{"organizationIdentifier", workspace}});
  call.max_answer_bytes = longest_listing;
  const auto accounts = co_await ask_array(api, std::move(call));
  if (!accounts) co_return std::unexpected(accounts.error());
  for (const auto* each : objects_in(*accounts)) {
    auto id = string_member(*each, "id");
    if (id.empty() || string_member(*each, "name") != account) continue;
    api->learned->names.put(name, {id, {}});
    co_return AccountId{std::move(id), false};
  }
  co_return std::optional<AccountId>();
}

/// The words in which the API speaks of a member and of a service account.
struct Words {
  std::string path;
  const char* id_member;
  const char* gone;  // errorType of one that does not belong to the project
};

Words words(const Membership& change) {
  if (change.service_account)
    return {"/api/backend/v1/projects/service_accounts", "serviceAccountId", "SERVICE_ACCOUNT_NOT_IN_PROJECT"};
  return {"/api/backend/v1/projects/members", "userId", "USER_NOT_IN_PROJECT"};
}

JsonCall call_of(const Membership& change, const std::string& id) {
  auto [path, id_member, gone] = words(change);
  const Query which{{"projectIdentifier", change.project.full()}};
  json::object body;
  if (change.act != MembershipAct::remove) body["role"] = word(change.role);
  if (change.act == MembershipAct::add)
    body[id_member] = id;
  else
    path += "/" + percent_encode(id);
  switch (change.act) {
    case MembershipAct::add:
      return writing("POST", path, which, text_of(body));
    case MembershipAct::update:
      return writing("PATCH", path, which, text_of(body));
    case MembershipAct::remove:
      break;
  }
  return writing("DELETE", path, which);
}

/// Somebody of that name belongs to the project already: another role is changed to the one asked for.
asio::awaitable<Answer<ManageReply>> judge_existing(std::shared_ptr<Api> api, Membership change, std::string id,
                                                    Failure collision) {
  const auto there = co_await list_members(api, change.project, change.service_account);
  if (!there) co_return std::unexpected(there.error());
  const auto member = std::ranges::find(*there, change.who, &MemberFacts::name);
  if (member == there->end()) co_return std::unexpected(std::move(collision));
  if (member->role == word(change.role)) co_return ManageReply{};
  change.act = MembershipAct::update;
  auto call = call_of(change, id);
  co_return co_await carry_out(std::move(api), std::move(call));
}

/// Whether a call that failed so found that nobody of that name belongs to the project. A 404 that does not say it
/// (is_missing) is believed when the list of the members does.
asio::awaitable<bool> is_no_member(std::shared_ptr<Api> api, Membership change, Failure failure) {
  if (is_missing(failure) || failure.code == words(change).gone) co_return true;
  if (failure.status != 404) co_return false;
  const auto members = co_await list_members(std::move(api), change.project, change.service_account);
  if (!members) co_return is_missing(members.error());
  co_return std::ranges::none_of(
      *members, [&change](const MemberFacts& each) { return equal_ignoring_case(each.name, change.who); });
}

asio::awaitable<Answer<ManageReply>> conclude(std::shared_ptr<Api> api, Membership change, std::string id,
                                              Failure failure) {
  if (change.act == MembershipAct::remove) {
    const bool gone = co_await is_no_member(std::move(api), std::move(change), failure);
    if (gone) co_return ManageReply{};
    co_return std::unexpected(std::move(failure));
  }
  if (change.act == MembershipAct::add && is_collision(failure))
    co_return co_await judge_existing(std::move(api), std::move(change), std::move(id), std::move(failure));
  co_return std::unexpected(std::move(failure));
}

Failure no_account(const Membership& change) {
  return refusal("service_account_not_found",
                 fmt::format("workspace {} has no service account '{}'; create it first, or check its name",
                             change.project.workspace, change.who));
}

asio::awaitable<Answer<ManageReply>> change_account(std::shared_ptr<Api> api, Membership change) {
  for (;;) {
    const auto account = co_await find_account(api, change.project.workspace, change.who);
    if (!account) co_return std::unexpected(account.error());
    if (!*account) {
      if (change.act == MembershipAct::remove) co_return ManageReply{};
      co_return std::unexpected(no_account(change));
    }
    auto call = call_of(change, (*account)->id);
    const auto answer = co_await send(api, std::move(call));
    if (answer) co_return ManageReply{};
    if (answer.error().status == 404) {
      // It may be another account of the same name by now.
      api->learned->names.forget(name_of_account(change.project.workspace, change.who));
      if ((*account)->remembered) continue;
    }
    co_return co_await conclude(std::move(api), std::move(change), (*account)->id, answer.error());
  }
}

std::string_view role_word(const Invitation& invitation) {
  return invitation.owner ? "owner" : "member";
}

JsonCall call_of(const Invitation& invitation) {
  const json::object entry{{"invitee", invitation.invitee},
                           {"invitationType", invitation.by_email ? "emailRecipient" : "user"},
                           {"roleGrant", role_word(invitation)},
                           {"addToAllProjects", invitation.add_to_all_projects}};
  const json::object body{{"organizationIdentifier", invitation.workspace}, {"invitationsEntries", json::array{entry}}};
  return writing("POST", std::string(invitations_path), {}, text_of(body));
}

JsonCall role_grant(const std::string& invitation, std::string_view role) {
  const json::object body{{"roleGrant", role}};
  return writing("PUT", std::string(invitations_path) + "/" + percent_encode(invitation), {}, text_of(body));
}

/// How the workspace lists the person who is invited.
struct Listed {
  std::string role;                       // empty: it is another person
  std::string invitation;                 // its id; empty of a member
  std::optional<bool> in_all_projects{};  // none: the server does not say

  /// An invitation of which that is not known is made anew; what a member lacks, an invitation does not give.
  bool lacks_projects_of(const Invitation& wanted) const {
    return wanted.add_to_all_projects && !in_all_projects.value_or(invitation.empty());
  }
};

std::optional<bool> is_in_all_projects(const json::object& entry) {
  const auto some = number_member(entry, "numberOfProjects"), all = number_member(entry, "totalNumberOfProjects");
  if (!some || !all) return std::nullopt;
  return *some >= *all;
}

Listed listed(const json::object& entry, const Invitation& invitation) {
  const auto* member = object_member(entry, "registeredMemberInfo");
  if (member && !invitation.by_email && string_member(*member, "username") == invitation.invitee)
    return {string_member(entry, "role"), {}, is_in_all_projects(entry)};
  const auto* invited = object_member(entry, "invitationInfo");
  if (!invited || !equal_ignoring_case(string_member(*invited, "invitee"), invitation.invitee)) return {};
  auto role = string_member(*invited, "roleGrant");
  if (role.empty()) role = string_member(entry, "role");
  return {std::move(role), string_member(*invited, "id"), is_in_all_projects(entry)};
}

/// Into which projects an invitation leads is said when it is made: it is taken back for another one.
asio::awaitable<Answer<ManageReply>> invite_anew(std::shared_ptr<Api> api, Invitation invitation, std::string id) {
  auto revoke = writing("DELETE", std::string(invitations_path) + "/" + percent_encode(id), {});
  auto revoked = co_await send(api, std::move(revoke));
  if (!revoked && !is_missing(revoked.error())) co_return std::unexpected(std::move(revoked.error()));
  auto invite = call_of(invitation);
  co_return co_await carry_out(std::move(api), std::move(invite));
}

/// An invitation that is out already can be changed. The role of a member is none of an invitation's business.
asio::awaitable<Answer<ManageReply>> judge_existing(std::shared_ptr<Api> api, Invitation invitation,
                                                    Failure collision) {
  auto call = reading("/api/backend/v1/organizations2/" + percent_encode(invitation.workspace) + "/members");
  call.max_answer_bytes = longest_listing;
  const auto there = co_await ask_array(api, std::move(call));
  if (!there) co_return std::unexpected(there.error());
  Listed found;
  const auto wanted = role_word(invitation);
  for (const auto* entry : objects_in(*there)) {
    auto each = listed(*entry, invitation);
    if (each.role == wanted && !each.lacks_projects_of(invitation)) co_return ManageReply{};
    if (!each.role.empty()) found = std::move(each);
  }
  if (!found.invitation.empty() && found.lacks_projects_of(invitation))
    co_return co_await invite_anew(std::move(api), std::move(invitation), std::move(found.invitation));
  if (!found.invitation.empty()) {
    auto change = role_grant(found.invitation, wanted);
    co_return co_await carry_out(std::move(api), std::move(change));
  }
  if (found.role == wanted)
    collision.message = fmt::format(
        "{} belongs to workspace {} already, and not to all of its projects; add {} to the others with member.add",
        invitation.invitee, invitation.workspace, invitation.invitee);
  else if (!found.role.empty())
    collision.message = fmt::format(
        "{} belongs to workspace {} already, as {} and not as {}; change the role in the workspace's settings",
        invitation.invitee, invitation.workspace, found.role, wanted);
  co_return std::unexpected(std::move(collision));
}

}  // namespace

std::string_view word(Role role) {
  switch (role) {
    case Role::viewer:
      return "viewer";
    case Role::member:
      return "member";
    case Role::manager:
      return "manager";
  }
  return "viewer";
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, Membership change) {
  if (change.service_account) co_return co_await change_account(std::move(api), std::move(change));
  auto call = call_of(change, change.who);
  auto answer = co_await send(api, std::move(call));
  if (answer) co_return ManageReply{};
  auto id = change.who;
  co_return co_await conclude(std::move(api), std::move(change), std::move(id), std::move(answer.error()));
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, Invitation change) {
  auto call = call_of(change);
  auto answer = co_await send(api, std::move(call));
  if (answer) co_return ManageReply{};
  if (!is_collision(answer.error())) co_return std::unexpected(std::move(answer.error()));
  co_return co_await judge_existing(std::move(api), std::move(change), std::move(answer.error()));
}

}  // namespace neptune::server
