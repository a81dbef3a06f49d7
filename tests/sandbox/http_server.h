#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include "tests/sandbox/world.h"

namespace neptune::sandbox {

/// Serves one connection, request after request, until either side ends it. `tls` null: plain.
boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls, World& world);

}  // namespace neptune::sandbox
