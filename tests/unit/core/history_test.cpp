#include "history.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace neptune::core {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t histories = 1'000;  // each takes twenty times as long
#else
constexpr std::uint64_t histories = 20'000;
#endif

/// NEPTUNE_HISTORIES=100000 NEPTUNE_SEED=1 runs a longer campaign; a failure names the seed to replay.
void play_many(std::uint64_t count, const HistoryOptions& options, HistoryReport& sum) {
  const auto first = from_environment("NEPTUNE_SEED", 1);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto report = play_history(seed, options);
    ASSERT_EQ(report.violation, "");
    sum.sends += report.sends;
    sum.restarts += report.restarts;
    sum.flips += report.flips;
    sum.rejected += report.rejected;
    sum.probes += report.probes;
    sum.suspended += report.suspended;
    sum.calls += report.calls;
    sum.removals += report.removals;
    sum.removals_while_read_only += report.removals_while_read_only;
    sum.refused_removals += report.refused_removals;
    sum.discarded += report.discarded;
    sum.opened_by_calls += report.opened_by_calls;
    sum.files += report.files;
    sum.told_in_part += report.told_in_part;
    sum.put_back += report.put_back;
    sum.called_off += report.called_off;
    sum.jumps += report.jumps;
    sum.stepped_aside += report.stepped_aside;
    sum.passed += report.passed;
    sum.assigned += report.assigned;
    sum.removals_after_uploads += report.removals_after_uploads;
    sum.relieved += report.relieved;
    sum.created_again += report.created_again;
    sum.seen_to_go += report.seen_to_go;
    sum.ways_made += report.ways_made;
    sum.orphans += report.orphans;
  }
}

TEST(History, EverythingIsSyncedOnceAndInOrderWhenNothingGoesWrong) {
  HistoryReport sum;
  play_many(500,
            {.modes = false,
             .failures = false,
             .restarts = false,
             .poison = false,
             .operators = false,
             .jumps = false,
             .direct = false},
            sum);
  EXPECT_GT(sum.sends, 0u);
}

TEST(History, RefusedChangesAreFoundByHalvesAndTheRestIsStored) {
  HistoryReport sum;
  play_many(500,
            {.modes = false,
             .failures = false,
             .restarts = false,
             .poison = true,
             .operators = false,
             .jumps = false,
             .direct = false},
            sum);
  EXPECT_GT(sum.rejected, 0u);
}

TEST(History, LosesNothingAndRepeatsNothingOverFailuresRestartsAndModes) {
  HistoryReport sum;
  play_many(from_environment("NEPTUNE_HISTORIES", histories), {}, sum);
  EXPECT_GT(sum.restarts, 0u);
  EXPECT_GT(sum.flips, 0u);
  EXPECT_GT(sum.rejected, 0u);
  EXPECT_GT(sum.probes, 0u);
  EXPECT_GT(sum.suspended, 0u);
  EXPECT_GT(sum.calls, 0u);
  EXPECT_GT(sum.removals_while_read_only, 0u);
  EXPECT_GT(sum.refused_removals, 0u);
  EXPECT_GT(sum.discarded, 0u);
  EXPECT_GT(sum.opened_by_calls, 0u);
  EXPECT_GT(sum.files, 0u);
  EXPECT_GT(sum.told_in_part, 0u);
  EXPECT_GT(sum.put_back, 0u);
  EXPECT_GT(sum.called_off, 0u);
  EXPECT_GT(sum.jumps, 0u);
  EXPECT_GT(sum.stepped_aside, 0u);
  EXPECT_GT(sum.passed, 0u);
  EXPECT_GT(sum.assigned, 0u);
  EXPECT_GT(sum.removals_after_uploads, 0u);
  EXPECT_GT(sum.relieved, 0u);
  EXPECT_GT(sum.created_again, 0u);
  EXPECT_GT(sum.seen_to_go, 0u) << "while other changes stay held";
  EXPECT_GT(sum.orphans, 0u);
  EXPECT_GT(sum.ways_made, 0u) << "also for what came to be held later, or in a life before";
}

}  // namespace
}  // namespace neptune::core
