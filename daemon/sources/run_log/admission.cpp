#include "sources/run_log/admission.h"

#include <fmt/format.h>

#include <memory>

namespace neptune::sources {

namespace {

constexpr const char* known_version = "v5";

Error without_metadata(const LogPaths& paths) {
  return {"run_log_without_metadata",
          fmt::format("the run log in {} does not say whose run it is: its job ended before it wrote anything; remove "
                      "the directory",
                      paths.directory.string())};
}

Admission judge_head(const LogPaths& paths, const std::optional<LogDatabase::Head>& head, bool live) {
  if (!head && live) return NotYet{};
  if (!head) return without_metadata(paths);
  if (head->version != known_version)
    return Error{"run_log_version",
                 fmt::format("the run log in {} has the format version \"{}\"; this daemon knows \"{}\" only: upgrade "
                             "it, or sync the log with the client's own command",
                             paths.directory.string(), head->version, known_version)};
  auto project = ProjectName::parse(head->project);
  if (!project || head->run.empty())
    return Error{"run_log_metadata", fmt::format("the run log in {} names no valid project and run (\"{}\", \"{}\")",
                                                 paths.directory.string(), head->project, head->run)};
  // Before its first operation, a write of ours could fail the job's start.
  if (!head->begun && live) return NotYet{};
  return ContainerName{std::move(*project), head->run};
}

}  // namespace

Admission admit(const LogPaths& paths, const LogFacts& facts, LogDatabase::Mode mode,
                const std::shared_ptr<LogRegistry>& registry) {
  if (facts.header == LogHeader::empty && !mode.live) return without_metadata(paths);
  if (facts.header == LogHeader::no_database)
    return Error{"sqlite_not_a_database",
                 fmt::format("{} is not an SQLite database: restore it from a copy, or remove it if it is no run log",
                             paths.database.string())};
  if (mode.live && facts.header != LogHeader::wal) return NotYet{};
  // As a reader when there is a `-wal` already: a log that is refused must be left as it was, and the last writer that
  // closes a log copies its `-wal` into it. Without a `-wal`, a reader would leave one behind.
  if (facts.wal_bytes > 0 && facts.has_shm) mode.read_only = true;
  const auto database = std::make_shared<LogDatabase>(paths, facts.key, mode, registry);
  auto head = database->head();
  database->close();
  if (!head) {
    if (head.error().retryable) return NotYet{};
    return head.error();
  }
  return judge_head(paths, *head, mode.live);
}

}  // namespace neptune::sources
