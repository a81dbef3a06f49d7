#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace neptune::server {

/// Bites (closes what it guards) when nothing has moved for `limit`. Destroying it calls it off; what `bite` refers to
/// must live as long as the watchdog, no longer.
class Watchdog {
 public:
  Watchdog(boost::asio::any_io_executor executor, std::chrono::milliseconds limit, std::function<void()> bite);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  void progress();

  /// While the wait is for ourselves and not for the other side.
  void pause();
  void resume();

  bool has_bitten() const;

 private:
  struct State;
  static void watch(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace neptune::server
