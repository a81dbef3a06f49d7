#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

namespace neptune::engine {

/// Places for files that are sent at once; who comes first gets the next one that is free.
/// Concurrency: one executor, one thread. A place lives at most as long as the object it is of.
class UploadSlots {
 public:
  class Slot {
   public:
    explicit Slot(UploadSlots& slots) : slots_(&slots) {}
    Slot(Slot&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_) slots_->give_back();
    }

   private:
    UploadSlots* slots_;
  };

  UploadSlots(boost::asio::any_io_executor executor, std::uint32_t places) : executor_(executor), free_(places) {}

  boost::asio::awaitable<Slot> take() {
    if (free_ > 0) {
      --free_;
      co_return Slot(*this);
    }
    auto waiter = std::make_shared<Waiter>(executor_);
    line_.push_back(waiter);
    // Whoever is cancelled while it waits leaves the line; whoever was called just then gives its place back.
    const Leaving leaving{*this, waiter};
    boost::system::error_code ignored;
    co_await waiter->called.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    if (!waiter->has_place) throw boost::system::system_error(boost::asio::error::operation_aborted);
    waiter->has_place = false;
    co_return Slot(*this);
  }

 private:
  struct Waiter {
    explicit Waiter(const boost::asio::any_io_executor& executor)
        : called(executor, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer called;  // cancelled when it has a place
    bool has_place = false;
  };
  struct Leaving {
    UploadSlots& slots;
    std::shared_ptr<Waiter> waiter;
    ~Leaving() {
      std::erase(slots.line_, waiter);
      if (waiter->has_place) slots.give_back();
    }
  };

  void give_back() {
    if (line_.empty()) {
      ++free_;
      return;
    }
    const auto next = line_.front();
    line_.pop_front();
    next->has_place = true;
    next->called.cancel();
  }

  boost::asio::any_io_executor executor_;
  std::uint32_t free_;
  std::deque<std::shared_ptr<Waiter>> line_;
};

}  // namespace neptune::engine
