// What people are shown, and what validation wants to know.
#include "server/impl/listings.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t projects_a_page = 500;
constexpr auto type_is_fresh_for = std::chrono::hours(1);
constexpr auto unknown_is_fresh_for = std::chrono::minutes(5);

ProjectFacts project_facts(const json::object& entry, const std::string& workspace) {
  return {{workspace, string_member(entry, "name")}, string_member(entry, "id"),
          string_member(entry, "projectKey"),        string_member(entry, "description"),
          string_member(entry, "visibility"),        true_member(entry, "archived")};
}

WorkspaceType type_of(const json::object& organization) {
  const auto word = string_member(organization, "organizationType");
  if (word == "individual") return WorkspaceType::individual;
  return word == "team" ? WorkspaceType::team : WorkspaceType::unknown;
}

bool says_nothing(const Failure& failure) {
  return failure.kind == Failure::Kind::forbidden || failure.kind == Failure::Kind::rejected || failure.status == 501;
}

}  // namespace

asio::awaitable<Answer<std::vector<ProjectFacts>>> list_projects(std::shared_ptr<Api> api, std::string workspace) {
  std::vector<ProjectFacts> projects;
  while (projects.size() < most_projects_listed) {
    auto call = reading("/api/backend/v1/projects/listForOrganization", {{"organizationIdentifier", workspace},
                                                                         {"offset", std::to_string(projects.size())},
                                                                         {"limit", std::to_string(projects_a_page)}});
    call.max_answer_bytes = longest_listing;
    const auto page = co_await ask_object(api, std::move(call));
    if (!page) co_return std::unexpected(page.error());
    const auto entries = objects_member(*page, "entries");
    for (const auto* entry : entries) projects.push_back(project_facts(*entry, workspace));
    const auto all = integer_member(*page, "matchingItemCount").value_or(0);
    if (entries.empty() || std::cmp_greater_equal(projects.size(), all)) break;
  }
  std::ranges::sort(projects, {}, &ProjectFacts::name);
  co_return projects;
}

asio::awaitable<Answer<std::vector<MemberFacts>>> list_members(std::shared_ptr<Api> api, ProjectName project,
                                                               bool service_accounts) {
  auto call =
      reading(service_accounts ? "/api/backend/v1/projects/service_accounts" : "/api/backend/v1/projects/membersOf",
              {{"projectIdentifier", project.full()}});
  call.max_answer_bytes = longest_listing;
  const auto answer = co_await ask_array(std::move(api), std::move(call));
  if (!answer) co_return std::unexpected(answer.error());
  std::vector<MemberFacts> members;
  for (const auto* entry : objects_in(*answer)) {
    // Somebody who is only invited has no info of that kind, and is no member yet.
    const auto* info = object_member(*entry, service_accounts ? "serviceAccountInfo" : "registeredMemberInfo");
    if (!info) continue;
    members.push_back({string_member(*info, service_accounts ? "name" : "username"), string_member(*entry, "role"),
                       service_accounts});
  }
  co_return members;
}

asio::awaitable<Answer<std::vector<MemberFacts>>> list_everybody(std::shared_ptr<Api> api, ProjectName project) {
  auto everybody = co_await list_members(api, project, false);
  if (!everybody) co_return everybody;
  const auto accounts = co_await list_members(std::move(api), std::move(project), true);
  if (!accounts) co_return accounts;
  everybody->insert(everybody->end(), accounts->begin(), accounts->end());
  co_return everybody;
}

asio::awaitable<Answer<WorkspaceType>> workspace_type(std::shared_ptr<Api> api, std::string workspace) {
  const auto* known = api->learned->workspaces.find(workspace);
  if (known && api->clock.now() < known->until) co_return known->type;
  auto call = reading("/api/backend/v1/organizations2/" + percent_encode(workspace));
  const auto organization = co_await ask_object(api, std::move(call));
  if (!organization && !says_nothing(organization.error())) co_return std::unexpected(organization.error());
  const auto type = organization ? type_of(*organization) : WorkspaceType::unknown;
  const Duration fresh = type == WorkspaceType::unknown ? Duration(unknown_is_fresh_for) : Duration(type_is_fresh_for);
  api->learned->workspaces.put(workspace, {type, api->clock.now() + fresh});
  co_return type;
}

}  // namespace neptune::server
