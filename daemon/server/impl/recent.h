#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace neptune::server {

/// What was learned by name, bounded: the name that was not asked for the longest goes first.
template <class T>
class Recent {
 public:
  explicit Recent(std::size_t most) : most_(most) {}

  /// Valid until the next change; null when it is not known.
  const T* find(const std::string& name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }

  void put(const std::string& name, T value) {
    forget(name);
    entries_.emplace_front(name, std::move(value));
    by_name_[name] = entries_.begin();
    if (entries_.size() <= most_) return;
    by_name_.erase(entries_.back().first);
    entries_.pop_back();
  }

  void forget(const std::string& name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return;
    entries_.erase(found->second);
    by_name_.erase(found);
  }

  template <class Predicate>
  void forget_if(const Predicate& named) {
    for (auto it = entries_.begin(); it != entries_.end();) {
      if (!named(it->first)) {
        ++it;
        continue;
      }
      by_name_.erase(it->first);
      it = entries_.erase(it);
    }
  }

  std::size_t size() const { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<std::string, T>>;
  std::size_t most_;
  Entries entries_;  // the one asked for last comes first
  std::unordered_map<std::string, typename Entries::iterator> by_name_;
};

}  // namespace neptune::server
