#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace neptune::sandbox {

/// Of ingest writes and status calls: when each began, and when its caller was told what. For tests of what is started
/// after which sign. Times are CLOCK_MONOTONIC; -1: not yet, or never.
class Traffic {
 public:
  struct Call {
    std::string scope;            ///< a write's project in full, a status call's workspace
    bool status_call = false;     ///< else an ingest write
    std::string id{};             ///< of a write that was queued
    std::string read_only{};      ///< the scope that kept the write out, or that the status call called read-only
    std::int64_t started_us = 0;  ///< its head was there
    std::int64_t answered_us = -1;
    std::int64_t told_us = -1;  ///< of a queued write: a check told its fate
  };

  static std::int64_t now_us() {
    using namespace std::chrono;
    return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
  }

  /// By the handler of the call that is being answered: what it is, or whose fate it tells (id, the scope that
  /// suspended it).
  void note(Call call) { noted_.calls.push_back(std::move(call)); }
  void note_told(const std::string& id, const std::string& suspended_by) { noted_.told.emplace_back(id, suspended_by); }

  struct Noted {
    std::vector<Call> calls;
    std::vector<std::pair<std::string, std::string>> told;
  };
  Noted take_noted() { return std::exchange(noted_, {}); }

  /// By the connection, once the answer was sent or could not be.
  void answered(Noted noted, std::int64_t started_us, std::int64_t answered_us) {
    for (auto& call : noted.calls) {
      call.started_us = started_us;
      call.answered_us = answered_us;
      if (!call.id.empty()) by_id_[call.id] = first_ + calls_.size();
      calls_.push_back(std::move(call));
    }
    for (const auto& [id, suspended_by] : noted.told) {
      const auto found = by_id_.find(id);
      if (found == by_id_.end() || found->second < first_) continue;
      auto& call = calls_[found->second - first_];
      if (call.told_us >= 0) continue;
      call.told_us = answered_us;
      call.read_only = suspended_by;
    }
    for (; calls_.size() > kept; ++first_) {
      by_id_.erase(calls_.front().id);
      calls_.pop_front();
    }
  }

  /// The last 50,000, in the order of their answers.
  const std::deque<Call>& calls() const { return calls_; }

 private:
  static constexpr std::size_t kept = 50'000;
  Noted noted_;
  std::deque<Call> calls_;
  std::size_t first_ = 0;  // how many were dropped in front
  std::unordered_map<std::string, std::size_t> by_id_;
};

}  // namespace neptune::sandbox
