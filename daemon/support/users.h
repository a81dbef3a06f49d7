#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace neptune {

/// None: nobody is known by that number. Blocks on the name service.
std::optional<std::string> user_name(uid_t uid);

/// The groups it is in, its own among them; none where nobody is known by that number. Blocks on the name service.
std::vector<gid_t> groups_of(uid_t uid);

/// False only when the name service says so. Blocks on it.
bool may_be_user(const std::string& name);

}  // namespace neptune
