#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace neptune {

/// None: nobody is known by that number. Blocks on the name service.
std::optional<std::string> user_name(uid_t uid);

/// False only when the name service says so. Blocks on it.
bool may_be_user(const std::string& name);

}  // namespace neptune
