#pragma once

#include <string>

namespace neptune {

/// How people tell this process something, as it was started: by the system's systemd, by a user's, or by hand.
/// Commands in backquotes, fit to stand in a sentence.
std::string reload_command();   ///< reads its configuration anew
std::string restart_command();  ///< ends it and starts it again

/// From now on this process speaks for a daemon that does not run: both are to start that.
void speak_for_a_stopped_daemon();

}  // namespace neptune
