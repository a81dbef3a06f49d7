#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <vector>

#include "core/types.h"
#include "server/server.h"
#include "sources/change_queue/change_queue.h"

namespace neptune::engine {

/// What became of a call of its own.
struct CallOutcome {
  std::uint64_t count = 0;     ///< of the changes it was given, the first ones, that it carried
  sources::Position last = 0;  ///< the last of them
  Answer<void> answer{};
  std::vector<core::Refusal> refused{};  ///< when it was answered: those that were not stored, or not as a whole
};

/// Hands in attribute changes of one container, as many of the first ones as a call can carry.
///
/// Points are not idempotent on the server. Before a call with points, it is written down which changes it carries and
/// where each series stands (the intent, in the queue). Should the call's answer be lost, or the daemon die, the next
/// try carries the same changes, and a series that has moved since tells that the call was applied. What remains:
/// somebody else appending to the same series in that moment looks the same; and without a `queue` (rejected changes
/// that are tried again) there is no intent, so that a lost answer can double their points.
boost::asio::awaitable<CallOutcome> update_attributes(server::Server& server, sources::ChangeQueue* queue,
                                                      ContainerName container,
                                                      std::vector<sources::QueuedChange> changes);

}  // namespace neptune::engine
