#include "sources/run_log/liveness.h"

namespace neptune::sources {

SourceState Liveness::judge(const Sighting& sighting, Instant now) {
  look_again_.reset();
  if (sighting.holders.size() > 1) return leave();
  if (sighting.unseen_holder) return judge_unseen(now);
  unseen_since_.reset();
  const std::int32_t holder = sighting.holders.empty() ? 0 : sighting.holders.front();
  if (!since_ || holder != holder_) {
    since_ = now;
    holder_ = holder;
    // The word on an earlier holder says nothing about this one; but a live log nobody holds is not young again.
    if (holder != 0 || state_ == SourceState::left_to_client) state_ = SourceState::settling_in;
  }
  return state_ = holder != 0 ? judge_one(now) : judge_none(sighting.quiet_for, now);
}

SourceState Liveness::leave() {
  since_.reset();
  return state_ = SourceState::left_to_client;
}

SourceState Liveness::judge_unseen(Instant now) {
  if (!unseen_since_) unseen_since_ = now;
  if (state_ == SourceState::left_to_client || now - *unseen_since_ >= rules_.closed_after) return leave();
  since_.reset();
  look_again_ = *unseen_since_ + rules_.closed_after;
  return state_ = SourceState::settling_in;
}

SourceState Liveness::judge_one(Instant now) {
  if (state_ == SourceState::live || now - *since_ >= rules_.live_after) return SourceState::live;
  look_again_ = *since_ + rules_.live_after;
  return SourceState::settling_in;
}

SourceState Liveness::judge_none(Duration quiet_for, Instant now) {
  if (state_ == SourceState::closed || quiet_for > rules_.quiet || now - *since_ >= rules_.closed_after)
    return SourceState::closed;
  look_again_ = *since_ + rules_.closed_after;
  return state_;
}

}  // namespace neptune::sources
