#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "changes/impl/fields.h"
#include "changes/management.h"

namespace neptune::changes {

/// The refusal of what only a team workspace has.
inline constexpr std::string_view individual_workspace = "individual_workspace";

/// Reads and checks a management change. None for kinds that are no management; `facts` tells a workspace's type.
std::optional<Management> read_management(ChangeKind kind, Fields& fields, const ChangeFacts& facts);

/// The compact JSON that read_management reads back.
std::string management_json(ChangeKind kind, const Management& management);

}  // namespace neptune::changes
