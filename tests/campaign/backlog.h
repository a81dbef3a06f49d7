#pragma once

#include <cstddef>

namespace neptune::testing {

/// So many changes of so many runs wait: what a start, the status and memory cost then.
bool backlog(std::size_t changes, std::size_t runs);

/// What somebody may hand in of ten times as many projects, or of removals of runs that wait, costs ten times as much.
bool crowd();

/// How long `neptune-sync run log` takes.
bool command();

}  // namespace neptune::testing
