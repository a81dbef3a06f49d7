#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/lib/client.h"
#include "client/lib/ids.h"

/// Waiting until changes are synced.
namespace neptune::client {

struct WaitFor {
  std::optional<std::string> project{};  ///< "workspace/project", or a workspace for all of its projects
  std::optional<std::string> run{};
  /// Where no project is named with a run: it is this one's.
  std::optional<std::string> project_at_hand{};
  bool now = false;  ///< all that is there when it begins is enough, closed or not, whatever is logged after it
  std::optional<std::chrono::milliseconds> timeout{};  ///< none: for ever
  /// Of what was handed in over the socket, by id: these alone, whatever else is on its way. Nothing else of the above
  /// but the timeout counts then.
  Ids changes{};
};

/// Where those changes are at one moment.
struct Progress {
  bool seen = false;                  ///< the daemon knows of what is waited for
  std::vector<std::string> projects;  ///< those that it is in, sorted
  std::uint64_t pending = 0, held = 0, in_flight = 0, synced = 0, rejected = 0, discarded = 0;
  std::uint64_t uploads = 0;                ///< files of theirs that are not on the server yet
  std::vector<api::Upload> active_uploads;  ///< and what of them is being sent
  std::uint64_t open = 0;                   ///< runs somebody may still write to
  std::uint64_t settling = 0;               ///< sources that were found, and are not looked into yet
  std::uint64_t being_recorded = 0;         ///< streams with nothing on its way of which not all is on record yet
  std::vector<std::string> why;             ///< sentences: what the rest waits for
  std::vector<std::string> set_aside;       ///< sources that can't be read: their sentences
  std::vector<std::string> moved;           ///< what another machine sends, by the file it left in: sentences
  std::uint64_t moved_changes = 0;          ///< the same as a number, also of what left long since
  std::vector<std::string> lost;            ///< sources that were removed before all was synced: their sentences

  bool complete(bool now) const {
    return seen && pending + held + in_flight + settling + being_recorded + uploads == 0 && (now || open == 0);
  }
  bool only_held() const { return held > 0 && pending + in_flight == 0; }
};

Progress assess(const WaitFor& what, const api::Status& status, const std::vector<api::Stream>& streams);

struct WaitResult {
  enum class Outcome { synced, rejected, unreachable, timed_out, held, failed } outcome;
  std::string message{};  ///< a sentence, or a few
  std::string json{};  ///< the streams at the end as the daemon gives them, of a wait that failed those alone that are
                       ///< not synced; of changes, the first that is left; empty when it was never reached
};

/// Follows the daemon's events and looks again when one of them may matter; every `recheck` all the same, should an
/// event be missing. A daemon that goes away is waited for until the timeout; one that was not there to begin with is
/// not. `notice` is told what happens meanwhile, in sentences.
/// `progress`, where there is one, is told at each look.
WaitResult wait_until_synced(const Client& client, const WaitFor& what,
                             const std::function<void(const std::string&)>& notice,
                             std::chrono::milliseconds recheck = std::chrono::seconds(10),
                             const std::function<void(const Progress&)>& progress = {});

}  // namespace neptune::client
