#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <ranges>
#include <string>

#include "changes/names.h"
#include "client/lib/types.h"
#include "core/types.h"
#include "engine/ledger.h"
#include "support/clock.h"

/// What the views of the engine have in common.
namespace neptune::engine {

/// Of a log that took the place of another one, those of that one are among the kept.
inline void count_discarded(api::Counts& counts) {
  counts.discarded = counts.rejected - std::min(counts.rejected, counts.rejected_kept);
}

inline void add(api::Totals& totals, const core::Tally& tally) {
  totals.pending += tally.pending;
  totals.held += tally.held;
  totals.in_flight += tally.in_flight;
  totals.pending_bytes += tally.bytes;
  totals.held_bytes += tally.held_bytes;
}

/// Of what is kept by project, that of a project, or of all in a workspace.
template <class Value>
auto in_scope(const std::map<ProjectName, Value>& by_project, const Scope& scope) {
  const ProjectName first{scope.workspace, scope.project};
  const auto end =
      scope.is_workspace() ? by_project.lower_bound({scope.workspace + '\0', ""}) : by_project.upper_bound(first);
  return std::ranges::subrange(by_project.lower_bound(first), end);
}

/// What somebody has to create, or empty.
inline std::optional<std::string> missing(core::Lacks lacks) {
  if (lacks == core::Lacks::project) return "project";
  if (lacks == core::Lacks::run) return "run";
  if (lacks == core::Lacks::model) return "model";
  return std::nullopt;
}

inline std::string sentence_of_lost(const FinishedSource& finished) {
  if (finished.lost.uncounted)
    return fmt::format("{} was removed while it could not be read: what of {} was in it and not synced is not known",
                       finished.path, finished.container.label());
  const auto what =
      finished.lost.changes == 1 ? std::string("a change") : fmt::format("{} changes", finished.lost.changes);
  return fmt::format("{} was removed with {} of {} that {} not synced", finished.path, what, finished.container.label(),
                     finished.lost.changes == 1 ? "was" : "were");
}

/// "now", "in 12 s", "in 5 min"
inline std::string in_seconds(std::optional<Instant> until, Instant now) {
  if (!until || *until <= now) return "now";
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(*until - now).count();
  return seconds < 120 ? fmt::format("in {} s", seconds) : fmt::format("in {} min", (seconds + 30) / 60);
}

}  // namespace neptune::engine
