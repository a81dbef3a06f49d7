#pragma once

namespace neptune::testing {

/// Changes of every kind are handed in over the socket while the daemon is killed `wanted` times at random moments.
/// Prints how many kills fell into each step; false when something acknowledged is missing or there twice.
bool changes(int wanted);

}  // namespace neptune::testing
