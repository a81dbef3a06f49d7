#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <utility>

#include "server/impl/stream.h"

namespace neptune::server {

/// The connections to one origin: at most `max` in use, callers beyond that wait their turn in the order they came.
/// A connection idle for `idle_limit` is closed.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  /// The right to one connection; gives it back when it goes. Keeps the pool alive.
  class Lease {
   public:
    explicit Lease(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (pool_) pool_->release();
    }
    /// An idle connection that still looks open, the most recently used; null when there is none.
    std::unique_ptr<Stream> take_idle() { return pool_->take_idle(); }
    /// Keeps a connection for the next caller.
    void keep(std::unique_ptr<Stream> stream) { pool_->keep(std::move(stream)); }

   private:
    std::shared_ptr<Pool> pool_;
  };

  Pool(boost::asio::any_io_executor executor, std::size_t max, std::chrono::milliseconds idle_limit);

  static boost::asio::awaitable<Lease> lease(std::shared_ptr<Pool> pool);
  void close_idle();
  std::size_t idle() const { return idle_.size(); }

 private:
  struct Idle {
    std::unique_ptr<Stream> stream;
    std::chrono::steady_clock::time_point since;
  };
  class Waiter;

  std::unique_ptr<Stream> take_idle();
  void keep(std::unique_ptr<Stream> stream);
  void release();
  void watch_idle();
  void close_expired();

  std::chrono::milliseconds idle_limit_;
  std::size_t max_;
  std::size_t in_use_ = 0;
  std::list<Waiter*> waiters_;
  std::list<Idle> idle_;  // the longest idle first
  boost::asio::steady_timer idle_timer_;
  bool watching_ = false;
};

}  // namespace neptune::server
