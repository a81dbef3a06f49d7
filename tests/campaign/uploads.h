#pragma once

#include <cstdint>

namespace neptune::testing {

/// A file of `gib` GiB goes through each object store while the daemon is killed five times on the way. Prints a line
/// each; false when what arrived is another file, more than a chunk a kill was sent twice, or memory was not bounded.
bool uploads(std::uint64_t gib);

/// A run asks for `files` small files while another one logs. Prints a line; false when they are signed in more
/// requests than batches, or the other's metadata takes longer by more than a fifth than alone.
bool beside(int files);

}  // namespace neptune::testing
