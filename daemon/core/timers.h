#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "support/clock.h"

namespace neptune::core {

/// One alarm a key, the earliest first.
template <class Key>
class Timers {
 public:
  void set(const Key& key, Instant at) {
    cancel(key);
    at_.emplace(key, at);
    order_.emplace(at, key);
  }

  /// Not later than it is set already.
  void advance(const Key& key, Instant at) {
    if (const auto it = at_.find(key); it == at_.end() || at < it->second) set(key, at);
  }

  void cancel(const Key& key) {
    const auto it = at_.find(key);
    if (it == at_.end()) return;
    order_.erase({it->second, key});
    at_.erase(it);
  }

  std::optional<Instant> next() const { return order_.empty() ? std::nullopt : std::optional(order_.begin()->first); }

  /// Takes out the keys whose time has come.
  std::vector<Key> due(Instant now) {
    std::vector<Key> keys;
    while (!order_.empty() && order_.begin()->first <= now) {
      keys.push_back(order_.begin()->second);
      at_.erase(keys.back());
      order_.erase(order_.begin());
    }
    return keys;
  }

 private:
  std::map<Key, Instant> at_;
  std::set<std::pair<Instant, Key>> order_;
};

}  // namespace neptune::core
