#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace neptune::engine {

/// Finds those values of an update that a server refuses, which tells only how many of those that it is asked about.
/// The first of them are asked about first, as many as are refused; then halves.
class RefusedSearch {
 public:
  RefusedSearch(std::vector<std::string> values, std::size_t refused)
      : values_(std::move(values)), left_(values_.empty() ? 0 : refused), size_(left_) {}

  /// What is to be asked about next; none: all are known.
  std::optional<std::vector<std::string>> next() {
    if (suspects_ == 1) take(1);
    const auto rest = values_.size() - from_;
    if (rest <= left_) take(rest);
    if (left_ == 0) return std::nullopt;
    size_ = std::clamp<std::size_t>(size_, 1, rest);
    return std::vector(begin(), begin() + static_cast<std::ptrdiff_t>(size_));
  }

  /// How many of these are refused.
  void told(std::size_t refused) {
    if (refused == 0) {
      from_ += size_;
      suspects_ -= std::min(size_, suspects_);
      size_ = ((suspects_ > 0 ? suspects_ : values_.size() - from_) + 1) / 2;
    } else if (refused >= size_) {
      take(size_);
    } else {
      suspects_ = size_;
      size_ = (size_ + 1) / 2;
    }
  }

  const std::vector<std::string>& refused() const { return refused_; }

 private:
  std::vector<std::string>::const_iterator begin() const {
    return values_.begin() + static_cast<std::ptrdiff_t>(from_);
  }
  void take(std::size_t count) {
    refused_.insert(refused_.end(), begin(), begin() + static_cast<std::ptrdiff_t>(count));
    left_ -= std::min(left_, count);
    from_ += count;
    suspects_ = 0;
    size_ = left_;
  }

  std::vector<std::string> values_, refused_;
  std::size_t from_ = 0, left_ = 0, size_ = 0;
  std::size_t suspects_ = 0;  // of the next so many at least one is refused; 0: that is not known
};

}  // namespace neptune::engine
