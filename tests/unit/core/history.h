#pragma once

#include <cstdint>
#include <string>

namespace neptune::core {

/// What a random history is made of.
struct HistoryOptions {
  bool modes = true;      ///< workspaces and projects turn read-only and back, in every way of showing it
  bool failures = true;   ///< lost answers, dropped requests, busy and broken answers
  bool restarts = true;   ///< the process is killed at any moment and starts again from what was durable
  bool poison = true;     ///< changes that the server refuses for good
  bool operators = true;  ///< holds, releases and probes
  bool files = true;      ///< runs have files, too
  bool jumps = true;      ///< the machine sleeps for minutes
  bool direct = true;     ///< changes are handed in meanwhile: runs (some of them again), their files, calls, removals,
                          ///< limits and unarchivings, and removals discard writes
};

struct HistoryReport {
  std::string violation;  ///< empty when every invariant held
  std::uint64_t sends = 0, restarts = 0, flips = 0, rejected = 0, probes = 0, suspended = 0;
  std::uint64_t calls = 0, removals = 0, removals_while_read_only = 0, refused_removals = 0, discarded = 0,
                opened_by_calls = 0, files = 0, told_in_part = 0, put_back = 0, called_off = 0, jumps = 0,
                stepped_aside = 0, passed = 0, assigned = 0, removals_after_uploads = 0, relieved = 0,
                created_again = 0, seen_to_go = 0, ways_made = 0, orphans = 0;
};

/// Plays one history of the core against a model of a server, from a seed, in simulated time, and checks every
/// invariant of the core on each step; then lets the server recover and checks that all is synced in the end.
HistoryReport play_history(std::uint64_t seed, const HistoryOptions& options);

}  // namespace neptune::core
