#pragma once

#include <filesystem>
#include <optional>
#include <string>

/// What the values of config.toml must be.
namespace neptune::config::impl {

/// What is wrong with a value and what to write instead, to be read after the key's name; nothing when it will do.
using Advice = std::optional<std::string>;

Advice check_socket(const std::filesystem::path& path);
Advice check_ca_file(const std::filesystem::path& path);

/// The advice never shows the value: it may hold a password.
Advice check_proxy(const std::string& value);

Advice check_workspace_name(const std::string& value);

/// "workspace/project", or nothing at all.
Advice check_project(const std::string& value);

Advice check_user(const std::string& value);

}  // namespace neptune::config::impl
