#pragma once

#include <cstddef>

namespace neptune::testing {

/// So many changes of so many runs wait: what a start, the status and memory cost then.
bool backlog(std::size_t changes, std::size_t runs);

/// How long `neptune-sync run log` takes.
bool command();

}  // namespace neptune::testing
