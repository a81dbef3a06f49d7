#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "changes/names.h"
#include "tests/sandbox/fields.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/options.h"

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

struct ForkPoint {
  ProjectName project;
  std::string run;
  std::uint64_t step = 0;  ///< millionths
  bool operator==(const ForkPoint&) const = default;
};

struct Run {
  std::string experiment;
  std::optional<ForkPoint> fork;
  Fields fields;
  std::uint64_t bytes = 0;
  /// When the first snapshot of the latest stored batch was logged; see Totals::order_violations.
  std::optional<Datetime> latest_batch;
};

struct Project {
  ProjectName name;
  std::string id, key;
  std::string visibility = "priv";  ///< priv, workspace, pub
  ScopeState state;
  std::map<std::string, Run> runs;
  std::map<std::string, std::uint64_t> files;  ///< path → bytes
};

struct Workspace {
  std::string name, id;
  std::string type = "team";
  ScopeState state;
  std::map<std::string, Project> projects;
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
  /// The workspace must exist.
  Project& put_project(const ProjectName& name);

  /// The project of a write, created where that is allowed; null: PROJECT_NOT_FOUND.
  Project* project_for_write(const ProjectName& name, bool create_missing);

  /// Accounts `bytes` of accepted operations or files to the project and its workspace.
  void add_bytes(const ProjectName& name, std::uint64_t bytes);
  /// Removes the run and the files it refers to, and frees their storage; false when there is no such run.
  bool delete_run(const ProjectName& name, const std::string& run);

  /// The answer to a write that arrives while its workspace or project is read-only, which is counted; none when the
  /// write may go on. Workspaces that answer in the check let an ingest through here.
  std::optional<Response> refuse_write(const ProjectName& name, bool ingest);

  /// The share of a request's operations that may be stored now: 1 when nothing is read-only.
  double writable_part(const ProjectName& name);

 private:
  std::map<std::string, Workspace> workspaces_;
};

/// Why a scope is read-only, as a sentence.
std::string reason(const Scope& scope, const ScopeState& state);

/// A UUID that is always the same for the same name.
std::string uuid_of(std::string_view name);

}  // namespace neptune::sandbox
