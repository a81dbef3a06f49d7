#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "core/scheduler.h"
#include "support/clock.h"

namespace neptune::engine {

/// Places for files that are sent at once. While some wait, workspaces take turns: neither one with thousands of files
/// nor one with large ones keeps the others from theirs: who has a place asks now and then whether to give it back, for
/// a workspace that has none. Within a workspace who comes first gets the next place.
/// Within `pace` no more files begin than there are places: thousands of small ones would else keep the machine busy
/// with nothing but them, and metadata would wait for its turn on the processor. No store that is not on this very
/// machine is as quick.
/// Concurrency: one executor, one thread. A place lives at most as long as the object it is of.
class UploadSlots {
 public:
  class Slot {
   public:
    Slot(UploadSlots& slots, std::string workspace) : slots_(&slots), workspace_(std::move(workspace)) {}
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), workspace_(std::move(other.workspace_)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_) slots_->give_back(workspace_);
    }

   private:
    UploadSlots* slots_;
    std::string workspace_;
  };

  UploadSlots(boost::asio::any_io_executor executor, const Clock& clock, std::uint32_t places,
              std::chrono::milliseconds pace)
      : executor_(executor), clock_(clock), places_(places), pace_(pace), next_turn_(executor) {}

  boost::asio::awaitable<Slot> take(std::string workspace) {
    const auto waiter = std::make_shared<Waiter>(executor_, workspace);
    const auto number = ++numbered_;
    line_.add(workspace, number);
    waiting_.emplace(number, waiter);
    hand_out();
    // Whoever is cancelled while it waits leaves the line; whoever was called just then gives its place back.
    const Leaving leaving{*this, number, waiter};
    boost::system::error_code ignored;
    if (!waiter->has_place)
      co_await waiter->called.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    if (!waiter->has_place) throw boost::system::system_error(boost::asio::error::operation_aborted);
    waiter->has_place = false;
    co_return Slot(*this, std::move(workspace));
  }

  /// Whether the workspace, as the one with the most places, is to give one back to another that waits without any.
  bool is_to_make_room(const std::string& workspace) const {
    const auto mine = held_by(workspace);
    const bool has_most = std::ranges::all_of(held_, [mine](const auto& each) { return each.second <= mine; });
    return has_most &&
           std::ranges::any_of(waiting_, [this](const auto& each) { return held_by(each.second->workspace) == 0; });
  }

  /// Those that are taken stay so.
  void set_places(std::uint32_t places) {
    places_ = places;
    hand_out();
  }
  void set_priority(const std::string& workspace, std::uint32_t turns) { line_.set_priority(workspace, turns); }

 private:
  struct Waiter {
    Waiter(const boost::asio::any_io_executor& executor, std::string of)
        : workspace(std::move(of)), called(executor, boost::asio::steady_timer::time_point::max()) {}
    std::string workspace;
    boost::asio::steady_timer called;  // cancelled when it has a place
    bool has_place = false;
  };
  struct Leaving {
    UploadSlots& slots;
    std::uint64_t number;
    std::shared_ptr<Waiter> waiter;
    ~Leaving() {
      slots.waiting_.erase(number);
      if (waiter->has_place) slots.give_back(waiter->workspace);
    }
  };

  std::uint32_t held_by(const std::string& workspace) const {
    const auto found = held_.find(workspace);
    return found == held_.end() ? 0 : found->second;
  }

  void give_back(const std::string& workspace) {
    --taken_;
    const auto held = held_.find(workspace);
    if (--held->second == 0) held_.erase(held);
    hand_out();
  }

  void hand_out() {
    while (taken_ < places_ && !waiting_.empty() && may_begin()) {
      const auto next = line_.next();
      if (!next) return;
      const auto waiter = waiting_.find(*next);
      if (waiter == waiting_.end()) continue;  // it left
      ++taken_;
      ++begun_;
      ++held_[waiter->second->workspace];
      waiter->second->has_place = true;
      waiter->second->called.cancel();
      waiting_.erase(waiter);
    }
  }

  /// Where not, it is asked again in time.
  bool may_begin() {
    const auto now = clock_.now();
    if (now >= next_turn_.expiry()) {
      next_turn_.expires_at(now + pace_);
      begun_ = 0;
      waits_for_turn_ = false;
    }
    if (begun_ < places_) return true;
    if (!std::exchange(waits_for_turn_, true))
      next_turn_.async_wait([this](const boost::system::error_code& error) {
        if (!error) hand_out();
      });
    return false;
  }

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  std::uint32_t places_, taken_ = 0;
  std::chrono::milliseconds pace_;
  boost::asio::steady_timer next_turn_;  // at its end, others may begin
  std::uint32_t begun_ = 0;              // of this turn
  bool waits_for_turn_ = false;
  std::map<std::string, std::uint32_t> held_;  // places of each workspace that has any
  core::Scheduler line_;
  std::map<std::uint64_t, std::shared_ptr<Waiter>> waiting_;
  std::uint64_t numbered_ = 0;
};

}  // namespace neptune::engine
