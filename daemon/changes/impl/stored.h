#pragma once

#include <string_view>

#include "changes/change.h"
#include "changes/impl/json.h"
#include "support/error.h"

namespace neptune::changes {

/// A queued change's payload, read back.
struct Stored {
  ChangeKind kind;
  Json json;
};

Result<Stored> read_stored(std::string_view payload);

/// What was checked before it was queued cannot be read back: by another version of the daemon, or from a damaged file.
std::unexpected<Error> unreadable(const Refusal& refusal);

}  // namespace neptune::changes
