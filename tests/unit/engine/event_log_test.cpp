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
  EXPECT_EQ(events[1].id, 6u);
  EXPECT_LE(events.size(), EventLog::answered_at_once + 1);
}

TEST_F(EventLogTest, AReaderFromBeforeARestartGetsAllThereIs) {
  log_.add("a", "x");
  EXPECT_EQ(after(500).size(), 1u);
}

}  // namespace
}  // namespace neptune::engine
