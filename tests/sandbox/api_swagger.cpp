// The API's description of itself: 1.x clients build their calls from it. Made of what the routes say of themselves.
#include "tests/sandbox/definitions.h"
#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

json::object reference(std::string_view definition) {
  return {{"$ref", "#/definitions/" + std::string(definition)}};
}

json::object schema_of(std::string_view answer) {
  if (answer == "file") return {{"type", "file"}};
  if (!answer.starts_with('[')) return reference(answer);
  return {{"type", "array"}, {"items", reference(answer.substr(1, answer.size() - 2))}};
}

bool take(std::string_view& word, std::string_view mark) {
  if (!word.starts_with(mark)) return false;
  word.remove_prefix(mark.size());
  return true;
}

/// The body's parameter, without its '@'. Clients refuse to send what the schema gives no type.
json::object body_parameter(std::string_view word, bool required) {
  json::object schema{{"type", "object"}};
  if (take(word, "[{}]"))
    schema = {{"type", "array"}, {"items", {{"type", "object"}}}};
  else if (take(word, "[]"))
    schema = {{"type", "array"}, {"items", {{"type", "string"}}}};
  return {{"name", word}, {"in", "body"}, {"required", required}, {"schema", std::move(schema)}};
}

/// One parameter in the words of `Description`.
json::object parameter(std::string_view word) {
  const bool required = word.ends_with('!');
  if (required) word.remove_suffix(1);
  if (take(word, "@")) return body_parameter(word, required);
  json::object out{{"in", "query"}, {"required", required}, {"type", "string"}};
  const auto is = [&word](std::string_view mark) { return take(word, mark); };
  if (is("^")) out["in"] = "header";
  if (is("[]")) {
    out["type"] = "array";
    out["items"] = {{"type", "string"}};
    out["collectionFormat"] = "multi";
  } else if (is("#")) {
    out["type"] = "integer";
  } else if (is("%")) {
    out["type"] = "number";
  } else if (is("?")) {
    out["type"] = "boolean";
  }
  out["name"] = word;
  return out;
}

json::array parameters_of(const Route& route) {
  json::array out;
  for (std::size_t at = 0; (at = route.pattern.find('{', at)) != std::string::npos; ++at)
    out.push_back({{"name", route.pattern.substr(at + 1, route.pattern.find('}', at) - at - 1)},
                   {"in", "path"},
                   {"required", true},
                   {"type", "string"}});
  std::string_view words = route.parameters;
  while (!words.empty()) {
    const auto end = words.find(' ');
    if (end != 0) out.push_back(parameter(words.substr(0, end)));
    words = end == std::string_view::npos ? std::string_view() : words.substr(end + 1);
  }
  return out;
}

json::object operation_of(const Route& route, std::string_view tag) {
  json::object good{{"description", "OK"}};
  if (!route.answer.empty()) good["schema"] = schema_of(route.answer);
  json::object responses{{"200", std::move(good)}};
  for (const auto* status : {"400", "401", "402", "403", "404", "408", "409", "413", "422", "429"})
    responses[status] = {{"description", "refused"}};
  return {{"operationId", route.operation},
          {"tags", json::array{tag}},
          {"consumes", json::array{"application/json"}},
          {"produces", json::array{route.answer == "file" ? "*/*" : "application/json"}},
          {"parameters", parameters_of(route)},
          {"responses", std::move(responses)}};
}

Response describe(const World& world, const std::string& prefix, const std::string& title) {
  json::object paths;
  for (const auto& route : world.router.routes()) {
    if (route.operation.empty() || !route.pattern.starts_with(prefix)) continue;
    auto method = route.method;
    for (auto& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    auto& path = paths[route.pattern];
    if (path.is_null()) path = json::object();
    path.as_object()[method] = operation_of(route, "api");
  }
  return answer(json::object{{"swagger", "2.0"},
                             {"info", {{"title", title}, {"version", "1"}}},
                             {"basePath", "/"},
                             {"paths", std::move(paths)},
                             {"definitions", definitions()}});
}

}  // namespace

void add_swagger_api(World& world) {
  const auto add = [&](const char* area, const char* title) {
    const auto prefix = std::string("/api/") + area + "/";
    Route route;
    route.method = "GET";
    route.pattern = prefix + "swagger.json";
    route.needs_token = false;
    route.handle = [&world, prefix, title](const Request&) { return describe(world, prefix, title); };
    world.router.add(std::move(route));
  };
  add("backend", "Workspaces, projects and signing in");
  add("leaderboard", "Runs, models and their attributes");
  add("storagebridge", "Files");
}

}  // namespace neptune::sandbox
