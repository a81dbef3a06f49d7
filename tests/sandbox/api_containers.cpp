// Runs, models and model versions: made and looked up.
#include <fmt/format.h>

#include "tests/sandbox/container_json.h"
#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

constexpr std::size_t custom_id_characters = 36;

/// The project that the creation is about; the 1.x client names it in one of these ways.
Project& project_to_fill(World& world, const json::object& params) {
  const auto identifier = optional_string(params, "projectIdentifier");
  if (identifier && ProjectName::parse(*identifier)) return project_named(world, *identifier);
  for (const auto* key : {"projectIdentifier", "projectId", "parentId"}) {
    auto* found = world.store.find_container(optional_string(params, key).value_or(""));
    if (found != nullptr) return *found->project;
  }
  refuse(404, "PROJECT_NOT_FOUND", "the creation names no project that exists");
}

Container& make_run(World& world, Project& project, const json::object& params) {
  const auto custom_id = string_of(params, "customId", false);
  if (custom_id.size() > custom_id_characters) refuse(400, "BAD_REQUEST", "a custom id has at most 36 characters");
  if (const auto existing = project.runs.find(custom_id); !custom_id.empty() && existing != project.runs.end()) {
    ++world.store.totals.duplicate_creates;
    return existing->second;
  }
  return world.store.add_run(project, custom_id);
}

Container& make_model(World& world, Project& project, const json::object& params) {
  const auto key = string_of(params, "key");
  if (!valid_key(key)) refuse(400, "BAD_REQUEST", "a model's key has 1 to 10 of A-Z and 0-9, one of them a letter");
  const auto short_id = project.key + "-" + key;
  if (project.by_short_id.contains(short_id))
    refuse(409, "EXPERIMENT_ALREADY_EXISTS", "project " + project.name.full() + " already has a model " + short_id);
  return world.store.add_model(project, short_id, nullptr);
}

Container& make_version(World& world, Project& project, const json::object& params) {
  auto* model = world.store.find_container(string_of(params, "parentId"));
  if (model == nullptr || model->type != Container::Type::model || model->project != &project)
    refuse(404, "EXPERIMENT_NOT_FOUND", "the model of 'parentId' does not exist");
  return world.store.add_model(project, fmt::format("{}-{}", model->short_id, model->next_version++), model);
}

Response create(World& world, const Request& request) {
  const auto params = object_body(request);
  auto& project = project_to_fill(world, params);
  require_writable(world, project.name);
  const auto type = optional_string(params, "type").value_or("run");
  const auto known = world.store.totals.duplicate_creates;
  auto* made = type == "run"            ? &make_run(world, project, params)
               : type == "model"        ? &make_model(world, project, params)
               : type == "modelVersion" ? &make_version(world, project, params)
                                        : nullptr;
  if (made == nullptr) refuse(400, "BAD_REQUEST", "'type' is run, model or modelVersion");
  if (known == world.store.totals.duplicate_creates) world.store.add_bytes(*made, request.body.size());
  return answer(container_json(world.store, *made));
}

Response get(World& world, const Request& request) {
  return answer(container_json(world.store, container_named(world, request.query_value("experimentId"))));
}

}  // namespace

Container& container_named(World& world, const std::string& identifier) {
  auto* found = world.store.find_container(identifier);
  if (found == nullptr) refuse(404, "EXPERIMENT_NOT_FOUND", "there is no container " + identifier);
  return *found;
}

void add_container_api(World& world) {
  const std::string base = "/api/leaderboard/v1/experiments";
  add_write(world, "POST", base,
            {"createExperiment",
             "@experimentCreationParams! ^User-Agent ^X-Neptune-CliVersion ^?X-Neptune-LegacyClient", "Experiment"},
            [&world](const Request& request) { return create(world, request); });
  add_read(world, "GET", base, {"getExperiment", "experimentId!", "Experiment"},
           [&world](const Request& request) { return get(world, request); });
}

}  // namespace neptune::sandbox
