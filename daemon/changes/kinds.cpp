#include "changes/kinds.h"

#include <array>

namespace neptune {

namespace {

struct Row {
  ChangeKind kind;
  std::string_view name;
  bool needs_power;
};

// Sorted as the enumeration is. Metadata, and what holds it, is everybody's. Restoring and archiving act on whole runs
// and on what counts against a quota, as trashing does: power too.
constexpr std::array kRows{
    Row{ChangeKind::project_create, "project.create", true},
    Row{ChangeKind::project_update, "project.update", true},
    Row{ChangeKind::project_delete, "project.delete", true},
    Row{ChangeKind::project_set_storage_limit, "project.set_storage_limit", true},
    Row{ChangeKind::member_add, "member.add", true},
    Row{ChangeKind::member_update, "member.update", true},
    Row{ChangeKind::member_remove, "member.remove", true},
    Row{ChangeKind::service_account_add, "service_account.add", true},
    Row{ChangeKind::service_account_update, "service_account.update", true},
    Row{ChangeKind::service_account_remove, "service_account.remove", true},
    Row{ChangeKind::workspace_invite, "workspace.invite", true},
    Row{ChangeKind::run_create, "run.create", false},
    Row{ChangeKind::run_update, "run.update", false},
    Row{ChangeKind::run_trash, "run.trash", true},
    Row{ChangeKind::run_restore, "run.restore", true},
    Row{ChangeKind::run_delete, "run.delete", true},
    Row{ChangeKind::run_archive, "run.archive", true},
    Row{ChangeKind::run_unarchive, "run.unarchive", true},
    Row{ChangeKind::trash_empty, "trash.empty", true},
    Row{ChangeKind::model_create, "model.create", false},
    Row{ChangeKind::model_update, "model.update", false},
    Row{ChangeKind::model_version_create, "model_version.create", false},
    Row{ChangeKind::model_version_update, "model_version.update", false},
    Row{ChangeKind::project_metadata, "project.metadata", false},
    Row{ChangeKind::client_operation, "client.operation", true},
    Row{ChangeKind::run_upload, "run.upload", false},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].kind != static_cast<ChangeKind>(i)) return false;
  return true;
}
static_assert(in_order());

constexpr auto kKinds = [] {
  std::array<ChangeKind, kRows.size()> kinds{};
  for (std::size_t i = 0; i < kRows.size(); ++i) kinds[i] = kRows[i].kind;
  return kinds;
}();

const Row& row(ChangeKind kind) {
  return kRows[static_cast<std::size_t>(kind) % kRows.size()];
}

}  // namespace

std::span<const ChangeKind> every_kind() {
  return kKinds;
}

std::string_view name(ChangeKind kind) {
  return row(kind).name;
}

std::optional<ChangeKind> change_kind(std::string_view name) {
  for (const auto& each : kRows)
    if (each.name == name && each.kind != ChangeKind::client_operation) return each.kind;
  return std::nullopt;
}

bool needs_power(ChangeKind kind) {
  return row(kind).needs_power;
}

}  // namespace neptune
