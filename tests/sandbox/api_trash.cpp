// What people do to many containers at once: trash, archive, tags. The answers name each that could not be done.
#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

/// What came of it for each identifier, in the form in which it came.
class Outcome {
 public:
  void updated(const std::string& identifier) { updated_.emplace_back(identifier); }
  void failed(const std::string& identifier, const char* reason) {
    errors_.push_back({{"experimentIdentifier", identifier}, {"reason", reason}, {"message", reason}});
  }
  Response response() const {
    return answer(json::object{{"errors", errors_}, {"updatedExperimentIdentifiers", updated_}});
  }

 private:
  json::array errors_, updated_;
};

std::vector<std::string> strings(const json::value& value) {
  if (!value.is_array()) refuse(400, "", "an array of strings is needed");
  std::vector<std::string> out;
  for (const auto& element : value.get_array()) {
    if (!element.is_string()) refuse(400, "", "an array of strings is needed");
    out.emplace_back(element.get_string());
  }
  return out;
}

std::vector<std::string> strings_in(const json::object& body, std::string_view key) {
  const auto* value = body.if_contains(key);
  return value == nullptr ? std::vector<std::string>() : strings(*value);
}

/// A container of the project, by any of its names; a short id alone will do.
Container* find_in(World& world, const Project& project, const std::string& identifier) {
  if (auto* found = world.store.find_container(identifier)) return found->project == &project ? found : nullptr;
  return world.store.find_container(project.name.full() + "/" + identifier);
}

/// Does it to each of the body's containers; `act` says why it could not, or null.
Response for_each(World& world, const Request& request, const char* (*act)(World&, Container&)) {
  const auto& project = project_of(world, request);
  Outcome outcome;
  for (const auto& identifier : strings(parse_body(request))) {
    auto* container = find_in(world, project, identifier);
    const char* reason = container == nullptr                          ? "NOT_EXISTS"
                         : container->type == Container::Type::project ? "IS_PROJECT"
                                                                       : act(world, *container);
    if (reason == nullptr)
      outcome.updated(identifier);
    else
      outcome.failed(identifier, reason);
  }
  return outcome.response();
}

Response trash(World& world, const Request& request) {
  return for_each(world, request, [](World&, Container& container) -> const char* {
    return std::exchange(container.trashed, true) ? "ALREADY_TRASHED" : nullptr;
  });
}

Response restore(World& world, const Request& request) {
  require_writable(world, project_of(world, request).name);
  return for_each(world, request, [](World&, Container& container) -> const char* {
    return std::exchange(container.trashed, false) ? nullptr : "NOT_IN_TRASH";
  });
}

Response remove(World& world, const Request& request) {
  return for_each(world, request, [](World& of, Container& container) -> const char* {
    if (!container.trashed) return "NOT_IN_TRASH";
    of.store.remove(container);
    return nullptr;
  });
}

std::vector<std::string> trash_of(const Project& project) {
  std::vector<std::string> out;
  for (const auto& [key, run] : project.runs)
    if (run.trashed) out.push_back(run.id);
  for (const auto& [key, model] : project.models)
    if (model.trashed) out.push_back(model.id);
  return out;
}

Response remove_all(World& world, const Request& request) {
  const auto& project = project_of(world, request);
  Outcome outcome;
  for (const auto& id : trash_of(project)) {
    auto* container = world.store.find_container(id);
    // Gone with its model.
    if (container == nullptr) continue;
    outcome.updated(project.name.full() + "/" + container->short_id);
    world.store.remove(*container);
  }
  return outcome.response();
}

Response restore_all(World& world, const Request& request) {
  const auto& project = project_of(world, request);
  require_writable(world, project.name);
  Outcome outcome;
  for (const auto& id : trash_of(project)) {
    auto& container = container_named(world, id);
    container.trashed = false;
    outcome.updated(project.name.full() + "/" + container.short_id);
  }
  return outcome.response();
}

Response archive(World& world, const Request& request, bool archived) {
  Outcome outcome;
  const auto identifiers = strings_in(object_body(request), "runs");
  for (const auto& identifier : identifiers)
    if (const auto* container = world.store.find_container(identifier); container != nullptr && !archived)
      require_writable(world, container->project->name);
  for (const auto& identifier : identifiers) {
    auto* container = world.store.find_container(identifier);
    if (container == nullptr || container->type == Container::Type::project) {
      outcome.failed(identifier, container == nullptr ? "NOT_EXISTS" : "IS_PROJECT");
      continue;
    }
    container->archived = archived;
    outcome.updated(identifier);
  }
  return outcome.response();
}

Response tag(World& world, const Request& request) {
  const auto& project = project_of(world, request);
  require_writable(world, project.name);
  const auto body = object_body(request);
  const auto path = optional_string(body, "attributePathToBeUpdated").value_or("sys/tags");
  const auto add = strings_in(body, "tagsToAdd"), take = strings_in(body, "tagsToDelete");
  Outcome outcome;
  for (const auto& identifier : strings_in(body, "experimentIdentifiers")) {
    auto* container = find_in(world, project, identifier);
    auto* set = container == nullptr
                    ? nullptr
                    : std::get_if<StringSet>(&container->fields.try_emplace(path, StringSet()).first->second);
    if (set == nullptr) {
      outcome.failed(identifier, "NOT_EXISTS");
      continue;
    }
    set->insert(add.begin(), add.end());
    for (const auto& value : take) set->erase(value);
    outcome.updated(identifier);
  }
  return outcome.response();
}

}  // namespace

void add_trash_api(World& world) {
  const std::string base = "/api/leaderboard/v1/experiments", runs = "/api/leaderboard/v1/runs";
  const std::string which = "projectIdentifier!", these = which + " @[]experimentIdentifiers",
                    result = "BulkOpResultDTO";
  const auto add = [&](const std::string& path, const char* operation, const std::string& parameters,
                       Response (*handle)(World&, const Request&)) {
    add_write(world, "POST", path, {operation, parameters, result},
              [&world, handle](const Request& request) { return handle(world, request); });
  };
  add(base + "/trash", "trashExperiments", these, trash);
  add(base + "/trash/restore", "restoreExperiments", these, restore);
  add(base + "/trash/restoreAll", "restoreAllExperiments", which, restore_all);
  add(base + "/trash/delete", "deleteExperiments", these, remove);
  add(base + "/trash/deleteAll", "deleteAllExperiments", which, remove_all);
  add(base + "/tags", "updateTags2", which + " @updateTagsParams!", tag);
  add(runs + ":archive", "archiveRuns", "@runList!",
      [](World& of, const Request& request) { return archive(of, request, true); });
  add(runs + ":unarchive", "unarchiveRuns", "@runList!",
      [](World& of, const Request& request) { return archive(of, request, false); });
}

}  // namespace neptune::sandbox
