// An hour of simulated time beside a workspace that is held: what its neighbour gets done, and what it costs in memory.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <map>
#include <variant>
#include <vector>

#include "core/core.h"

namespace neptune::core {
namespace {

using namespace std::chrono_literals;

constexpr Duration hour = 1h;
constexpr StreamId streams_each = 6;

/// How the held workspace answers its probes.
enum class Probes { none, status_says_read_only, status_is_missing, status_says_normal };

/// A server that takes 200 ms for a request and 50 ms for every other call. Workspace "busy" always has more to send;
/// "held" gets ever more to hold.
class Hour {
 public:
  explicit Hour(Probes how) : probes_(how) {
    for (StreamId id = 1; id <= streams_each; ++id) open(id, "busy");
    if (probes_ != Probes::none)
      for (StreamId id = 1; id <= streams_each; ++id) open(held_from + id, "held");
  }

  void play() {
    for (Instant second = now_ + 1s; second <= Instant{hour}; second += 1s) {
      until(second);
      for (auto& [id, stream] : streams_)
        if (id > held_from) tell(id, stream.waiting += 10);
      const auto minute = std::chrono::duration_cast<std::chrono::minutes>(now_.time_since_epoch());
      if (minute == 10min && first_ == 0) first_ = in_use();
      if (minute >= 10min) most_ = std::max(most_, in_use());
    }
  }

  std::uint64_t settled = 0;     ///< batches of "busy"
  std::uint64_t held_sends = 0;  ///< writes into "held" that started
  std::uint64_t probes = 0;
  Tally held() const { return core_.tally(Scope::of("held")); }
  /// Bytes on the heap at most, more than after the first ten minutes.
  std::size_t growth() const { return most_ - first_; }

 private:
  static constexpr StreamId held_from = 100;
  struct Stream {
    std::string workspace;
    Position confirmed = 0;
    std::uint64_t waiting = 10'000;
  };

  static Options batches_of_100() {
    Options options;
    options.batch_operations = 100;
    return options;
  }

  static std::size_t in_use() { return mallinfo2().uordblks; }

  void open(StreamId id, const std::string& workspace) {
    streams_[id] = {.workspace = workspace};
    core_.open({id, 0, {{workspace, "p"}, "r" + std::to_string(id)}, {}, 0}, now_);
    tell(id, 10'000);
  }

  void tell(StreamId id, std::uint64_t count) {
    Backlog backlog;
    backlog.count = count;
    backlog.bytes = count * 10;
    core_.backlog(id, streams_.at(id).confirmed, backlog, now_);
  }

  void until(Instant end) {
    for (;;) {
      act();
      auto next = core_.next_wakeup().value_or(Instant::max());
      if (!events_.empty()) next = std::min(next, events_.begin()->first);
      if (next > end) break;
      now_ = std::max(now_, next);
      if (!events_.empty() && events_.begin()->first <= now_) {
        const auto action = events_.extract(events_.begin()).mapped();
        std::visit([this](const auto& a) { answer(a); }, action);
      } else {
        core_.time_passed(now_);
      }
    }
    now_ = end;
  }

  void act() {
    for (auto& action : core_.take_actions()) {
      if (const auto* settle = std::get_if<Settle>(&action)) {
        streams_.at(settle->stream).confirmed = settle->upto;
        settled++;
        tell(settle->stream, 10'000);
      } else {
        events_.emplace(now_ + (std::holds_alternative<Send>(action) ? 200ms : 50ms), std::move(action));
      }
    }
  }

  void answer(const Send& send) {
    const Sent sent{send.after + static_cast<Position>(send.max_operations), send.max_operations,
                    send.max_operations * 10, false};
    if (send.stream > held_from) {
      held_sends++;
      core_.failed(send.stream, sent, {Failure::Kind::read_only, "WORKSPACE_READONLY", "storage is full", {}, false},
                   now_);
    } else {
      core_.sent(send.stream, sent, "q", now_);
    }
  }
  void answer(const Check& check) {
    std::vector<RequestStatus> statuses(check.ids.size());
    for (auto& status : statuses) status.counts = {{0, 1, IngestCode::ok}};
    core_.checked(check, statuses, now_);
  }
  void answer(const AskStatus& ask) {
    probes++;
    WorkspaceStatus status;
    status.read_only = probes_ == Probes::status_says_read_only;
    Answer<WorkspaceStatus> told = status;
    if (probes_ == Probes::status_is_missing)
      told = std::unexpected(Failure{Failure::Kind::rejected, "http_404", "no such call", {}, false});
    core_.status_told(ask, told, now_);
  }
  template <class Other>
  void answer(const Other&) {}

  Probes probes_;
  Core core_{batches_of_100(), 1};
  Instant now_{};
  std::map<StreamId, Stream> streams_;
  std::multimap<Instant, Action> events_;
  std::size_t first_ = 0, most_ = 0;
};

class BesideAHeldWorkspace : public ::testing::TestWithParam<Probes> {};

TEST_P(BesideAHeldWorkspace, ANeighbourKeepsItsPaceForAnHourAndMemoryStaysFlat) {
  static const auto alone = [] {
    Hour undisturbed(Probes::none);
    undisturbed.play();
    return undisturbed.settled;
  }();
  ASSERT_GT(alone, 50'000u);

  Hour beside(GetParam());
  beside.play();
  EXPECT_EQ(beside.held().held, streams_each * (10'000 + 36'000));
  EXPECT_GT(beside.probes, 4u);
  // The first writes, then one a probe: after half a minute, then ever more rarely up to every quarter of an hour.
  EXPECT_LT(beside.held_sends, 20u);
  const auto ratio = static_cast<double>(beside.settled) / static_cast<double>(alone);
  RecordProperty("settled_alone", static_cast<int>(alone));
  RecordProperty("settled_beside", static_cast<int>(beside.settled));
  RecordProperty("growth", static_cast<int>(beside.growth()));
  EXPECT_GT(ratio, 0.95);
  EXPECT_LT(ratio, 1.05);
  // What is in flight at the moment of measuring comes and goes.
  EXPECT_LT(beside.growth(), 4096u);
}

INSTANTIATE_TEST_SUITE_P(Whatever, BesideAHeldWorkspace,
                         ::testing::Values(Probes::status_says_read_only, Probes::status_is_missing,
                                           Probes::status_says_normal),
                         [](const auto& test) {
                           return test.param == Probes::status_says_read_only ? "StatusSaysReadOnly"
                                  : test.param == Probes::status_is_missing   ? "StatusIsMissing"
                                                                              : "StatusSaysNormal";
                         });

}  // namespace
}  // namespace neptune::core
