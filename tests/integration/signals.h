#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace neptune::testing {

/// One way in which read-only mode shows (docs/read-only-mode.md), as the sandbox is told to play it.
struct Signal {
  std::string name;
  bool of_project;       ///< else of a workspace
  std::string settings;  ///< members of the control call that turns it on
};

/// Each sign the daemon knows.
const std::vector<Signal>& read_only_signals();

struct SignalPlan {
  std::vector<Signal> signals;  ///< each flip takes one of them
  int flips = 20;
  int kills = 1;  ///< SIGKILLs among the flips
  std::uint64_t seed = 1;
};

struct SignalReport {
  std::vector<std::string> wrong;  ///< what must not be, a sentence each
  int points = 0;
  int closings = 0;        ///< a scope showed its sign while it was open
  int writes = 0;          ///< requests that arrived
  int most_late = 0;       ///< of them, the most that began after a sign was told and before a probe could be due
  int confirming = 0;      ///< writes into a closed scope after that
  int probes = 0;          ///< status calls
  std::int64_t again = 0;  ///< points that were sent more than once, and stored once
};

/// Live logs of 3 workspaces with 4 runs each are drained while scopes turn read-only and back at random moments, and
/// the daemon is killed in between; then all turns writable, and everything must be on the server, once and in order.
/// What was written after which sign is told by the sandbox.
SignalReport drain_under_signals(const SignalPlan& plan);

}  // namespace neptune::testing
