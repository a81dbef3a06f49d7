#pragma once

#include <boost/asio/awaitable.hpp>

#include "local_api/impl/door.h"

namespace neptune::local_api {

/// How a request wants its event stream sent.
struct EventStreamForm {
  unsigned version = 11;  ///< HTTP/1.0 gets the lines bare, and the end of the connection as their end
  bool head = false;
  bool keep_alive = false;
};

/// Answers /v1/events: a line for each event.
///   since=ID   the kept ones after ID first; without it, those from now on (follow=0: all that are kept)
///   follow=0   ends with the newest; else the stream goes on until the daemon drains or the reader leaves
/// An ID from before the daemon was started last is answered with a "gap" and then all that is kept.
/// Nothing is buffered for a slow reader: what it misses shows as a "gap", and when it takes nothing for the write
/// timeout the connection is closed. True when the connection can take another request.
boost::asio::awaitable<bool> stream_events(Connection& connection, Call call, EventStreamForm form);

/// Checks the parameters, so that a wrong one is answered as an error.
std::expected<void, Answer> check_event_parameters(const Call& call);

}  // namespace neptune::local_api
