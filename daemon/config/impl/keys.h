#pragma once

#include <span>
#include <string>
#include <string_view>

/// The names that config.toml may hold.
namespace neptune::config::impl {

/// Every key by its full name: "state_dir", "server.ca_file", "workspace.name", ...
std::span<const std::string_view> known_keys();

bool is_known(std::string_view full_name);

/// The known key that `full_name` was most likely meant to be: the same name in another table, else the closest
/// spelling. Empty when nothing comes near.
std::string_view closest(std::string_view full_name);

}  // namespace neptune::config::impl
