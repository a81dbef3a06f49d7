#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>

#include "server/impl/http.h"
#include "server/impl/stream.h"

namespace neptune::server {

/// How one request on one connection ended.
struct Exchanged {
  Answer<Response> answer;
  bool reusable = false;  ///< the connection may carry another request
  bool stale = false;     ///< the connection ended before any byte of an answer, as an idle one does that the server
                          ///< closed at that moment
  bool sent_any = false;  ///< bytes of the request went out
};

/// Sends `head` (request line and headers) and the request's body, and reads the answer.
///
/// The answer is read while the request is still being sent: a server that refuses early (413, 403) is heard, and
/// sending stops. The last piece of a streamed body is held back until the body has said that it is the last, so that a
/// body of another length than promised never arrives as a complete request. When nothing moves for `limit` either way
/// the exchange ends; time the body takes to deliver does not count.
/// `stream` and `request` must outlive the call. Throws operation_aborted when cancelled; the stream is closed then.
boost::asio::awaitable<Exchanged> exchange(Stream& stream, Request& request, std::string head,
                                           std::chrono::milliseconds limit);

}  // namespace neptune::server
