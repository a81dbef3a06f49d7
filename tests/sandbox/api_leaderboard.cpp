// The leaderboard: a project's containers as a table, found by a query and sorted by an attribute, and its columns.
#include <algorithm>

#include "tests/sandbox/container_json.h"
#include "tests/sandbox/nql.h"
#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

const json::object* member(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value == nullptr || !value->is_object() ? nullptr : &value->get_object();
}

std::vector<const Container*> containers_of(const Project& project, std::string_view type) {
  std::vector<const Container*> out;
  const auto add = [&](const Container& container) {
    if (type.empty() || type == type_name(container.type)) out.push_back(&container);
  };
  for (const auto& [key, run] : project.runs) add(run);
  for (const auto& [key, model] : project.models) add(model);
  return out;
}

Condition condition_of(const json::object& params) {
  const auto* query = member(params, "query");
  auto parsed = parse_query(query == nullptr ? std::string() : string_of(*query, "query", false));
  if (parsed) return std::move(*parsed);
  auto refused = answer(json::object{{"code", 400}, {"title", "Syntax error"}, {"message", parsed.error().message}});
  refused.status = 400;
  throw Refusal{std::move(refused)};
}

/// Those that do not have the attribute come last, whatever the direction.
void sort(std::vector<const Container*>& containers, const json::object& sorting) {
  const auto* by = member(sorting, "sortBy");
  if (by == nullptr) return;
  const auto name = string_of(*by, "name");
  const bool ascending = string_of(sorting, "dir", false) == "ascending";
  std::vector<std::pair<std::optional<Comparable>, const Container*>> keyed;
  for (const auto* container : containers) keyed.emplace_back(comparable(Attributes(*container).find(name)), container);
  std::stable_sort(keyed.begin(), keyed.end(), [ascending](const auto& left, const auto& right) {
    if (!left.first || !right.first) return left.first.has_value() && !right.first.has_value();
    return ascending ? *left.first < *right.first : *right.first < *left.first;
  });
  std::transform(keyed.begin(), keyed.end(), containers.begin(), [](const auto& each) { return each.second; });
}

struct Page {
  std::size_t offset = 0, limit = 1000;
};

Page page_of(const json::object& params) {
  Page page;
  const auto* given = member(params, "pagination");
  if (given == nullptr) return page;
  json::error_code error;
  if (const auto* value = given->if_contains("offset")) page.offset = value->to_number<std::size_t>(error);
  if (const auto* value = given->if_contains("limit"); value && !error)
    page.limit = value->to_number<std::size_t>(error);
  if (error) refuse(400, "", "'offset' and 'limit' are numbers of entries");
  return page;
}

Paths columns_of(const json::object& params) {
  Paths out;
  const auto* filters = params.if_contains("attributeFilters");
  if (filters == nullptr || !filters->is_array()) return out;
  for (const auto& filter : filters->get_array())
    if (filter.is_object()) out.insert(string_of(filter.get_object(), "path"));
  return out;
}

Response search(World& world, const Request& request) {
  const auto& project = project_of(world, request);
  const auto params = object_body(request);
  auto found = containers_of(project, request.query_value("type"));
  const auto matches = condition_of(params);
  std::erase_if(found, [&](const Container* container) { return !matches(Attributes(*container)); });
  if (const auto* sorting = member(params, "sorting")) sort(found, *sorting);
  const auto columns = columns_of(params);
  const auto page = page_of(params);
  json::array entries;
  for (auto at = page.offset; at < found.size() && entries.size() < page.limit; ++at)
    entries.push_back(attributes_json(world.store, *found[at], columns));
  return answer(json::object{{"entries", std::move(entries)}, {"matchingItemCount", found.size()}});
}

Response columns(World& world, const Request& request) {
  const auto& project = project_of(world, request);
  const auto& part = request.query_value("search");
  const auto& type = request.query_value("attributeType");
  const auto matches = condition_of(object_body(request));
  std::set<std::pair<std::string, std::string_view>> found;
  for (const auto* container : containers_of(project, request.query_value("type"))) {
    const Attributes attributes(*container);
    if (!matches(attributes)) continue;
    attributes.each([&](const std::string& path, const Field& field) {
      const auto is = attribute_type(field);
      if (path.find(part) != std::string::npos && (type.empty() || type == is)) found.emplace(path, is);
    });
  }
  const auto limit = number_of(request, "limit", 1000);
  json::array entries;
  for (const auto& [name, is] : found)
    if (std::ssize(entries) < limit) entries.push_back({{"name", name}, {"type", is}});
  return answer(json::object{{"entries", std::move(entries)}});
}

}  // namespace

void add_leaderboard_api(World& world) {
  const std::string base = "/api/leaderboard/v1/leaderboard";
  add_read(world, "POST", base + "/entries/search",
           {"searchLeaderboardEntries", "projectIdentifier! []type @params!", "LeaderboardEntriesSearchResultDTO"},
           [&world](const Request& request) { return search(world, request); });
  add_read(world, "POST", base + "/attributes/search",
           {"searchLeaderboardAttributes", "projectIdentifier! search #limit []type []attributeType @params!",
            "AttributesSearchResultDTO"},
           [&world](const Request& request) { return columns(world, request); });
}

}  // namespace neptune::sandbox
