#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "sources/source.h"
#include "support/clock.h"

namespace neptune::sources {

/// What is on record elsewhere of what a change queue gave out.
struct OnRecord {
  std::map<std::string, Position> confirmed{};  ///< of its streams, by what they are called (queue_path)
  Position highest = 0;                         ///< the highest of its numbers of which anything is on record
  struct Another {
    std::uint64_t queue = 0;
    Position highest = 0;
  };
  Another another{};  ///< of all other queues, the one with the highest
};

/// Numbers that were given out, and are of no change in the queue's file: it was damaged, or another one lies in its
/// place. They are given out no more.
struct QueueGap {
  Position first = 0, last = 0;
  std::uint64_t queue = 0;              ///< the one that gave them out
  Position recorded = 0;                ///< of those after it nothing is on record
  std::optional<std::uint64_t> lost{};  ///< so many of its changes waited, and are gone; none: not known
  WallTime at{};                        ///< when that was found
  bool told = false;                    ///< by a daemon that started since

  bool lost_some() const { return lost != 0u; }
};

}  // namespace neptune::sources
