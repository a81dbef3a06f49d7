#include "changes/impl/placement.h"

namespace neptune::changes {

namespace {

ContainerName management_of(const ProjectName& project) {
  return {project, {}, ContainerKind::management};
}

ContainerName removals_of(const ProjectName& project) {
  return {project, {}, ContainerKind::removals};
}

ContainerName waiting_removals_of(const ProjectName& project) {
  return {project, std::string(removals_that_wait), ContainerKind::removals};
}

ContainerName removals_of_all_of(const ProjectName& project) {
  return {project, std::string(removals_of_all), ContainerKind::removals};
}

std::vector<ContainerName> all_removals_of(const ProjectName& project) {
  return {removals_of(project), waiting_removals_of(project), removals_of_all_of(project)};
}

/// A stream of their own: what removes runs for good waits for them, and for no other management.
ContainerName restores_of(const ProjectName& project) {
  return {project, std::string(restores_of_project), ContainerKind::management};
}

ContainerName everything_in(const ProjectName& project) {
  return {project, std::string(everything_in_project), ContainerKind::management};
}

/// Management comes after the project's removals: whoever was removed can be added again, a run restored, a deleted
/// project made anew. A removal waits long only for what is held, as this is then, too.
Change managing(const ProjectName& project) {
  return {.container = management_of(project), .after = all_removals_of(project)};
}

/// What may end the project's own read-only mode passes its gate, and waits behind no write: so not for a removal that
/// waits for one either.
Change relieving(const ProjectName& project, std::string_view id) {
  Change out{.container = management_of(project), .frees = true, .after = {removals_of(project)}};
  out.container.id = id;
  return out;
}

Change removing(const ProjectName& project, std::vector<ContainerName> after) {
  after.push_back(removals_of_all_of(project));
  return {.container = removals_of(project), .frees = true, .after = std::move(after)};
}

Change removing_all_of(const ProjectName& project) {
  return {.container = removals_of_all_of(project), .frees = true, .after = {everything_in(project)}};
}

/// A model by its key, also where that stands within a short id: so it is created, and so are its versions.
ContainerName model_by_key(const ProjectName& project, const std::string& id) {
  return {project, id.substr(id.rfind('-') + 1), ContainerKind::model};
}

/// Whose changes go before those of a model or its version: as it was named, and by its key.
void add_model(std::vector<ContainerName>& out, const ProjectName& project, const std::string& id) {
  out.push_back({project, id, ContainerKind::model});
  if (auto by_key = model_by_key(project, id); by_key != out.back()) out.push_back(std::move(by_key));
}

struct Place {
  Change operator()(const ProjectCreate& change) const {
    auto out = managing(change.project);
    out.creates = true;
    return out;
  }
  Change operator()(const ProjectUpdate& change) const {
    if (change.archived == true) return removing_all_of(change.project);
    if (change.archived == false) {
      // The other way round the project would stay archived.
      auto out = relieving(change.project, unarchiving_of_project);
      out.after.push_back(removals_of_all_of(change.project));
      return out;
    }
    auto out = managing(change.project);
    // What was handed in for the old name is sent to it.
    if (change.name) out.after.push_back(everything_in(change.project));
    return out;
  }
  Change operator()(const ProjectDelete& change) const { return removing_all_of(change.project); }
  Change operator()(const StorageLimit& change) const { return relieving(change.project, limits_of_project); }
  Change operator()(const Membership& change) const {
    const ContainerName member{change.project, (change.service_account ? "service account " : "member ") + change.who,
                               ContainerKind::management};
    if (change.act == MembershipAct::remove) return removing(change.project, {member});
    auto out = managing(change.project);
    out.container = member;
    return out;
  }
  Change operator()(const Invitation& change) const { return {.container = management_of({change.workspace, {}})}; }
  Change operator()(const RunsChange& change) const {
    if (change.act == RunsAct::restore || change.act == RunsAct::unarchive) {
      auto out = managing(change.project);
      out.container = restores_of(change.project);
      return out;
    }
    std::vector<ContainerName> runs{restores_of(change.project)};
    for (const auto& run : change.runs)
      for (const auto kind : {ContainerKind::run, ContainerKind::files}) runs.push_back({change.project, run, kind});
    return removing(change.project, std::move(runs));
  }
  /// It may be what makes room for the writes that a removal waits for, so it goes after none.
  Change operator()(const TrashEmpty& change) const {
    return {.container = removals_of(change.project), .frees = true, .after = {restores_of(change.project)}};
  }
  Change operator()(const ModelCreate& change) const {
    return {.container = {change.project, change.key, ContainerKind::model}, .creates = true};
  }
  Change operator()(const ModelVersionCreate& change) const {
    // Under whichever name, all in one row: the server numbers them as they come, and updates name them by the number.
    Change out{.container = model_by_key(change.project, change.model)};
    if (out.container.id != change.model) out.after.push_back({change.project, change.model, ContainerKind::model});
    return out;
  }
};

}  // namespace

Change place(ChangeKind kind, const Management& management) {
  auto out = std::visit(Place{}, management);
  out.kind = kind;
  return out;
}

Change place(ChangeKind kind, const AttributesChange& change) {
  Change out{.kind = kind, .container = change.container};
  const auto& [project, id, container] = change.container;
  if (container == ContainerKind::model) {
    add_model(out.after, project, id);
    out.after.erase(out.after.begin());
  } else if (container == ContainerKind::model_version) {
    add_model(out.after, project, id.substr(0, id.rfind('-')));
  }
  return out;
}

Change place(ChangeKind kind, const RunOperation& operation) {
  Change out{.kind = kind, .container = operation.run, .fork_parent = operation.fork_parent};
  out.creates = kind == ChangeKind::run_create;
  // A run that is deleted and created anew: were the create sent first, the removal would take the new run.
  if (out.creates) out.after = all_removals_of(operation.run.project);
  return out;
}

bool may_discard(const Change& change) {
  switch (change.kind) {
    case ChangeKind::project_delete:
    case ChangeKind::project_update:
    case ChangeKind::run_trash:
    case ChangeKind::run_delete:
    case ChangeKind::run_archive:
    case ChangeKind::trash_empty:
      return change.container.kind == ContainerKind::removals;
    default:
      return false;
  }
}

}  // namespace neptune::changes
