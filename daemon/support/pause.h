#pragma once

#include <boost/asio/awaitable.hpp>

#include "support/clock.h"

namespace neptune {

/// Goes on after `duration`; throws boost::system::system_error when it is cancelled meanwhile.
boost::asio::awaitable<void> pause(Duration duration);

}  // namespace neptune
