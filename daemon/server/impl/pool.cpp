#include "server/impl/pool.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/impl/cancel.h"

namespace neptune::server {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

/// A place in the queue. Whoever leaves without having used a turn it was given passes the turn on.
class Pool::Waiter {
 public:
  Waiter(Pool& pool, const asio::any_io_executor& executor)
      : pool_(pool),
        turn_(executor, Steady::time_point::max()),
        place_(pool.waiters_.insert(pool.waiters_.end(), this)) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() {
    if (!granted_) pool_.waiters_.erase(place_);
    if (granted_ && !taken_) pool_.release();
  }

  asio::awaitable<void> wait() {
    boost::system::error_code ignored;
    while (!granted_) {
      co_await turn_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      co_await throw_if_cancelled();
    }
    taken_ = true;
  }

  // Called by the pool, which has taken this place off the queue.
  void grant() {
    granted_ = true;
    turn_.cancel();
  }

 private:
  Pool& pool_;
  asio::steady_timer turn_;
  std::list<Waiter*>::iterator place_;
  bool granted_ = false;
  bool taken_ = false;
};

Pool::Pool(asio::any_io_executor executor, std::size_t max, std::chrono::milliseconds idle_limit)
    : idle_limit_(idle_limit), max_(std::max<std::size_t>(max, 1)), idle_timer_(executor) {}

asio::awaitable<Pool::Lease> Pool::lease(std::shared_ptr<Pool> pool) {
  if (pool->in_use_ < pool->max_) {
    ++pool->in_use_;
    co_return Lease(std::move(pool));
  }
  const auto executor = co_await asio::this_coro::executor;
  {
    Waiter waiter(*pool, executor);
    co_await waiter.wait();
  }
  co_return Lease(std::move(pool));
}

void Pool::release() {
  if (waiters_.empty()) {
    --in_use_;
    return;
  }
  auto* const next = waiters_.front();
  waiters_.pop_front();
  next->grant();
}

std::unique_ptr<Stream> Pool::take_idle() {
  while (!idle_.empty()) {
    auto stream = std::move(idle_.back().stream);
    idle_.pop_back();
    if (stream->is_quiet()) return stream;
  }
  return nullptr;
}

void Pool::keep(std::unique_ptr<Stream> stream) {
  idle_.push_back({std::move(stream), Steady::now()});
  if (!watching_) watch_idle();
}

void Pool::watch_idle() {
  watching_ = true;
  idle_timer_.expires_at(idle_.front().since + idle_limit_);
  idle_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code&) {
    if (const auto self = weak.lock()) self->close_expired();
  });
}

void Pool::close_expired() {
  watching_ = false;
  const auto now = Steady::now();
  while (!idle_.empty() && idle_.front().since + idle_limit_ <= now) idle_.pop_front();
  if (!idle_.empty()) watch_idle();
}

void Pool::close_idle() {
  idle_.clear();
  idle_timer_.cancel();
}

}  // namespace neptune::server
