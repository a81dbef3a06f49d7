#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

#include "config/config.h"

namespace neptune::config {

/// A directory of its own for each test, and an environment that says nothing.
class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string name = (std::filesystem::temp_directory_path() / "neptune-config-XXXXXX").native();
    directory_ = mkdtemp(name.data());
    for (const auto* variable :
         {"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "NEPTUNE_API_TOKEN", "XDG_CONFIG_HOME",
          "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "HOME", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "MANAGERPID"})
      set(variable, std::nullopt);
    set("HOME", "/home/jackie");
  }

  ~ConfigTest() override {
    for (const auto& [name, value] : saved_) put(name, value);
    std::filesystem::remove_all(directory_);
  }

  void set(const std::string& name, const std::optional<std::string>& value) {
    const char* before = getenv(name.c_str());
    saved_.try_emplace(name, before ? std::optional<std::string>(before) : std::nullopt);
    put(name, value);
  }

  std::filesystem::path write(const std::string& name, const std::string& text) {
    const auto path = directory_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  Result<Config> load_text(const std::string& text) { return load(write("config.toml", text)); }

  /// The message of the refusal, without the path of the directory.
  std::string refusal(const std::string& text) {
    const auto config = load_text(text);
    if (config) return "no error";
    const auto prefix = directory_.native() + "/";
    auto message = config.error().message;
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
    return message;
  }

  std::filesystem::path directory_;

 private:
  static void put(const std::string& name, const std::optional<std::string>& value) {
    if (value)
      setenv(name.c_str(), value->c_str(), 1);
    else
      unsetenv(name.c_str());
  }

  std::map<std::string, std::optional<std::string>> saved_;
};

}  // namespace neptune::config
