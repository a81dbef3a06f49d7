#pragma once

#include <filesystem>
#include <string>

/// Where things are when the configuration does not say. All of it follows from the environment and from whether the
/// process is root's; an empty path means that neither tells.
namespace neptune::config::impl {

/// The value of an environment variable; empty when it is not set.
std::string environment(const char* name);

/// $HOME, else the home of the user database.
std::filesystem::path home();

std::filesystem::path default_file(bool root);

/// $STATE_DIRECTORY (set by systemd for StateDirectory=), else /var/lib/neptune-syncd for root, else
/// $XDG_STATE_HOME/neptune-syncd (~/.local/state).
std::filesystem::path default_state_dir(bool root);

/// $RUNTIME_DIRECTORY/api.sock (set by systemd), else /run/neptune-syncd/api.sock for root, else
/// $XDG_RUNTIME_DIR/neptune-syncd/api.sock, else api.sock in the state directory.
std::filesystem::path default_socket(bool root, const std::filesystem::path& state_dir);

}  // namespace neptune::config::impl
