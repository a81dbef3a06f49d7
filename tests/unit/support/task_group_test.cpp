#include "support/task_group.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <stdexcept>

namespace neptune {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<void> wait_for_ever(bool& ended) {
  asio::steady_timer timer(co_await asio::this_coro::executor, 24h);
  try {
    co_await timer.async_wait(asio::use_awaitable);
  } catch (...) {
    ended = true;
    throw;
  }
}

asio::awaitable<void> stop_it(TaskGroup& group, bool& stopped) {
  co_await group.stop();
  stopped = true;
}

TEST(TaskGroup, StopEndsEveryTaskAndWaitsForTheLast) {
  asio::io_context loop;
  TaskGroup group(loop.get_executor());
  bool first = false, second = false, stopped = false;
  group.spawn("first", wait_for_ever(first));
  group.spawn("second", wait_for_ever(second));
  loop.poll();
  EXPECT_EQ(group.size(), 2u);
  asio::co_spawn(loop, stop_it(group, stopped), asio::detached);
  loop.run();
  EXPECT_TRUE(first && second && stopped);
  EXPECT_EQ(group.size(), 0u);
}

asio::awaitable<void> throws() {
  throw std::runtime_error("broken");
  co_return;
}

TEST(TaskGroup, ATaskThatThrowsEndsAlone) {
  asio::io_context loop;
  TaskGroup group(loop.get_executor());
  bool other = false, stopped = false;
  group.spawn("broken", throws());
  group.spawn("other", wait_for_ever(other));
  loop.poll();
  EXPECT_EQ(group.size(), 1u);
  asio::co_spawn(loop, stop_it(group, stopped), asio::detached);
  loop.run();
  EXPECT_TRUE(other && stopped);
}

}  // namespace
}  // namespace neptune
