#pragma once

#include <string>

#include "engine/control.h"

namespace neptune::app {

/// The one thing to know, for `systemctl status`: the gravest that holds, else how much waits, else that all is synced.
std::string status_line(const api::Status& status);

}  // namespace neptune::app
