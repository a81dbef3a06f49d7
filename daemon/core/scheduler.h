#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/types.h"

namespace neptune::core {

/// Whose turn it is. Workspaces take turns, and the streams of a workspace take turns among themselves, so that neither
/// a workspace with hundreds of runs nor a run with millions of points starves another. A workspace of priority n gets
/// n turns a round.
///
/// A stream stands in the line at most once. The line holds candidates: who takes one out decides whether it may go.
class Scheduler {
 public:
  void set_priority(const std::string& workspace, std::uint32_t turns) { priorities_[workspace] = turns; }

  void add(const std::string& workspace, StreamId stream) {
    if (!waiting_.insert(stream).second) return;
    auto [it, created] = lanes_.try_emplace(workspace);
    if (created) round_.push_back(workspace);
    it->second.line.push_back(stream);
  }

  /// Takes out the next candidate.
  std::optional<StreamId> next() {
    while (!round_.empty()) {
      const auto lane = lanes_.find(round_.front());
      if (lane->second.line.empty()) {
        lanes_.erase(lane);
        round_.pop_front();
        continue;
      }
      const auto stream = lane->second.line.front();
      lane->second.line.pop_front();
      waiting_.erase(stream);
      if (++lane->second.taken >= turns(lane->first)) {
        lane->second.taken = 0;
        round_.splice(round_.end(), round_, round_.begin());
      }
      return stream;
    }
    return std::nullopt;
  }

 private:
  struct Lane {
    std::deque<StreamId> line;
    std::uint32_t taken = 0;  // turns of this round
  };

  std::uint32_t turns(const std::string& workspace) const {
    const auto it = priorities_.find(workspace);
    return it == priorities_.end() ? 1 : it->second;
  }

  std::map<std::string, std::uint32_t> priorities_;
  std::map<std::string, Lane> lanes_;
  std::list<std::string> round_;  // the lanes, whose turn it is first
  std::set<StreamId> waiting_;
};

}  // namespace neptune::core
