#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
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
  bool loss = false;  ///< something will not reach the server: not to be crowded out by others of its type
};

/// What happened lately, for everybody who listens. Ids grow by one and start anew with the daemon. `kept` events are
/// kept: one more costs the oldest of the type that has the most, so that what happens all the time (changes are
/// synced) does not crowd out what is rare (a workspace turned read-only). One executor, one thread.
class EventLog {
 public:
  static constexpr std::size_t kept = 10'000;  ///< our own bound: some 4 MB
  static constexpr std::size_t answered_at_once =
      500;  ///< events of one answer, so that a slow reader gets small pieces

  EventLog(boost::asio::any_io_executor executor, const Clock& clock) : clock_(clock), news_(executor) {
    news_.expires_at(boost::asio::steady_timer::time_point::max());
  }

  void add(std::string type, std::string message, EventAbout about = {});

  /// Events above `after`, oldest first; waits until there is one. Where some are no longer kept, an event of the type
  /// "gap" stands in their place; not for what was before the first that is kept, when all are asked for (0).
  boost::asio::awaitable<std::vector<api::Event>> after(std::uint64_t after);

  std::uint64_t last_id() const { return last_id_; }

 private:
  struct Class {
    std::string type;
    bool loss;
    auto operator<=>(const Class&) const = default;
  };

  void drop_one();
  api::Event gap(std::uint64_t first, std::uint64_t last) const;

  const Clock& clock_;
  std::map<std::uint64_t, api::Event> events_;
  std::map<Class, std::deque<std::uint64_t>> classes_;  // their ids, oldest first
  std::uint64_t last_id_ = 0;
  boost::asio::steady_timer news_;  // never fires; cancelled when an event came
};

}  // namespace neptune::engine
