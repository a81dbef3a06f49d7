#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "changes/ingest_code.h"
#include "tests/sandbox/store.h"

namespace neptune::ingest::v1 {
class Run;
class UpdateRunSnapshot;
}  // namespace neptune::ingest::v1

namespace neptune::sandbox {

/// How many values of a request ended how.
using Counts = std::map<IngestCode, std::int64_t>;

/// google.rpc.Code that goes with an IngestCode.
std::int32_t rpc_code(IngestCode code);

/// Answers values whose attribute path is `path` (with `prefix`: begins with it) with `code` instead of storing them.
struct RejectRule {
  std::string path;
  bool prefix = false;
  IngestCode code = IngestCode::field_path_invalid;
  Scope scope;      ///< workspace empty: everywhere
  std::string run;  ///< empty: every run

  bool applies_to(const ProjectName& project, const std::string& run_id) const;
};

/// Those that apply to the run.
std::vector<RejectRule> rules_for(const std::vector<RejectRule>& all, const ProjectName& project,
                                  const std::string& run);
/// What the first rule about the path says; OK when none is about it.
IngestCode rejected_by(const std::vector<RejectRule>& rules, const std::string& path);

/// Whether an attribute of that path can be written.
IngestCode check_path(const std::string& path);

/// Values of a snapshot: what a check counts.
std::int64_t values_of(const ingest::v1::UpdateRunSnapshot& snapshot);

/// Stores what can be stored, and counts every value. True when something new was stored: duplicates are not new.
bool apply_snapshot(Run& run, const ingest::v1::UpdateRunSnapshot& snapshot, const std::vector<RejectRule>& rules,
                    Counts& counts);

/// Creates the run, or says why not. The project exists.
IngestCode create_run(Store& store, Project& project, const std::string& run_id, const ingest::v1::Run& create);

/// Whether the server would take the name; the limits are docs/protocol.md's.
bool valid_run_id(const std::string& run_id);
bool valid_project_name(const ProjectName& name);

}  // namespace neptune::sandbox
