#include "tests/sandbox/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "support/sizes.h"

namespace neptune::sandbox {

namespace {

std::uint64_t fnv1a(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

std::string key_of(std::string_view project) {
  std::string key;
  for (const char c : project)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 && key.size() < 6)
      key.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return key.empty() ? "P" : key;
}

std::string error_type(const Scope& scope, const ScopeState& state) {
  if (!state.style.error_type.empty()) return state.style.error_type;
  if (scope.is_workspace()) return "WORKSPACE_IN_READ_ONLY_MODE";
  return state.archived ? "WRITE_ACCESS_DENIED_TO_ARCHIVED_PROJECT" : "PROJECT_LIMITS_EXCEEDED";
}

}  // namespace

Result<AnswerStyle> AnswerStyle::parse(std::string_view name) {
  AnswerStyle style;
  style.name = name;
  if (name == "suspended" || name == "suspended_part") {
    style.ingest = name == "suspended" ? Ingest::suspend : Ingest::suspend_rest;
    return style;
  }
  for (const unsigned status : {402u, 403u, 422u}) {
    const auto plain = fmt::format("http_{}", status);
    if (name != plain && name != plain + "_bare") continue;
    style.status = status;
    style.bare = name != plain;
    return style;
  }
  return fail("invalid_style", "'" + std::string(name) +
                                   "' is not a style; use http_402, http_403, http_422, each also "
                                   "with _bare, or suspended or suspended_part");
}

Workspace* Store::workspace(const std::string& name) {
  const auto found = workspaces_.find(name);
  return found == workspaces_.end() ? nullptr : &found->second;
}

Project* Store::project(const ProjectName& name) {
  auto* owner = workspace(name.workspace);
  if (owner == nullptr) return nullptr;
  const auto found = owner->projects.find(name.project);
  return found == owner->projects.end() ? nullptr : &found->second;
}

Run* Store::run(const ProjectName& name, const std::string& run) {
  auto* owner = project(name);
  if (owner == nullptr) return nullptr;
  const auto found = owner->runs.find(run);
  return found == owner->runs.end() ? nullptr : &found->second;
}

Workspace& Store::put_workspace(const WorkspaceOption& option) {
  auto& workspace = workspaces_[option.name];
  workspace.name = option.name;
  workspace.id = uuid_of(option.name);
  workspace.type = option.type;
  workspace.state.limit = option.quota;
  return workspace;
}

Project& Store::put_project(const ProjectName& name, std::string key) {
  auto& owner = workspaces_.at(name.workspace);
  auto& project = owner.projects[name.project];
  if (!project.id.empty()) return project;
  // A project that is made again after it was deleted is another one.
  project.id = uuid_of(name.full());
  while (!given_ids_.insert(project.id).second) project.id = uuid_of(name.full() + std::to_string(++created_projects_));
  project.name = name;
  project.created_ms = now_ms_;
  const auto base = key_of(name.project);
  for (int n = 2; key.empty() || key_taken(owner, key); ++n) key = n == 2 ? base : base + std::to_string(n - 1);
  project.key = key;
  project.members[owner.type == "individual" ? owner.name : "sandbox-user"] = "manager";
  adopt(project.metadata, project, Container::Type::project, name.project, key);
  project.metadata.id = project.id;
  by_id_[project.id] = &project.metadata;
  return project;
}

const ServiceAccount* Store::add_service_account(Workspace& workspace, const std::string& name, bool admin) {
  for (const auto& each : workspace.service_accounts)
    if (each.name == name) return nullptr;
  return &workspace.service_accounts.emplace_back(ServiceAccount{uuid_of(workspace.id + "@" + name), name, admin});
}

Project* Store::find_project(const std::string& identifier) {
  if (const auto name = ProjectName::parse(identifier)) return project(*name);
  auto* found = find_container(identifier);
  return found != nullptr && found->type == Container::Type::project ? found->project : nullptr;
}

Workspace* Store::find_workspace(const std::string& identifier) {
  if (auto* found = workspace(identifier)) return found;
  for (auto& [name, each] : workspaces_)
    if (each.id == identifier) return &each;
  return nullptr;
}

bool Store::name_taken(const Workspace& workspace, std::string_view project, const Project* except) {
  return std::any_of(workspace.projects.begin(), workspace.projects.end(), [&](const auto& each) {
    return &each.second != except && std::equal(each.first.begin(), each.first.end(), project.begin(), project.end(),
                                                [](unsigned char left, unsigned char right) {
                                                  return std::tolower(left) == std::tolower(right);
                                                });
  });
}

bool Store::key_taken(const Workspace& workspace, std::string_view key) {
  return std::any_of(workspace.projects.begin(), workspace.projects.end(),
                     [&](const auto& each) { return each.second.key == key; });
}

void Store::rename(Project& project, const std::string& name) {
  auto& owner = workspaces_.at(project.name.workspace);
  auto node = owner.projects.extract(project.name.project);
  node.key() = name;
  project.name.project = name;
  owner.projects.insert(std::move(node));
}

void Store::delete_project(Project& project) {
  auto bytes = project.state.used;
  for (const auto& freed : freed_)
    if (freed.project_id == project.id) bytes -= std::min(bytes, freed.bytes);
  release(project, bytes);
  for (const auto& [key, run] : project.runs) by_id_.erase(run.id);
  for (const auto& [key, model] : project.models) by_id_.erase(model.id);
  by_id_.erase(project.id);
  workspaces_.at(project.name.workspace).projects.erase(ProjectName(project.name).project);
}

Project* Store::project_for_write(const ProjectName& name, bool create_missing) {
  if (auto* found = project(name)) return found;
  if (!create_missing && !auto_create_projects) return nullptr;
  if (workspace(name.workspace) == nullptr) {
    if (!auto_create_workspaces) return nullptr;
    WorkspaceOption option;
    option.name = name.workspace;
    put_workspace(option);
  }
  return &put_project(name);
}

std::optional<Response> Store::refuse_write(const ProjectName& name, bool ingest) {
  std::optional<Response> answer;
  const auto look_at = [&](const Scope& scope, ScopeState& state) {
    if (!state.read_only()) return;
    ++state.writes_while_read_only;
    if (answer || (ingest && state.style.ingest != AnswerStyle::Ingest::refuse)) return;
    answer = error_response(state.style.status, state.style.bare ? "" : error_type(scope, state), reason(scope, state));
  };
  if (auto* owner = workspace(name.workspace)) look_at(Scope::of(name.workspace), owner->state);
  if (auto* found = project(name)) look_at(Scope::of(name), found->state);
  return answer;
}

std::string Store::read_only_scope(const ProjectName& name) {
  if (const auto* owner = workspace(name.workspace); owner && owner->state.read_only()) return name.workspace;
  if (const auto* found = project(name); found && found->state.read_only()) return name.full();
  return {};
}

double Store::writable_part(const ProjectName& name) {
  double part = 1;
  const auto look_at = [&](const ScopeState& state) {
    if (!state.read_only()) return;
    part = std::min(part, state.style.ingest == AnswerStyle::Ingest::suspend_rest ? state.style.part : 0.0);
  };
  if (const auto* owner = workspace(name.workspace)) look_at(owner->state);
  if (const auto* found = project(name)) look_at(found->state);
  return part;
}

std::string reason(const Scope& scope, const ScopeState& state) {
  if (!state.read_only()) return {};
  if (state.forced_read_only && !state.forced_reason.empty()) return state.forced_reason;
  const auto what = (scope.is_workspace() ? "Workspace " : "Project ") + scope.text();
  if (state.archived) return what + " is archived: it is read-only";
  if (state.over_limit())
    return fmt::format("{} is read-only: it uses {} of storage, its limit is {}", what, size_text(state.used),
                       size_text(*state.limit));
  return what + " is read-only";
}

std::string uuid_of(std::string_view name) {
  const auto high = fnv1a(name, 0xCBF29CE484222325u);
  const auto low = fnv1a(name, high);
  return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF, high & 0xFFF,
                     low >> 52, low & 0xFFFFFFFFFFFF);
}

}  // namespace neptune::sandbox
