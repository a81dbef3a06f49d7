#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "changes/attributes.h"
#include "changes/impl/values.h"

namespace neptune::changes {

/// What the body of an operation with one point begins with.
inline constexpr std::string_view entry_head = "{\"entries\":[{";

/// One point, alone in its operation so that whether it was stored can be asked for.
AttributeOperation point_operation(std::string path, const std::variant<double, std::string>& value,
                                   std::optional<Step> step, std::int64_t at_ms);

/// "insertStrings" or "removeStrings".
AttributeOperation strings_operation(std::string path, std::string op, const std::vector<std::string>& values);

/// One operation; of a set two, as it is emptied first.
void append_assignment(std::vector<AttributeOperation>& out, const std::string& path, const Value& value);

}  // namespace neptune::changes
