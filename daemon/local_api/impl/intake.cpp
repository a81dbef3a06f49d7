#include "local_api/impl/intake.h"

#include <algorithm>
#include <cmath>

namespace neptune::local_api {

namespace {

constexpr std::size_t remember_at_most = 1024;  // users; those who have rested long enough need not be remembered

double seconds(Instant::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Allowances::Allowances(const Clock& clock, double per_second, double burst)
    : clock_(clock), per_second_(per_second), burst_(burst) {}

std::optional<std::chrono::milliseconds> Allowances::take(uid_t uid, double cost) {
  const auto now = clock_.now();
  if (users_.size() >= remember_at_most) forget_the_rested(now);
  auto& left = users_.try_emplace(uid, Left{burst_, now}).first->second;
  left.amount = std::min(burst_, left.amount + seconds(now - left.at) * per_second_);
  left.at = now;
  if (left.amount < 1) return std::chrono::milliseconds(std::llround(std::ceil((1 - left.amount) / per_second_ * 1e3)));
  left.amount -= cost;
  return std::nullopt;
}

void Allowances::forget_the_rested(Instant now) {
  std::erase_if(users_, [&](const auto& user) {
    return user.second.amount + seconds(now - user.second.at) * per_second_ >= burst_;
  });
}

BodyBudget::Share::~Share() {
  if (bytes_ == 0) return;
  budget_.used_ -= bytes_;
  const auto mine = budget_.users_.find(uid_);
  mine->second -= bytes_;
  if (mine->second == 0) budget_.users_.erase(mine);
}

bool BodyBudget::Share::grow_to(std::uint64_t bytes) {
  if (bytes <= bytes_) return true;
  const auto more = bytes - bytes_;
  const auto mine = budget_.users_.find(uid_);
  const auto used_by_user = mine == budget_.users_.end() ? 0 : mine->second;
  if (budget_.used_ + more > budget_.bytes_ || used_by_user + more > most()) return false;
  budget_.used_ += more;
  budget_.users_[uid_] += more;
  bytes_ = bytes;
  return true;
}

}  // namespace neptune::local_api
