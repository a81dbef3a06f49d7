#pragma once

#include <string>

#include "client/lib/client.h"

namespace neptune::cli {

/// Whether the daemon has anything of a workspace or project; true, too, where it cannot be asked.
bool knows_scope(const client::Client& client, const std::string& scope);

}  // namespace neptune::cli
