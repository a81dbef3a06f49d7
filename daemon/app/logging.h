#pragma once

#include <string>

namespace neptune::app {

/// Logs to standard error from now on, from this level up. The journal has the time already, and is told the level in
/// front of each line (sd-daemon(3)), so that `journalctl -p err` finds what an operator must see.
/// Values that come from outside are written with {:?}, quoted and escaped: none can forge another or a line.
void set_up_logging(const std::string& level);

}  // namespace neptune::app
