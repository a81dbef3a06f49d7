#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "changes/names.h"
#include "support/clock.h"

namespace neptune::engine {

/// Our own bound on how far the server's search for runs lags behind what was written.
inline constexpr std::chrono::seconds search_lag{10};

/// Whether a run that the server's search does not find may still come to be found. Whoever hands in a change of runs
/// that he did not create here knows of them from the server: the lag counts from when the change was accepted, however
/// long it waited for its turn, so that many such changes share it. A run that was created from here counts from when
/// that was confirmed; since what an earlier process created is not known, so does all from the start of this one.
class SearchLag {
 public:
  explicit SearchLag(Instant started) : started_(started) {}

  /// Changes of the queue, all that one commit numbered so.
  void accepted(std::int64_t first, std::int64_t last, Instant now) {
    std::erase_if(accepted_, [now](const auto& each) { return now - each.second.at >= search_lag; });
    accepted_[last] = {first, now};
  }

  void created(ContainerName run, Instant now) {
    forget_before(now - search_lag);
    lately_.emplace_back(now, run);
    created_[std::move(run)] = now;
  }

  bool may_lack(const ProjectName& project, const std::vector<std::string>& runs, std::int64_t change,
                Instant now) const {
    const auto lags_behind = [now](Instant since) { return now - since < search_lag; };
    const auto commit = accepted_.lower_bound(change);
    const bool is_of_it = commit != accepted_.end() && commit->second.first <= change;
    if (lags_behind(started_) || (is_of_it && lags_behind(commit->second.at))) return true;
    return std::ranges::any_of(runs, [&](const std::string& run) {
      const auto known = created_.find({project, run, ContainerKind::run});
      return known != created_.end() && lags_behind(known->second);
    });
  }

 private:
  void forget_before(Instant past) {
    for (; !lately_.empty() && lately_.front().first < past; lately_.pop_front()) {
      const auto known = created_.find(lately_.front().second);
      if (known != created_.end() && known->second < past) created_.erase(known);
    }
  }

  Instant started_;
  struct Commit {
    std::int64_t first;
    Instant at;
  };
  std::map<std::int64_t, Commit> accepted_;  // lately, by the last of each
  std::map<ContainerName, Instant> created_;
  std::deque<std::pair<Instant, ContainerName>> lately_;  // in the order of time
};

}  // namespace neptune::engine
