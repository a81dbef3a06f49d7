#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/names.h"

namespace neptune::sources {

/// What a change waits for, as the queue keeps it: a line a container, the fork's parent marked by a '^'. Names hold no
/// control characters (docs/local-api.md).
struct Needs {
  std::optional<ContainerName> fork_parent;
  std::vector<ContainerName> after;
};

std::string write_needs(const std::optional<ContainerName>& fork_parent, const std::vector<ContainerName>& after);
Needs read_needs(std::string_view text);

}  // namespace neptune::sources
