#include "support/bandwidth.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace neptune {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds burst{250};

}  // namespace

asio::awaitable<void> Bandwidth::take(std::uint64_t bytes) {
  if (rate_ == 0) co_return;
  const auto now = Steady::now();
  spent_until_ = std::max(spent_until_, now - burst);
  const auto may_leave_at = spent_until_;
  const std::chrono::duration<double> earned_in(static_cast<double>(bytes) / static_cast<double>(rate_));
  spent_until_ += std::chrono::duration_cast<Steady::duration>(earned_in);
  if (may_leave_at <= now) co_return;
  asio::steady_timer timer(co_await asio::this_coro::executor, may_leave_at);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace neptune
