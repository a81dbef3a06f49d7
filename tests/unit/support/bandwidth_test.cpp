#include "support/bandwidth.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <vector>

namespace neptune {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

asio::awaitable<void> take_many(Bandwidth* bandwidth, int times, std::uint64_t bytes) {
  for (int i = 0; i < times; ++i) co_await bandwidth->take(bytes);
}

Steady::duration time_of(Bandwidth& bandwidth, int takers, int times, std::uint64_t bytes) {
  asio::io_context loop;
  const auto begin = Steady::now();
  for (int i = 0; i < takers; ++i) asio::co_spawn(loop, take_many(&bandwidth, times, bytes), asio::detached);
  loop.run();
  return Steady::now() - begin;
}

TEST(Bandwidth, HoldsAllSendersTogetherBelowTheRate) {
  Bandwidth bandwidth(1'000'000);
  // A quarter of a second's bytes may leave at once, and the last piece need not be waited for.
  const auto time = time_of(bandwidth, 4, 10, 15'000);
  EXPECT_GE(time, 330ms);
}

TEST(Bandwidth, WithoutARateNobodyWaits) {
  Bandwidth bandwidth(0);
  EXPECT_LT(time_of(bandwidth, 4, 1000, 1u << 30), 5s);
}

TEST(Bandwidth, APieceAboveTheRateIsLetThrough) {
  Bandwidth bandwidth(1000);
  EXPECT_LT(time_of(bandwidth, 1, 1, 1u << 20), 5s);
}

}  // namespace
}  // namespace neptune
