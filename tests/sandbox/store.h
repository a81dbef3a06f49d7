#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "changes/names.h"
#include "tests/sandbox/containers.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/options.h"
#include "tests/sandbox/spool.h"

/// What the sandbox holds: workspaces, their projects, the runs in them, and the modes of all scopes.
namespace neptune::sandbox {

/// How a scope answers writes while it is read-only (README.md, "Read-only mode").
struct AnswerStyle {
  enum class Ingest : std::uint8_t {
    refuse,        ///< the HTTP status, at once
    suspend,       ///< 200, and INGEST_SUSPENDED on all of the request in the check
    suspend_rest,  ///< 200; a prefix is stored and the rest INGEST_SUSPENDED
  };
  std::string name = "http_403";
  unsigned status = 403;
  bool bare = false;  ///< without an errorType
  Ingest ingest = Ingest::refuse;
  double part = 0.5;       ///< of suspend_rest: the share of the request's operations that is stored
  std::string error_type;  ///< empty: the one that fits the scope

  static Result<AnswerStyle> parse(std::string_view name);
};

struct ScopeState {
  bool forced_read_only = false;
  std::string forced_reason;
  bool archived = false;               ///< projects only
  std::optional<std::uint64_t> limit;  ///< bytes; a workspace's quota, a project's storage limit
  std::uint64_t used = 0;              ///< bytes
  AnswerStyle style;
  std::uint64_t writes_while_read_only = 0;

  bool over_limit() const { return limit && used > *limit; }
  bool read_only() const { return forced_read_only || archived || over_limit(); }
};

/// What a file was when it was complete.
struct StoredFile {
  std::uint64_t bytes = 0;
  std::string sha256, content_type;
  std::int64_t stored_ms = 0;
  std::weak_ptr<const Content> content{};  ///< gone, unless the object store keeps it
};

struct Project {
  ProjectName name;
  std::string id, key, description;
  std::string visibility = "priv";  ///< priv, workspace, pub
  std::int64_t created_ms = 0;
  ScopeState state;
  std::map<std::string, Run> runs;                               ///< by custom id; those without one by their short id
  std::map<std::string, Container> models;                       ///< models and model versions, by short id
  Container metadata;                                            ///< the project itself
  std::map<std::string, StoredFile> files;                       ///< by path
  std::map<std::string, std::string> members, service_accounts;  ///< user name, account id → viewer, member, manager
  std::unordered_map<std::string, Container*> by_short_id;
  std::uint64_t next_run = 1, next_container = 1;
};

struct ServiceAccount {
  std::string id, name;
  bool admin = false;
};

struct Invitation {
  std::string id, invitee, type, role;
  bool add_to_all_projects = false;
};

struct Workspace {
  std::string name, id;
  std::string type = "team";
  ScopeState state;
  std::map<std::string, Project> projects;
  std::set<std::string> members;  ///< none: everybody
  std::vector<ServiceAccount> service_accounts;
  std::vector<Invitation> invitations;
  std::uint64_t invited = 0;
};

struct Totals {
  std::uint64_t duplicate_points = 0, duplicate_creates = 0;
  /// Batches that stored something new after a batch whose first operation was logged later had stored something.
  std::uint64_t order_violations = 0;
};

class Store {
 public:
  bool auto_create_projects = true;
  bool auto_create_workspaces = false;
  Totals totals;

  const std::map<std::string, Workspace>& workspaces() const { return workspaces_; }
  Workspace* workspace(const std::string& name);
  Project* project(const ProjectName& name);
  Run* run(const ProjectName& project, const std::string& run);

  /// Creates it, or changes its type and quota.
  Workspace& put_workspace(const WorkspaceOption& option);
  /// The workspace must exist. `key` empty: one that is free is made of the name.
  Project& put_project(const ProjectName& name, std::string key = {});

  /// The project of a write, created where that is allowed; null: PROJECT_NOT_FOUND.
  Project* project_for_write(const ProjectName& name, bool create_missing);

  /// Null: there is one of that name.
  const ServiceAccount* add_service_account(Workspace& workspace, const std::string& name, bool admin);

  /// The project called "workspace/project", or with that id.
  Project* find_project(const std::string& identifier);
  /// The workspace of that name or id.
  Workspace* find_workspace(const std::string& identifier);
  /// Whether a project of the workspace has the name, whatever the case of its letters, or the key.
  static bool name_taken(const Workspace& workspace, std::string_view project, const Project* except = nullptr);
  static bool key_taken(const Workspace& workspace, std::string_view key);
  void rename(Project& project, const std::string& name);
  void delete_project(Project& project);

  /// A container by its id, or by "workspace/project/SHORT-ID".
  Container* find_container(const std::string& identifier);
  /// `custom_id` empty: the run has none. There must be no such run.
  Run& add_run(Project& project, const std::string& custom_id);
  /// Its short id must be free.
  Container& add_model(Project& project, const std::string& short_id, Container* model);
  /// Removes the container; its storage is freed by the clean-up. A model's versions go with it.
  void remove(Container& container);

  /// Between the end of what was deleted and the freeing of its storage.
  std::chrono::milliseconds clean_up_delay{0};
  /// Frees what is due at `now_ms` (wall clock); without a time, all that waits. False when nothing was.
  bool clean_up(std::optional<std::int64_t> now_ms = std::nullopt);
  /// The wall clock as the last call of clean_up told it.
  std::int64_t now_ms() const { return now_ms_; }
  std::uint64_t to_be_freed(const Workspace& workspace) const;

  /// Accounts `bytes` of accepted operations or files to the project and its workspace.
  void add_bytes(const ProjectName& name, std::uint64_t bytes);
  void add_bytes(Container& container, std::uint64_t bytes);
  /// Removes the run and the files it refers to, and frees their storage; false when there is no such run.
  bool delete_run(const ProjectName& name, const std::string& run);

  /// The answer to a write that arrives while its workspace or project is read-only, which is counted; none when the
  /// write may go on. Workspaces that answer in the check let an ingest through here.
  /// The scope that keeps a project from being written, the workspace before the project; empty: none.
  std::string read_only_scope(const ProjectName& name);
  std::optional<Response> refuse_write(const ProjectName& name, bool ingest);

  /// The share of a request's operations that may be stored now: 1 when nothing is read-only.
  double writable_part(const ProjectName& name);

 private:
  struct Freed {
    std::int64_t due_ms;
    std::string workspace, project_id;
    std::uint64_t bytes;
  };
  void adopt(Container& container, Project& project, Container::Type type, std::string key, std::string short_id);
  void forget(const Container& container);
  void release(const Project& project, std::uint64_t bytes);
  void apply(const Freed& freed);

  std::map<std::string, Workspace> workspaces_;
  std::unordered_map<std::string, Container*> by_id_;
  std::deque<Freed> freed_;
  std::set<std::string> given_ids_;  // of projects, deleted ones too
  std::uint64_t created_projects_ = 0;
  std::int64_t now_ms_ = 0;
};

/// The files of a set: path in it → file.
std::map<std::string, const StoredFile*> files_in(const Project& project, const std::string& set);
/// Takes a file, or a set of files, out of the project; their bytes, which stay accounted.
std::uint64_t drop_files_of(Project& project, const std::string& path);

/// Why a scope is read-only, as a sentence.
std::string reason(const Scope& scope, const ScopeState& state);

/// A UUID that is always the same for the same name.
std::string uuid_of(std::string_view name);

}  // namespace neptune::sandbox
