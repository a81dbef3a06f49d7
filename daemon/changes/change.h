#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/names.h"

namespace neptune {

/// What a local change does. docs/local-api.md lists the fields of each. Kept on disk by number: new ones come last.
enum class ChangeKind : std::uint8_t {
  project_create,
  project_update,
  project_delete,
  project_set_storage_limit,
  member_add,
  member_update,
  member_remove,
  service_account_add,
  service_account_update,
  service_account_remove,
  workspace_invite,
  run_create,
  run_update,
  run_trash,
  run_restore,
  run_delete,
  run_archive,
  run_unarchive,
  trash_empty,
  model_create,
  model_update,
  model_version_create,
  model_version_update,
  project_metadata,
  client_operation,  ///< what a 1.x client logged (changes/client_operation.h); nobody hands it in over the socket
  run_upload,        ///< a file of a run (changes/file_upload.h)
};

/// "project.create", the word of the API.
std::string_view name(ChangeKind kind);
/// None where there is no such kind, or none that can be handed in.
std::optional<ChangeKind> change_kind(std::string_view name);

/// run.create and run.update are operations of ingest requests; every other kind is a call of its own, or an upload.
constexpr bool is_ingested(ChangeKind kind) {
  return kind == ChangeKind::run_create || kind == ChangeKind::run_update;
}

/// Attribute operations of a model, a model version or a project's metadata, or what a 1.x client logged.
constexpr bool is_attributes(ChangeKind kind) {
  return kind == ChangeKind::model_update || kind == ChangeKind::model_version_update ||
         kind == ChangeKind::project_metadata || kind == ChangeKind::client_operation;
}

/// Metadata may be handed in by any local user; the rest needs an operator, or an allowed user of the workspace.
bool needs_power(ChangeKind kind);

/// In Change::after, the id that stands for all other streams of the project.
inline constexpr std::string_view everything_in_project = "*";

/// Id of the stream of removals that were to wait for what is held, and let the others pass.
inline constexpr std::string_view removals_that_wait = "removals that wait";

/// Id of the stream of removals of the whole project: its delete, and its archiving.
inline constexpr std::string_view removals_of_all = "removal of the project";

/// Id of the management stream of what restores runs.
inline constexpr std::string_view restores_of_project = "restores";

/// Ids of the management streams of what may end a project's own read-only mode, and so passes its gate: its limits,
/// and taking it out of the archive.
inline constexpr std::string_view limits_of_project = "limits";
inline constexpr std::string_view unarchiving_of_project = "unarchiving";

/// Who handed a change in: told by the kernel, kept with it.
struct Submitter {
  std::uint32_t uid = 0;
  std::string name{};
};

/// One validated change, ready to be queued.
///
/// Its stream: run.create and run.update belong to their run, model.* and model_version.create to their model,
/// model_version.update to its version, project.metadata to the project's own metadata, run.upload to the run's files,
/// which go beside its other changes. What only removes (delete,
/// trash, archive, empty the trash, remove a member) goes into the project's `removals`, which read-only mode lets
/// pass; one that has to wait there for what is held steps aside, into `removals_that_wait`, so that it keeps
/// back no other; the rest of the management into `management`. What removes the project itself, each member's role,
/// what restores runs, and what may end the project's read-only mode (its limits, taking it out of the archive) are
/// streams of their own, so that they wait for nothing else.
struct Change {
  ChangeKind kind = ChangeKind::run_update;
  ContainerName container{};  ///< whose stream it belongs to
  bool frees = false;         ///< only removes: passes a read-only gate
  bool creates = false;  ///< its container, or for project.create the project, cannot be written before it is stored
  std::optional<ContainerName> fork_parent{};  ///< of a run.create
  /// Whose changes that were accepted earlier go first: a removal of runs or of a member waits for the writes to
  /// them, a project's delete or archiving for all of the project (`management` with the id
  /// `everything_in_project`); management and the create of a run for all removals, other removals and taking the
  /// project out of the archive for `removals_of_all`, a version's update for its model.
  std::vector<ContainerName> after{};
  std::string payload{};  ///< run.create, run.update: the stored operation's wire bytes; else the change's compact JSON
  std::string idempotency_key{};  ///< empty: none
  std::uint64_t content = 0;      ///< with a key: the same for the same content, as it was handed in; 0: not known
  bool discard_pending = false;   ///< of a removal: held writes to what it removes are recorded as rejected
};

}  // namespace neptune
