#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sources/source.h"
#include "support/clock.h"

namespace neptune::sources {

/// Whether a run log may be taken, from who has it open (docs/protocol.md, "Sharing a log").
///
/// A client that syncs by itself has two processes on a log, but the second appears about half a second after the
/// first; so one holder alone means something only once it was seen for a while. A holder whose pid cannot be told may
/// just have closed it: nothing is taken meanwhile, and it is looked at twice before it counts as the client's. Pure:
/// no files, no clock.
class Liveness {
 public:
  struct Rules {
    Duration live_after;                        ///< one holder, seen twice this far apart: a job without a syncer
    Duration closed_after;                      ///< no holder, seen twice this far apart
    Duration quiet = std::chrono::seconds(10);  ///< no holder and untouched for longer than this: closed at once
  };
  struct Sighting {
    std::vector<std::int32_t> holders;  ///< without ourselves
    bool unseen_holder = false;         ///< somebody whose pid cannot be told has it open
    Duration quiet_for{};               ///< since the last write
  };

  explicit Liveness(Rules rules) : rules_(rules) {}

  /// One of settling_in, live, closed, left_to_client.
  SourceState judge(const Sighting& sighting, Instant now);

  /// When time alone would change the answer.
  std::optional<Instant> look_again() const { return look_again_; }

 private:
  SourceState leave();
  SourceState judge_unseen(Instant now);
  SourceState judge_one(Instant now);
  SourceState judge_none(Duration quiet_for, Instant now);

  Rules rules_;
  SourceState state_ = SourceState::settling_in;
  std::int32_t holder_ = 0;  // the only one, since `since_`; 0 with a `since_`: nobody
  std::optional<Instant> since_;
  std::optional<Instant> unseen_since_;
  std::optional<Instant> look_again_;
};

}  // namespace neptune::sources
