#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "client/lib/types.h"

/// Why a scope's writes wait, and what ends that, in sentences that the daemon and its clients share.
namespace neptune::api {

/// "ml-team has been held by jackie for 3 min". The scope is held by an operator; `name` is what it is called, in full.
std::string hold_in_words(const std::string& name, const ScopeStatus& scope, std::chrono::system_clock::time_point now);
/// " for 3 min"; empty where there is no such time.
std::string for_as_long(const std::optional<std::string>& since, std::chrono::system_clock::time_point now);

/// What ends the server's read-only mode of a workspace, or of a project by its full name.
std::string end_of_read_only(const std::string& scope);
/// What ends an operator's hold.
std::string end_of_hold(const std::string& scope);

}  // namespace neptune::api
