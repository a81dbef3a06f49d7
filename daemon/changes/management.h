#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "changes/names.h"
#include "support/error.h"

/// The management changes as types: what a queued change's JSON says, and what one call to the server does.
namespace neptune {

enum class Visibility : std::uint8_t { priv, workspace, pub };
enum class Role : std::uint8_t { viewer, member, manager };  ///< the server's words; people say contributor and owner

struct ProjectCreate {
  ProjectName project{};
  std::optional<Visibility> visibility{};
  std::optional<std::string> description{}, key{};
};

struct ProjectUpdate {
  ProjectName project{};
  std::optional<Visibility> visibility{};
  std::optional<std::string> description{}, name{};
  std::optional<bool> archived{};
};

struct ProjectDelete {
  ProjectName project{};
};

struct StorageLimit {
  ProjectName project{};
  std::optional<std::int64_t> bytes{};  ///< none: no limit
};

enum class MembershipAct : std::uint8_t { add, update, remove };

/// A user's, or a service account's, role in a project.
struct Membership {
  ProjectName project{};
  MembershipAct act = MembershipAct::add;
  bool service_account = false;
  std::string who{};         ///< user name, or service account name
  Role role = Role::viewer;  ///< unused by remove
};

struct Invitation {
  std::string workspace{};
  std::string invitee{};  ///< user name or e-mail address
  bool by_email = false;
  bool owner = false;  ///< of the workspace; else a member
  bool add_to_all_projects = false;
};

enum class RunsAct : std::uint8_t { trash, restore, remove, archive, unarchive };

struct RunsChange {
  ProjectName project{};
  RunsAct act = RunsAct::trash;
  std::vector<std::string> runs{};  ///< custom run ids, or short ids ("LAB-12")
  bool discard_pending = false;     ///< Change::discard_pending: what waited may have been all there was of them
};

struct TrashEmpty {
  ProjectName project{};
};

/// A model, or a version of one. `model` of a version: the model's key or short id.
struct ModelCreate {
  ProjectName project{};
  std::string key{};
  std::optional<std::string> name{};
};

struct ModelVersionCreate {
  ProjectName project{};
  std::string model{};
};

using Management = std::variant<ProjectCreate, ProjectUpdate, ProjectDelete, StorageLimit, Membership, Invitation,
                                RunsChange, TrashEmpty, ModelCreate, ModelVersionCreate>;

/// Reads what a queued management change says (the payload of its Change).
Result<Management> read_management(std::string_view payload, WorkspaceType type = WorkspaceType::unknown);

}  // namespace neptune
