#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>

namespace neptune::server {

/// Leaves the coroutine (operation_aborted) when it was asked to end. An aborted operation alone does not say so: it
/// may have been aborted by its deadline.
boost::asio::awaitable<void> throw_if_cancelled();

/// For sentences.
inline double seconds(std::chrono::milliseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace neptune::server
