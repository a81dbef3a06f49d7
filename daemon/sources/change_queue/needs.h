#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/names.h"

namespace neptune::sources {

/// What a change waits for, as the queue keeps it: a line a container, the fork's parent marked by a '^', and a line of
/// its own, "!", of one that throws away what is held of that (versions that don't know it pass it over). Names hold no
/// control characters (docs/local-api.md).
struct Needs {
  std::optional<ContainerName> fork_parent{};
  std::vector<ContainerName> after{};
  bool discards = false;
};

std::string write_needs(const Needs& needs);
Needs read_needs(std::string_view text);

}  // namespace neptune::sources
