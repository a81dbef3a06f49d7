#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "support/clock.h"

/// What keeps one user's bodies of changes from crowding out everybody else's.
namespace neptune::local_api {

/// How much each user may hand in: an allowance that comes back at a steady rate, up to a burst.
class Allowances {
 public:
  Allowances(const Clock& clock, double per_second, double burst);

  /// Takes `cost` while anything is left, even when that is less: then the rest is owed. Else nothing is taken, and the
  /// time until something is there is returned.
  std::optional<std::chrono::milliseconds> take(uid_t uid, double cost);

 private:
  struct Left {
    double amount;
    Instant at;
  };

  void forget_the_rested(Instant now);

  const Clock& clock_;
  double per_second_;
  double burst_;
  std::map<uid_t, Left> users_;
};

/// The bytes of large bodies that are in memory at one time: of all users together, and half of that of each.
class BodyBudget {
 public:
  explicit BodyBudget(std::uint64_t bytes) : bytes_(bytes) {}

  /// What one request has of it; given back at the end.
  class Share {
   public:
    Share(BodyBudget& budget, uid_t uid) : budget_(budget), uid_(uid) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share();

    /// False when there is no room for so many; then it stays as large as it was. All that a body will take is to be
    /// asked for before any of it is read: bodies that grew side by side would keep each other from their ends.
    bool grow_to(std::uint64_t bytes);
    std::uint64_t size() const { return bytes_; }
    /// As large as one may become.
    std::uint64_t most() const { return budget_.bytes_ / 2; }

   private:
    BodyBudget& budget_;
    uid_t uid_;
    std::uint64_t bytes_ = 0;
  };

 private:
  std::uint64_t bytes_;
  std::uint64_t used_ = 0;
  std::map<uid_t, std::uint64_t> users_;
};

}  // namespace neptune::local_api
