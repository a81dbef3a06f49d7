#include "engine/event_log.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace neptune::engine {
namespace {

namespace asio = boost::asio;

class EventLogTest : public ::testing::Test {
 protected:
  static asio::awaitable<void> read(EventLog& log, std::uint64_t after, std::vector<api::Event>& into, bool& done) {
    into = co_await log.after(after);
    done = true;
  }

  std::vector<api::Event> after(std::uint64_t id) {
    std::vector<api::Event> events;
    bool done = false;
    asio::co_spawn(loop_, read(log_, id, events, done), asio::detached);
    loop_.restart();
    loop_.poll();
    EXPECT_TRUE(done);
    return events;
  }

  asio::io_context loop_;
  SystemClock clock_;
  EventLog log_{loop_.get_executor(), clock_};
};

TEST_F(EventLogTest, NumbersEventsFromOneWithoutGaps) {
  log_.add("a", "first");
  log_.add("b", "second", {.scope = "ml-team"});
  const auto events = after(0);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].id, 1u);
  EXPECT_EQ(events[1].id, 2u);
  EXPECT_EQ(events[1].scope, "ml-team");
}

TEST_F(EventLogTest, WaitsUntilSomethingHappens) {
  std::vector<api::Event> events;
  bool done = false;
  asio::co_spawn(loop_, read(log_, 0, events, done), asio::detached);
  loop_.poll();
  EXPECT_FALSE(done);
  log_.add("a", "now");
  loop_.restart();
  loop_.poll();
  EXPECT_TRUE(done);
  EXPECT_EQ(events.size(), 1u);
}

TEST_F(EventLogTest, TellsOfAGapWhenEventsWereDropped) {
  for (std::size_t i = 0; i < EventLog::kept + 5; ++i) log_.add("a", "x");
  const auto events = after(2);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0].type, "gap");
  EXPECT_EQ(events[0].message, "events 3 to 5 are no longer kept");
  EXPECT_EQ(events[1].id, 6u);
  EXPECT_LE(events.size(), EventLog::answered_at_once + 1);
  EXPECT_EQ(after(4)[0].message, "event 5 is no longer kept");
  EXPECT_EQ(after(5)[0].id, 6u) << "nothing is missing after it";
  EXPECT_EQ(after(0)[0].id, 6u) << "all that are kept";
}

TEST_F(EventLogTest, KeepsWhatIsRareThoughSomethingElseHappensAllTheTime) {
  log_.add("mode_changed", "ml-team is read-only");
  log_.add("source_gone", "a log was removed with 3 changes", {.loss = true});
  for (std::size_t i = 0; i < EventLog::kept; ++i) log_.add("source_gone", "a log is synced and gone");
  log_.add("rejected", "a change was refused");
  const auto events = after(0);
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events[0].type, "mode_changed");
  EXPECT_EQ(events[1].message, "a log was removed with 3 changes");
  EXPECT_EQ(events[2].type, "gap");
  EXPECT_EQ(events[2].message, "events 3 to 5 are no longer kept");
  EXPECT_EQ(events[3].id, 6u);
  const auto later = after(1);
  EXPECT_EQ(later[0].id, 2u);
  EXPECT_EQ(later[1].type, "gap");
  const auto newest = after(log_.last_id() - 1);
  ASSERT_EQ(newest.size(), 1u);
  EXPECT_EQ(newest[0].type, "rejected");
}

TEST_F(EventLogTest, TellsOfEachGapOnceToWhoReadsItPieceByPiece) {
  for (std::size_t i = 0; i < 2 * EventLog::kept; ++i) log_.add(i % 100 == 50 ? "rejected" : "synced", "x");
  std::uint64_t last = 0, told = 0, gaps = 0;
  for (;;) {
    for (const auto& event : after(last)) {
      const bool is_gap = event.type == "gap";
      if (is_gap || last == 0) {
        EXPECT_GT(event.id, last);
      } else {
        EXPECT_EQ(event.id, last + 1);
      }
      last = event.id;
      (is_gap ? gaps : told)++;
    }
    if (last == log_.last_id()) break;
  }
  EXPECT_EQ(told, EventLog::kept);
  EXPECT_GT(gaps, 90u) << "one between each two of the rejected ones that stand alone now";
}

TEST_F(EventLogTest, AReaderFromBeforeARestartGetsAllThereIs) {
  log_.add("a", "x");
  EXPECT_EQ(after(500).size(), 1u);
}

}  // namespace
}  // namespace neptune::engine
