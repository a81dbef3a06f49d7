#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "changes/names.h"

namespace neptune::engine {

/// How long things took, in seconds; counted in buckets.
class Histogram {
 public:
  static constexpr std::array bounds{0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0};

  void observe(double seconds) {
    std::size_t bucket = 0;
    while (bucket < bounds.size() && seconds > bounds[bucket]) ++bucket;
    ++counts_[bucket];
    sum_ += seconds;
  }

  /// Up to the bound of this index; past the last index: all.
  std::uint64_t up_to(std::size_t index) const {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i <= index && i < counts_.size(); ++i) count += counts_[i];
    return count;
  }
  std::uint64_t count() const { return up_to(bounds.size()); }
  double sum() const { return sum_; }

 private:
  std::array<std::uint64_t, bounds.size() + 1> counts_{};
  double sum_ = 0;
};

/// What was counted since the daemon started, besides what the status tells.
struct Metrics {
  /// From taking up a batch to its confirmation by the server.
  std::map<ProjectName, Histogram> confirm_seconds;
  /// Of ingest requests that the server took; what had to be sent twice counts twice.
  std::map<ProjectName, std::uint64_t> sent_bytes;
  /// Files that are on the server, and their bytes.
  struct Uploaded {
    std::uint64_t files = 0, bytes = 0;
  };
  std::map<ProjectName, Uploaded> uploaded;
  /// By project and the server's code.
  std::map<std::pair<ProjectName, std::string>, std::uint64_t> rejections;
  /// Changes that had been rejected and were stored by a retry, since the state directory was made.
  std::map<ProjectName, std::uint64_t> retried;
  /// Status calls of workspaces, and writes that were let into read-only projects, by what they told: "normal",
  /// "read_only" or "failed".
  std::map<std::pair<Scope, std::string>, std::uint64_t> probes;
  /// Of what waits in the change queue now, and its bound; 0 where there is no queue.
  std::uint64_t queue_bytes = 0, queue_max_bytes = 0;
};

}  // namespace neptune::engine
