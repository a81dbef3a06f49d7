#pragma once

#include <optional>
#include <string>

/// Why a scope's writes wait, and what ends that, in sentences that the daemon and its clients share.
namespace neptune::api {

/// "ml-team has been held by jackie for 3 min": `reason` as the daemon tells it, "held by jackie", or none;
/// `as_long`: " for 3 min", or nothing.
std::string hold_in_words(const std::string& name, const std::optional<std::string>& reason,
                          const std::string& as_long);

/// What ends the server's read-only mode of a workspace, or of a project by its full name.
std::string end_of_read_only(const std::string& scope);
/// What ends an operator's hold.
std::string end_of_hold(const std::string& scope);

}  // namespace neptune::api
