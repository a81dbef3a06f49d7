#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "client/lib/types.h"
#include "support/clock.h"

namespace neptune::engine {

/// What an event is about; what it does not concern stays empty.
struct EventAbout {
  std::optional<std::string> scope = {}, stream = {};
  std::optional<std::uint64_t> count = {};
  std::optional<api::Upload> upload = {};
};

/// What happened lately, for everybody who listens. Keeps the newest `kept` events; ids grow by one and start anew with
/// the daemon. One executor, one thread.
class EventLog {
 public:
  static constexpr std::size_t kept = 10'000;  ///< our own bound: some 4 MB
  static constexpr std::size_t answered_at_once =
      500;  ///< events of one answer, so that a slow reader gets small pieces

  EventLog(boost::asio::any_io_executor executor, const Clock& clock) : clock_(clock), news_(executor) {
    news_.expires_at(boost::asio::steady_timer::time_point::max());
  }

  void add(std::string type, std::string message, EventAbout about = {});

  /// Events above `after`, oldest first; waits until there is one. A gap is told by a first event of type "gap".
  boost::asio::awaitable<std::vector<api::Event>> after(std::uint64_t after);

  std::uint64_t last_id() const { return last_id_; }

 private:
  const Clock& clock_;
  std::deque<api::Event> events_;
  std::uint64_t last_id_ = 0;
  boost::asio::steady_timer news_;  // never fires; cancelled when an event came
};

}  // namespace neptune::engine
