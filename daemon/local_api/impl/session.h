#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "local_api/impl/door.h"

namespace neptune::local_api {

/// Answers one connection's requests until it ends. Takes part in keep-alive and pipelining; nothing of a request is
/// read before the one before it was answered.
boost::asio::awaitable<void> serve(std::unique_ptr<Connection> connection);

}  // namespace neptune::local_api
