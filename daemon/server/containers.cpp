#include "server/impl/containers.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/listings.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t longest_search_answer = 4u << 20;

std::string name_of(const ProjectName& project) {
  return "project " + project.full();
}

std::string name_of(const ContainerName& container) {
  if (container.kind == ContainerKind::project) return name_of(container.project);
  return fmt::format("{} {}/{}", name(container.kind), container.project.full(), container.id);
}

Failure not_found(std::string_view kind, std::string what) {
  auto failure = refusal(std::string(kind) + "_not_found", std::move(what));
  failure.status = 404;
  return failure;
}

Failure not_found(const ContainerName& container) {
  return not_found(name(container.kind),
                   fmt::format("the server has no {} '{}' in {}; create it first, or check its name",
                               container.kind == ContainerKind::model_version ? "model version" : name(container.kind),
                               container.id, container.project.full()));
}

/// What is remembered of it is remembered of this.
std::string name_of(const Addressed& container) {
  return container.id.empty() ? name_of(container.name) : "id " + container.id;
}

/// "LAB-FOREST" and "LAB-FOREST-3" are short ids; "FOREST" and "FOREST-3" lack the project's key.
bool lacks_project_key(const ContainerName& container) {
  const auto dashes = std::ranges::count(container.id, '-');
  return (container.kind == ContainerKind::model && dashes == 0) ||
         (container.kind == ContainerKind::model_version && dashes == 1);
}

asio::awaitable<Answer<Known>> look_up(std::shared_ptr<Api> api, ContainerName container, std::string identifier) {
  auto call = reading("/api/leaderboard/v1/experiments", {{"experimentId", std::move(identifier)}});
  const auto object = co_await ask_object(std::move(api), std::move(call));
  if (!object) {
    if (is_missing(object.error())) co_return std::unexpected(not_found(container));
    co_return std::unexpected(object.error());
  }
  Known known{string_member(*object, "id"), {}};
  if (known.id.empty()) co_return std::unexpected(invalid_answer("the look-up of a container"));
  co_return known;
}

asio::awaitable<Answer<Known>> look_up_run(std::shared_ptr<Api> api, ContainerName run) {
  const std::vector<std::string> ids{run.id};
  for (int pass = 0; pass < 2; ++pass) {
    const bool trashed = pass == 1;
    auto found = co_await search_runs(api, run.project, ids, trashed);
    if (!found) co_return std::unexpected(std::move(found.error()));
    if (const auto it = found->find(run.id); it != found->end()) co_return Known{it->second.id, {}};
  }
  if (!looks_like_a_short_id(run.id)) co_return std::unexpected(not_found(run));
  co_return co_await look_up(api, run, identifier_of(run.project, run.id));
}

/// Of a model or a version.
asio::awaitable<Answer<std::string>> short_id_of(std::shared_ptr<Api> api, ContainerName model) {
  if (!lacks_project_key(model)) co_return model.id;
  const auto project = co_await find_project(api, model.project);
  if (!project) co_return std::unexpected(project.error());
  co_return project->known.key + "-" + model.id;
}

/// The key of the model's project, which may have been made anew since it was remembered.
asio::awaitable<Answer<std::string>> key_now(std::shared_ptr<Api> api, ContainerName model) {
  api->learned->names.forget(name_of(model.project));
  auto project = co_await find_project(std::move(api), model.project);
  if (!project) co_return std::unexpected(std::move(project.error()));
  co_return std::move(project->known.key);
}

asio::awaitable<Answer<Known>> look_up_model(std::shared_ptr<Api> api, ContainerName model) {
  const auto short_id = co_await short_id_of(api, model);
  if (!short_id) co_return std::unexpected(short_id.error());
  auto known = co_await look_up(api, model, identifier_of(model.project, *short_id));
  if (known || !says_missing(known.error()) || lacks_project_key(model)) co_return known;
  // Under the key of another project there will be none, however long it is waited for.
  const auto key = co_await key_now(api, model);
  if (!key || model.id.starts_with(*key + "-")) co_return known;
  co_return std::unexpected(
      refusal("other_project_key",
              fmt::format("'{}' is none of {}, whose key is {}; name it by that, or without a project's key", model.id,
                          model.project.full(), *key)));
}

/// Any run of these custom ids. The query language takes a string as JSON writes it.
std::string query_of(const std::vector<std::string>& custom_ids, bool trashed) {
  std::string query = "(";
  for (const auto& id : custom_ids) {
    if (query.size() > 1) query += " OR ";
    query += "`sys/custom_run_id`:string = " + json::serialize(json::string(id));
  }
  return query + ") AND `sys/trashed`:bool = " + (trashed ? "true" : "false");
}

/// The newest versions of a model.
std::string search_body(const std::string& model, bool trashed) {
  constexpr std::size_t most = 1000;  // a server that does not sort them tells as many
  const auto query = fmt::format("(`sys/model_id`:string = {}) AND `sys/trashed`:bool = {}",
                                 json::serialize(json::string(model)), trashed);
  const json::array wanted{json::object{{"path", "sys/id"}}};
  const json::object newest{{"dir", "descending"},
                            {"sortBy", json::object{{"name", "sys/creation_time"}, {"type", "datetime"}}}};
  return text_of(json::object{{"query", json::object{{"query", query}}},
                              {"attributeFilters", wanted},
                              {"sorting", newest},
                              {"pagination", json::object{{"limit", most}, {"offset", 0}}}});
}

/// "LAB-FOREST-3" of LAB-FOREST is 3; 0: it is none of this model's.
std::int64_t version_in(std::string_view short_id, std::string_view model) {
  if (!short_id.starts_with(model) || !short_id.substr(model.size()).starts_with('-')) return 0;
  short_id.remove_prefix(model.size() + 1);
  std::int64_t version = 0;
  const auto* end = short_id.data() + short_id.size();
  const auto read = std::from_chars(short_id.data(), end, version);
  return read.ec == std::errc() && read.ptr == end ? version : 0;
}

std::string search_body(const std::vector<std::string>& custom_ids, bool trashed) {
  const json::array wanted{json::object{{"path", "sys/id"}}, json::object{{"path", "sys/custom_run_id"}}};
  return text_of(json::object{{"query", json::object{{"query", query_of(custom_ids, trashed)}}},
                              {"attributeFilters", wanted},
                              {"pagination", json::object{{"limit", custom_ids.size()}, {"offset", 0}}}});
}

/// What the API calls a container of that kind.
std::string_view wire_type(ContainerKind kind) {
  return kind == ContainerKind::model_version ? "modelVersion" : name(kind);
}

std::string string_attribute(const json::object& entry, std::string_view wanted) {
  for (const auto* attribute : objects_member(entry, "attributes")) {
    if (string_member(*attribute, "name") != wanted) continue;
    if (const auto* properties = object_member(*attribute, "stringProperties"))
      return string_member(*properties, "value");
  }
  return {};
}

}  // namespace

std::string identifier_of(const ProjectName& project, std::string_view short_id) {
  return fmt::format("{}/{}", project.full(), short_id);
}

bool looks_like_a_short_id(std::string_view run) {
  const auto dash = run.find('-');
  if (dash == 0 || dash == std::string_view::npos || dash + 1 == run.size()) return false;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return std::ranges::all_of(run.substr(0, dash), [digit](char c) { return digit(c) || (c >= 'A' && c <= 'Z'); }) &&
         std::ranges::all_of(run.substr(dash + 1), digit);
}

asio::awaitable<bool> is_gone(std::shared_ptr<Api> api, ProjectName project, Failure failure) {
  if (is_missing(failure)) co_return true;
  if (failure.status != 404) co_return false;
  const auto listed = co_await list_projects(std::move(api), project.workspace);
  if (!listed) co_return is_missing(listed.error());
  if (listed->size() >= most_projects_listed) co_return false;  // it may be among those that were not listed
  co_return std::ranges::none_of(*listed, [&project](const ProjectFacts& each) {
    return equal_ignoring_case(each.name.project, project.project);
  });
}

asio::awaitable<Answer<Found>> find_project(std::shared_ptr<Api> api, ProjectName project) {
  const auto name = name_of(project);
  if (const auto* known = api->learned->names.find(name)) co_return Found{*known, true};
  auto call = reading("/api/backend/v1/projects/get", {{"projectIdentifier", project.full()}});
  const auto object = co_await ask_object(api, std::move(call));
  if (!object) {
    const bool gone = co_await is_gone(api, project, object.error());
    if (!gone) co_return std::unexpected(object.error());
    co_return std::unexpected(
        not_found("project", fmt::format("the server has no project {}; create it first, or check its name and the "
                                         "token's access to it",
                                         project.full())));
  }
  Known known{string_member(*object, "id"), string_member(*object, "projectKey")};
  if (known.id.empty() || known.key.empty()) co_return std::unexpected(invalid_answer("the look-up of a project"));
  api->learned->names.put(name, known);
  co_return Found{std::move(known), false};
}

asio::awaitable<Answer<Found>> find_container(std::shared_ptr<Api> api, Addressed container) {
  const bool by_name = container.id.empty();
  if (by_name && container.name.kind == ContainerKind::project)
    co_return co_await find_project(std::move(api), container.name.project);
  const auto name = name_of(container);
  if (const auto* known = api->learned->names.find(name)) co_return Found{*known, true};
  Answer<Known> known;
  if (!by_name)
    known = co_await look_up(api, container.name, container.id);
  else if (container.name.kind == ContainerKind::run)
    known = co_await look_up_run(api, container.name);
  else
    known = co_await look_up_model(api, container.name);
  if (!known) co_return std::unexpected(std::move(known.error()));
  api->learned->names.put(name, *known);
  co_return Found{std::move(*known), false};
}

asio::awaitable<Answer<ContainerName>> container_with_id(std::shared_ptr<Api> api, ContainerKind kind, std::string id) {
  auto call = reading("/api/leaderboard/v1/experiments", {{"experimentId", id}});
  const auto object = co_await ask_object(api, std::move(call));
  if (!object) {
    if (!is_missing(object.error())) co_return std::unexpected(object.error());
    co_return std::unexpected(not_found(
        "container", fmt::format("the server has no {} with the id {}: it was deleted, or the token is of another "
                                 "server or may not see it",
                                 name(kind), id)));
  }
  ContainerName container{{string_member(*object, "organizationName"), string_member(*object, "projectName")},
                          string_member(*object, "shortId"),
                          kind};
  if (string_member(*object, "type") != wire_type(kind) || container.project.workspace.empty() ||
      container.project.project.empty())
    co_return std::unexpected(invalid_answer("the look-up of a container by its id"));
  if (kind == ContainerKind::project) container.id.clear();
  Known known{id, {}};
  api->learned->names.put(name_of(Addressed(container, std::move(id))), std::move(known));
  co_return container;
}

asio::awaitable<Answer<bool>> has_run(std::shared_ptr<Api> api, ContainerName run) {
  const auto found = co_await look_up_run(std::move(api), std::move(run));
  if (found) co_return true;
  if (found.error().code == "run_not_found") co_return false;
  co_return std::unexpected(found.error());
}

asio::awaitable<Answer<std::string>> id_of(std::shared_ptr<Api> api, ContainerName container) {
  auto found = co_await find_container(std::move(api), std::move(container));
  if (!found) co_return std::unexpected(std::move(found.error()));
  co_return std::move(found->known.id);
}

bool forget_stale(Api& api, const Addressed& container, const Found& used, const Failure& failure) {
  if (failure.status != 404) return false;
  forget(api, container);
  // Its key is part of the container's short id.
  api.learned->names.forget(name_of(container.name.project));
  return used.remembered;
}

void forget(Api& api, const Addressed& container) {
  api.learned->names.forget(name_of(container));
}

void remember(Api& api, const ContainerName& container, std::string id) {
  api.learned->names.put(name_of(container), {std::move(id), {}});
}

void forget_all(Api& api, const ProjectName& project) {
  const auto full = project.full();
  api.learned->names.forget_if([&full](const std::string& name) {
    const auto rest = std::string_view(name).substr(name.find(' ') + 1);
    return rest == full || rest.starts_with(full + "/");
  });
}

namespace {

JsonCall search(const ProjectName& project, std::string_view type, std::string body) {
  return {.method = "POST",
          .path = "/api/leaderboard/v1/leaderboard/entries/search",
          .query = {{"projectIdentifier", project.full()}, {"type", std::string(type)}},
          .body = std::move(body),
          .max_answer_bytes = longest_search_answer};
}

}  // namespace

asio::awaitable<Answer<std::int64_t>> last_version(std::shared_ptr<Api> api, ContainerName model) {
  const auto short_id = co_await short_id_of(api, model);
  if (!short_id) co_return std::unexpected(short_id.error());
  std::int64_t last = 0;
  for (int pass = 0; pass < 2; ++pass) {
    const bool trashed = pass == 1;
    auto call = search(model.project, wire_type(ContainerKind::model_version), search_body(*short_id, trashed));
    const auto object = co_await ask_object(api, std::move(call));
    if (!object) co_return std::unexpected(object.error());
    for (const auto* entry : objects_member(*object, "entries"))
      last = std::max(last, version_in(string_attribute(*entry, "sys/id"), *short_id));
  }
  co_return last;
}

asio::awaitable<Answer<std::map<std::string, FoundRun>>> search_runs(std::shared_ptr<Api> api, ProjectName project,
                                                                     std::vector<std::string> custom_ids,
                                                                     bool trashed) {
  std::map<std::string, FoundRun> runs;
  if (custom_ids.empty()) co_return runs;
  auto call = search(project, "run", search_body(custom_ids, trashed));
  const auto object = co_await ask_object(std::move(api), std::move(call));
  if (!object) co_return std::unexpected(object.error());
  for (const auto* entry : objects_member(*object, "entries")) {
    FoundRun run{string_member(*entry, "experimentId"), string_attribute(*entry, "sys/id")};
    const auto custom_id = string_attribute(*entry, "sys/custom_run_id");
    // Only what was asked for: a server that does not understand the query would answer with everything.
    if (!run.id.empty() && !run.short_id.empty() && std::ranges::find(custom_ids, custom_id) != custom_ids.end())
      runs[custom_id] = std::move(run);
  }
  co_return runs;
}

}  // namespace neptune::server
