#pragma once

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/clock.h"

namespace neptune::sources {

/// Which entries of a watch are to be looked at: those that were named, and those whose `look_again` has come.
/// `Entries` is a map from their paths, which outlives this.
class DueLooks {
 public:
  DueLooks(boost::asio::any_io_executor executor, const Clock& clock) : clock_(clock), wake_(executor) {}

  void add(const std::string& path) {
    if (paths_.insert(path).second) wake_.cancel();
  }
  /// A `look_again` was brought forward.
  void earlier() { wake_.cancel(); }
  /// All folders were looked through.
  template <class Entries>
  void add_all(const Entries& entries) {
    for (const auto& [path, entry] : entries) paths_.insert(path);
    looked_through_ = true;
    wake_.cancel();
  }

  struct Due {
    std::vector<std::string> paths;
    bool looked_through = false;  ///< since the last time
  };
  /// Waits until there is something.
  template <class Entries>
  boost::asio::awaitable<Due> next(const Entries* entries) {
    boost::system::error_code woken;
    while (paths_.empty() && !looked_through_) {
      std::optional<Instant> at;
      for (const auto& [path, entry] : *entries)
        if (entry.look_again && (!at || *entry.look_again < *at)) at = entry.look_again;
      // Something may be due already: a wait of nothing lets everybody else go first.
      wake_.expires_after(at ? std::max<Duration>(*at - clock_.now(), Duration::zero()) : std::chrono::hours(24));
      co_await wake_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, woken));
      const auto now = clock_.now();
      for (const auto& [path, entry] : *entries)
        if (entry.look_again && *entry.look_again <= now) paths_.insert(path);
    }
    const auto paths = std::exchange(paths_, {});
    co_return Due{{paths.begin(), paths.end()}, std::exchange(looked_through_, false)};
  }

 private:
  const Clock& clock_;
  boost::asio::steady_timer wake_;
  std::set<std::string> paths_;
  bool looked_through_ = false;
};

}  // namespace neptune::sources
