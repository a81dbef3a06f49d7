#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "changes/change.h"
#include "changes/change_json.h"
#include "changes/names.h"
#include "client/lib/types.h"
#include "engine/metrics.h"
#include "support/error.h"

namespace neptune::engine {

/// Which streams are asked for; empty members match all.
struct StreamFilter {
  std::optional<std::string> project;  ///< "workspace/project", or "workspace" for all of its projects
  std::optional<std::string> run;
};

/// What of that which waits and was handed in is thrown away.
struct DiscardRequest {
  Scope scope;
  std::optional<std::string> run{};    ///< of this run alone
  std::optional<std::string> model{};  ///< of this model, or model version, alone; not with `run`
  Submitter by{};
  bool everybodys = false;  ///< else what `by` handed in, up to the first of another
};

/// Who asks for the removal of what is synced, and of what.
struct TidyRequest {
  bool is_operator = false;  ///< may remove what others left, where the daemon can
  std::uint32_t uid = 0;
  bool dry_run = false;
  std::string below{};  ///< an absolute path: of what lies there alone; empty: of everything
};

/// Why nothing of a request was taken.
struct NotTaken : Error {
  NotTaken(Error error, std::optional<std::size_t> at_fault = std::nullopt)
      : Error(std::move(error)), change(at_fault) {}

  std::optional<std::size_t> change;  ///< the one of its changes that is at fault, counted from 0
};
using Accepted = std::expected<std::vector<std::int64_t>, NotTaken>;

/// What the front door may ask of the engine. Called on the loop; the plain functions cost the same whatever the
/// backlog.
class Control {
 public:
  virtual ~Control() = default;

  virtual api::Status status() const = 0;
  /// What is counted since the start.
  virtual Metrics metrics() const { return {}; }
  /// Streams that are open, and the newest of those that are done.
  virtual std::vector<api::Stream> streams(const StreamFilter& filter) const = 0;
  /// Of these, those of which this very file, handed in by that path, waits.
  virtual boost::asio::awaitable<Result<std::vector<api::Stream>>> streams_of_file(StreamFilter filter,
                                                                                   std::string file) = 0;

  /// Newest first, `limit` at most, with ids below `before` (0: from the newest).
  virtual boost::asio::awaitable<Result<std::vector<api::Rejected>>> rejected(std::int64_t before,
                                                                              std::uint32_t limit) = 0;
  virtual boost::asio::awaitable<Result<std::string>> rejected_payload(std::int64_t id) = 0;
  virtual boost::asio::awaitable<Result<void>> retry_rejected(std::int64_t id) = 0;
  virtual boost::asio::awaitable<Result<void>> discard_rejected(std::int64_t id, std::string by) = 0;

  /// Events with ids above `after` that are still kept, oldest first; waits until there is at least one.
  /// A first event of type "gap" says that some between were dropped.
  virtual boost::asio::awaitable<std::vector<api::Event>> events_after(std::uint64_t after) = 0;
  virtual std::uint64_t last_event_id() const = 0;

  /// Looks at the daemon's surroundings: the state directory, limits, folders. Asks nobody.
  virtual api::Diagnosis diagnose_box() = 0;
  /// Goes the way to each server: takes as long as a server is slow, within the deadline of each step.
  virtual boost::asio::awaitable<api::Diagnosis> diagnose_way() = 0;

  /// Try everything now: end the waits between retries, look through the folders.
  virtual api::FlushReply flush() = 0;

  /// Removes the run logs and client directories that are synced and closed, and tells of every one what became of it.
  virtual boost::asio::awaitable<api::TidyReply> tidy(TidyRequest request) = 0;

  /// Queues the changes of one request, all or none; their ids, once they are on disk. Errors, with the one of the
  /// changes that is at fault where that is known: `queue_full` and
  /// `disk_full` (507), `held_writes` (409: a removal whose target has writes that are held), `idempotency_key_reused`
  /// (409), `draining`.
  virtual boost::asio::awaitable<Accepted> accept(std::vector<Change> changes, Submitter by) = 0;
  /// Where one of them is. Errors: "unknown_change" when no change has that id.
  virtual boost::asio::awaitable<Result<api::ChangePlace>> change(std::int64_t id) = 0;
  /// What is known of it; asks nobody.
  virtual WorkspaceType workspace_type(std::string_view workspace) const = 0;

  /// What the server lists, asked now. Errors: the server's, "no_server"; retryable when it did not answer.
  virtual boost::asio::awaitable<Result<api::ServerProjectList>> server_projects(std::string workspace) = 0;
  virtual boost::asio::awaitable<Result<api::MemberList>> members(ProjectName project) = 0;

  /// Throws it away: it is kept as rejected. Errors: "unknown_scope" and "unknown_run" where nothing is known of it.
  virtual boost::asio::awaitable<Result<api::DiscardReply>> discard_waiting(DiscardRequest request) = 0;

  virtual boost::asio::awaitable<Result<api::ScopeReply>> hold(Scope scope, std::string by) = 0;
  virtual boost::asio::awaitable<Result<api::ScopeReply>> release(Scope scope, std::string by) = 0;
  virtual Result<api::ScopeReply> probe(const Scope& scope) = 0;
  /// Asks the server what storage is left, where it answers.
  virtual boost::asio::awaitable<Result<api::ReleasePlan>> plan_release(Scope scope) = 0;
};

}  // namespace neptune::engine
