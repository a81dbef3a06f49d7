#include "tests/sandbox/routes.h"

#include <charconv>

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

Handler with_refusals(Handler handle) {
  return [handle = std::move(handle)](const Request& request) {
    try {
      return handle(request);
    } catch (const Refusal& refusal) {
      return refusal.response;
    }
  };
}

std::string record_of(const Request& request, std::int64_t now_ms) {
  json::object query;
  for (const auto& [name, value] : request.query) query[name] = value;
  return json::serialize(json::object{{"at", now_ms},
                                      {"method", request.method},
                                      {"path", request.path},
                                      {"query", std::move(query)},
                                      {"body", request.body}});
}

Route described(std::string method, std::string pattern, Description description) {
  Route route;
  route.method = std::move(method);
  route.pattern = std::move(pattern);
  route.operation = std::move(description.operation);
  route.parameters = std::move(description.parameters);
  route.answer = std::move(description.answer);
  return route;
}

}  // namespace

void refuse(unsigned status, std::string_view error_type, const std::string& message) {
  throw Refusal{error_response(status, error_type, message)};
}

void add_read(World& world, std::string method, std::string pattern, Description description, Handler handle) {
  auto route = described(std::move(method), std::move(pattern), std::move(description));
  route.handle = with_refusals(std::move(handle));
  world.router.add(std::move(route));
}

void add_write(World& world, std::string method, std::string pattern, Description description, Handler handle,
               std::size_t max_body) {
  auto route = described(std::move(method), std::move(pattern), std::move(description));
  route.max_body = max_body;
  route.replay = with_refusals(std::move(handle));
  route.handle = [&world, apply = route.replay](const Request& request) {
    auto response = apply(request);
    if (response.status < 300) world.journal.write(Journal::Kind::call, record_of(request, world.store.now_ms()));
    return response;
  };
  world.router.add(std::move(route));
}

Result<void> replay_call(World& world, std::string_view record) {
  const auto content = json::parse(record).as_object();
  Request request;
  request.method = content.at("method").as_string();
  request.path = content.at("path").as_string();
  request.body = content.at("body").as_string();
  for (const auto& [name, value] : content.at("query").as_object())
    request.query[std::string(name)] = std::string(value.as_string());
  world.store.clean_up(content.at("at").to_number<std::int64_t>());
  const auto* route = world.router.find(request);
  if (route == nullptr || !route->replay)
    return fail("state_file_damaged", "the state file holds a call that is not served: " + request.path);
  if (const auto response = route->replay(request); response.status >= 300)
    return fail("state_file_damaged", "the state file holds a call that fails: " + response.body);
  return {};
}

Response answer(const json::value& body) {
  return {200, json::serialize(body), "application/json", {}};
}

Response done() {
  return {200, {}, {}, {}};
}

json::value parse_body(const Request& request) {
  json::error_code error;
  auto body = json::parse(request.body, error);
  if (error) refuse(400, "MALFORMED_JSON_REQUEST", "the body is not JSON: " + error.message());
  return body;
}

json::object object_body(const Request& request) {
  auto body = parse_body(request);
  if (!body.is_object()) refuse(400, "", "the body must be a JSON object");
  return std::move(body.get_object());
}

std::optional<std::string> optional_string(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_string()) refuse(400, "", "'" + std::string(key) + "' must be a string");
  return std::string(value->get_string());
}

std::string string_of(const json::object& object, std::string_view key, bool required) {
  auto value = optional_string(object, key);
  if (!value && required) refuse(400, "", "'" + std::string(key) + "' is missing");
  return value.value_or("");
}

std::int64_t number_of(const Request& request, const std::string& name, std::int64_t otherwise) {
  const auto& text = request.query_value(name);
  std::int64_t value = otherwise;
  if (!text.empty() && std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc())
    refuse(400, "", name + " must be a whole number");
  return value;
}

void require_writable(World& world, const ProjectName& name) {
  if (auto refusal = world.store.refuse_write(name, false)) throw Refusal{std::move(*refusal)};
}

Project& project_named(World& world, const std::string& identifier) {
  auto* project = world.store.find_project(identifier);
  if (project == nullptr) refuse(404, "PROJECT_NOT_FOUND", "there is no project " + identifier);
  return *project;
}

Project& project_of(World& world, const Request& request) {
  return project_named(world, request.query_value("projectIdentifier"));
}

Workspace& workspace_named(World& world, const std::string& identifier) {
  if (auto* found = world.store.find_workspace(identifier)) return *found;
  if (!world.store.auto_create_workspaces || identifier.empty() || identifier.find('/') != std::string::npos)
    refuse(404, "ORGANIZATION_NOT_FOUND", "there is no workspace " + identifier);
  WorkspaceOption option;
  option.name = identifier;
  return world.store.put_workspace(option);
}

std::string time_text(std::int64_t ms) {
  return Datetime{ms / 1000, static_cast<std::int32_t>(ms % 1000) * 1'000'000}.text();
}

}  // namespace neptune::sandbox
