#include "support/worker_pool.h"

#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <stdexcept>
#include <thread>

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

}  // namespace
}  // namespace neptune
