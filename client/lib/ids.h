#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <vector>

namespace neptune::client {

/// Ids of changes, each once. Kept as ranges: those of one body follow each other, so that the ids of a file of
/// millions take no more room than those of a short one.
class Ids {
 public:
  Ids() = default;
  Ids(std::initializer_list<std::int64_t> ids) {
    for (const auto id : ids) add(id);
  }
  Ids(const std::vector<std::int64_t>& ids) { add(ids); }

  void add(const std::vector<std::int64_t>& ids) {
    for (const auto id : ids) add(id);
  }

  bool empty() const { return ranges_.empty(); }
  std::uint64_t size() const { return size_; }
  std::int64_t front() const { return ranges_.begin()->first; }
  std::int64_t back() const { return ranges_.rbegin()->second; }
  bool in_a_row() const { return ranges_.size() == 1; }

  /// Takes out all up to this one.
  void drop_through(std::int64_t id) {
    while (!empty() && front() <= id) {
      const auto [first, last] = *ranges_.begin();
      ranges_.erase(ranges_.begin());
      const auto dropped = std::min(last, id);
      size_ -= static_cast<std::uint64_t>(dropped - first) + 1;
      if (dropped < last) ranges_.emplace(dropped + 1, last);
    }
  }

  /// Up to so many of them, in order, from the first to near the last.
  std::vector<std::int64_t> sample(std::uint64_t most) const {
    const auto stride = std::max<std::uint64_t>(1, (size_ + most - 1) / most);
    std::vector<std::int64_t> out;
    std::uint64_t skip = 0;
    for (const auto& [first, last] : ranges_) {
      const auto count = static_cast<std::uint64_t>(last - first) + 1;
      for (; skip < count; skip += stride) out.push_back(first + static_cast<std::int64_t>(skip));
      skip -= count;
    }
    return out;
  }

 private:
  void add(std::int64_t id) {
    auto next = ranges_.upper_bound(id);
    auto last = id;
    if (next != ranges_.begin()) {
      const auto before = std::prev(next);
      if (before->second >= id) return;
      if (before->second == id - 1) {
        id = before->first;
        ranges_.erase(before);
      }
    }
    if (next != ranges_.end() && next->first == last + 1) {
      last = next->second;
      ranges_.erase(next);
    }
    ranges_.insert_or_assign(id, last);
    ++size_;
  }

  std::map<std::int64_t, std::int64_t> ranges_;  // the first of each, and its last; no two touch
  std::uint64_t size_ = 0;
};

}  // namespace neptune::client
