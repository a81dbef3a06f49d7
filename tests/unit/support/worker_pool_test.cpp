#include "support/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "support/task_group.h"

namespace neptune {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> run_one(WorkerPool& pool, std::thread::id& worker, std::thread::id& after, int& result) {
  auto work = [&worker] {
    worker = std::this_thread::get_id();
    return 42;
  };
  result = co_await pool.run(std::move(work));
  after = std::this_thread::get_id();
}

TEST(WorkerPool, WorksElsewhereAndComesBackToTheLoop) {
  asio::io_context loop;
  WorkerPool pool(1);
  std::thread::id worker, after;
  int result = 0;
  asio::co_spawn(loop, run_one(pool, worker, after, result), asio::detached);
  loop.run();
  EXPECT_EQ(result, 42);
  EXPECT_NE(worker, std::this_thread::get_id());
  EXPECT_EQ(after, std::this_thread::get_id());
}

asio::awaitable<void> run_failing(WorkerPool& pool, std::string& caught) {
  auto work = []() -> int { throw std::runtime_error("no"); };
  try {
    (void)co_await pool.run(std::move(work));
  } catch (const std::runtime_error& e) {
    caught = e.what();
  }
}

TEST(WorkerPool, CarriesAnExceptionBack) {
  asio::io_context loop;
  WorkerPool pool(1);
  std::string caught;
  asio::co_spawn(loop, run_failing(pool, caught), asio::detached);
  loop.run();
  EXPECT_EQ(caught, "no");
}

asio::awaitable<void> work_then_wait(WorkerPool& pool, std::shared_future<void> go, std::atomic<bool>& worked,
                                     bool& waited) {
  auto work = [go, &worked] {
    go.wait();
    worked = true;
  };
  co_await pool.run(std::move(work));
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
  co_await timer.async_wait(asio::use_awaitable);
  waited = true;
}

asio::awaitable<void> stop_it(TaskGroup& group) {
  co_await group.stop();
}

TEST(WorkerPool, ACallThatHasBegunIsFinishedAndItsCallerIsCancelledAfterIt) {
  asio::io_context loop;
  WorkerPool pool(1);
  TaskGroup group(loop.get_executor());
  std::promise<void> go;
  std::atomic<bool> worked = false;
  bool waited = false;
  group.spawn("worker", work_then_wait(pool, go.get_future().share(), worked, waited));
  loop.poll();
  group.cancel();
  go.set_value();
  asio::co_spawn(loop, stop_it(group), asio::detached);
  loop.run();
  EXPECT_TRUE(worked);
  EXPECT_FALSE(waited);
}

TEST(WorkerPool, ATaskThatWorkedOnceCanStillBeCancelled) {
  asio::io_context loop;
  WorkerPool pool(1);
  TaskGroup group(loop.get_executor());
  std::promise<void> go;
  go.set_value();
  std::atomic<bool> worked = false;
  bool waited = false;
  group.spawn("worker", work_then_wait(pool, go.get_future().share(), worked, waited));
  while (!worked) loop.run_one();
  loop.poll();
  asio::co_spawn(loop, stop_it(group), asio::detached);
  loop.run();
  EXPECT_FALSE(waited);
}

}  // namespace
}  // namespace neptune
