#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "changes/client_operation.h"
#include "core/types.h"
#include "server/server.h"
#include "sources/source.h"
#include "support/clock.h"

namespace neptune::engine {

/// What became of a call of its own.
struct CallOutcome {
  std::uint64_t count = 0;     ///< of the changes it was given, the first ones, that it carried
  sources::Position last = 0;  ///< the last of them
  Answer<void> answer{};
  std::vector<core::Refusal> refused{};  ///< when it was answered: those that were not stored, or not as a whole
  bool put_back = false;                 ///< it was not carried out to its end, for no fault of anybody's
};

/// What is written down before a call that must not be repeated; of one source, or of one rejected change. `read`: the
/// last that was written of the change at `first`, alone or with others. `write`: on disk when it returns.
struct Intents {
  std::function<boost::asio::awaitable<Result<std::optional<std::string>>>(sources::Position first)> read;
  std::function<boost::asio::awaitable<Result<void>>(sources::Position first, sources::Position last, std::string text)>
      write;
};

/// What a call with attribute operations is made with.
struct AttributeCall {
  std::shared_ptr<server::Server> server;
  Intents intents;
  server::MayBegin may_begin;
  const Clock* clock = nullptr;
  std::chrono::milliseconds patience{};  ///< after a call without an answer, for the server to be done with it
  std::shared_ptr<std::map<sources::Position, Instant>> unclear_since;  ///< calls without an answer, by their first
  std::shared_ptr<std::size_t> most_operations;                         ///< that the server takes, as far as it told
};

/// Hands in attribute changes of one container, or updates of a run, as many of the first ones as a call can carry, and
/// none from the first that goes alone on; the first of them does not.
///
/// Points are not idempotent on the server. Before a call with points, it is written down which changes it carries.
/// Should the call's answer be lost, or the daemon die, the next try carries exactly these again, but for the points
/// that the server holds; what it does not hold is sent again only when the server had `patience` to be done with the
/// first try. All other operations are safe to repeat, as a delete is whose attribute is gone then. So what was refused
/// is refused again, and heard of. What remains: a server that applies a call later than that, and images, which can
/// only be counted.
///
/// Where the server's errors fit operations of several changes, the points that it holds tell which they are not; the
/// others are sent again in halves, so that no change is blamed for another's.
boost::asio::awaitable<CallOutcome> update_attributes(AttributeCall call, std::shared_ptr<sources::Source> source,
                                                      server::Addressed container,
                                                      std::vector<sources::QueuedChange> changes);

/// A change of a 1.x client that is a call of its own: its upload or copy. None where it goes with others.
std::optional<ClientOperation> goes_alone(const sources::QueuedChange& change);

/// Assigns an attribute the value that another one has on the server. Safe to repeat.
boost::asio::awaitable<CallOutcome> copy_attribute(std::shared_ptr<server::Server> server, server::MayBegin may_begin,
                                                   server::Addressed container, sources::Position position,
                                                   ClientCopy copy);

/// Creates a run on a server without ingestion. A fork is refused: such a server has none.
boost::asio::awaitable<CallOutcome> create_run(std::shared_ptr<server::Server> server, server::MayBegin may_begin,
                                               ContainerName run, sources::QueuedChange change);

/// Of a call without an answer, while the server may still be at it: it is looked at again in `rest`.
Failure still_in_doubt(std::chrono::milliseconds rest);

/// A failure that says there is no such container (yet): its changes wait, and none of them is refused.
Failure waiting_for_container(Failure failure);

}  // namespace neptune::engine
