#pragma once

#include <optional>
#include <string>

#include "changes/impl/fields.h"
#include "changes/names.h"

namespace neptune::changes {

/// A run's create or update, as it is stored: the message's wire bytes, as a run log holds them.
struct RunOperation {
  ContainerName run{};
  std::optional<ContainerName> fork_parent{};
  std::string bytes{};
};

RunOperation read_run_create(Fields& fields, const ChangeFacts& facts);
RunOperation read_run_update(Fields& fields, const ChangeFacts& facts);

}  // namespace neptune::changes
