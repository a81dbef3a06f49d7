#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/impl/url.h"
#include "server/server.h"

namespace neptune::server {

struct Header {
  std::string name;
  std::string value;
};

/// One HTTP request, to any origin. The transport adds Host, User-Agent and Content-Length.
struct Request {
  std::string method;  ///< not HEAD or CONNECT
  Url url;
  std::vector<Header> headers;
  Body body;
  std::size_t max_answer_bytes = 1u << 20;  ///< of the answer's body; more is an error

  /// Repeating it may apply it twice: never sent again by the transport once a byte of it went out.
  bool once = false;

  /// Set as soon as `body.next` was called: from then on the request cannot be sent again.
  bool body_begun = false;

  /// Whether bytes of it went out when it was sent last.
  bool sent_any = false;
};

/// An answer with any status, its body whole.
struct Response {
  int status = 0;
  std::vector<Header> headers;
  std::string body;

  /// The first header of that name (any case); empty when there is none.
  std::string_view header(std::string_view name) const;
};

/// A body that is all in memory.
inline Body body_of(std::string bytes) {
  return Body{std::move(bytes), 0, {}};
}

}  // namespace neptune::server
