#pragma once

#include <chrono>

namespace neptune::engine {

/// Our own bound on how far the server's search for runs lags behind what was written.
inline constexpr std::chrono::seconds search_lag{10};

}  // namespace neptune::engine
