// The containers in the store: their ids, and what becomes of their storage when they go.
#include "tests/sandbox/containers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/sandbox/store.h"

namespace neptune::sandbox {

namespace {

/// Takes the files that the container refers to out of its project; their bytes.
std::uint64_t drop_files(const Container& container) {
  std::uint64_t bytes = 0;
  const auto drop = [&](const File& file) { bytes += drop_files_of(*container.project, file.path); };
  for (const auto& [path, field] : container.fields) {
    if (const auto* file = std::get_if<File>(&field)) drop(*file);
    if (const auto* series = std::get_if<Series<File>>(&field))
      for (const auto& point : series->points()) drop(point.value);
  }
  return bytes;
}

}  // namespace

std::map<std::string, const StoredFile*> files_in(const Project& project, const std::string& set) {
  std::map<std::string, const StoredFile*> out;
  const auto folder = set + "/";
  for (auto at = project.files.lower_bound(folder); at != project.files.end() && at->first.starts_with(folder); ++at)
    out.emplace(at->first.substr(folder.size()), &at->second);
  return out;
}

std::uint64_t drop_files_of(Project& project, const std::string& path) {
  std::uint64_t bytes = 0;
  std::erase_if(project.files, [&](const auto& file) {
    const bool is_it = file.first == path || file.first.starts_with(path + "/");
    if (is_it) bytes += file.second.bytes;
    return is_it;
  });
  return bytes;
}

void Store::adopt(Container& container, Project& project, Container::Type type, std::string key, std::string short_id) {
  container.type = type;
  container.key = std::move(key);
  container.short_id = std::move(short_id);
  container.project = &project;
  container.created_ms = now_ms_;
  container.id = uuid_of(fmt::format("{}/{}", project.id, project.next_container++));
  by_id_[container.id] = &container;
  project.by_short_id[container.short_id] = &container;
}

Run& Store::add_run(Project& project, const std::string& custom_id) {
  const auto short_id = fmt::format("{}-{}", project.key, project.next_run++);
  auto key = custom_id.empty() ? short_id : custom_id;
  while (project.runs.contains(key)) key += "'";
  auto& run = project.runs[key];
  run.custom_id = custom_id;
  adopt(run, project, Container::Type::run, key, short_id);
  return run;
}

Container& Store::add_model(Project& project, const std::string& short_id, Container* model) {
  auto& added = project.models[short_id];
  added.model = model;
  const auto type = model == nullptr ? Container::Type::model : Container::Type::model_version;
  adopt(added, project, type, short_id, short_id);
  return added;
}

Container* Store::find_container(const std::string& identifier) {
  if (const auto found = by_id_.find(identifier); found != by_id_.end()) return found->second;
  const auto slash = identifier.rfind('/');
  if (slash == std::string::npos) return nullptr;
  const auto name = ProjectName::parse(std::string_view(identifier).substr(0, slash));
  auto* owner = name ? project(*name) : nullptr;
  if (owner == nullptr) return nullptr;
  const auto found = owner->by_short_id.find(identifier.substr(slash + 1));
  return found == owner->by_short_id.end() ? nullptr : found->second;
}

void Store::forget(const Container& container) {
  by_id_.erase(container.id);
  container.project->by_short_id.erase(container.short_id);
}

void Store::remove(Container& container) {
  auto& owner = *container.project;
  if (container.type == Container::Type::model) {
    std::vector<Container*> versions;
    for (auto& [key, each] : owner.models)
      if (each.model == &container) versions.push_back(&each);
    for (auto* version : versions) remove(*version);
  }
  release(owner, container.bytes + drop_files(container));
  forget(container);
  const auto key = container.key;
  if (container.type == Container::Type::run)
    owner.runs.erase(key);
  else
    owner.models.erase(key);
}

void Store::release(const Project& project, std::uint64_t bytes) {
  Freed freed{now_ms_ + clean_up_delay.count(), project.name.workspace, project.id, bytes};
  if (clean_up_delay.count() == 0)
    apply(freed);
  else
    freed_.push_back(std::move(freed));
}

void Store::apply(const Freed& freed) {
  const auto free_in = [&](ScopeState& state) { state.used -= std::min(state.used, freed.bytes); };
  if (auto* owner = workspace(freed.workspace)) free_in(owner->state);
  if (auto* project = find_project(freed.project_id)) free_in(project->state);
}

bool Store::clean_up(std::optional<std::int64_t> now_ms) {
  if (now_ms) now_ms_ = *now_ms;
  // Delays may have been changed between two deletions, so the order of arrival is not that of the due times.
  return std::erase_if(freed_, [&](const Freed& freed) {
           const bool due = !now_ms || freed.due_ms <= *now_ms;
           if (due) apply(freed);
           return due;
         }) > 0;
}

std::uint64_t Store::to_be_freed(const Workspace& workspace) const {
  std::uint64_t bytes = 0;
  for (const auto& freed : freed_)
    if (freed.workspace == workspace.name) bytes += freed.bytes;
  return bytes;
}

bool Store::delete_run(const ProjectName& name, const std::string& run_id) {
  auto* found = run(name, run_id);
  if (found == nullptr) return false;
  const auto delay = std::exchange(clean_up_delay, std::chrono::milliseconds(0));
  remove(*found);
  clean_up_delay = delay;
  return true;
}

void Store::add_bytes(const ProjectName& name, std::uint64_t bytes) {
  workspaces_.at(name.workspace).state.used += bytes;
  put_project(name).state.used += bytes;
}

void Store::add_bytes(Container& container, std::uint64_t bytes) {
  container.bytes += bytes;
  add_bytes(container.project->name, bytes);
}

}  // namespace neptune::sandbox
