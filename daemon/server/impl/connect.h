#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

#include "server/impl/proxy.h"
#include "server/impl/stream.h"
#include "server/impl/tls.h"
#include "server/impl/url.h"

namespace neptune::server {

struct Route {
  Url url;                     ///< whose origin is wanted
  std::optional<Proxy> proxy;  ///< http: just connect to it; https: ask it for a tunnel
  std::shared_ptr<Tls> tls;
  std::chrono::milliseconds limit{60000};  ///< for each step: resolve, each address, tunnel, handshake
};

/// A new connection to the origin of `route.url`, TLS included. Failures are `unreachable`, with a code for each way.
boost::asio::awaitable<Answer<std::unique_ptr<Stream>>> connect(Route route);

}  // namespace neptune::server
