#include "config/impl/defaults.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace neptune::config::impl {
namespace {

/// An absolute path from a variable; the XDG rules say to take a relative one as not set.
std::filesystem::path directory(const char* name) {
  std::filesystem::path path = environment(name);
  return path.is_absolute() ? path : std::filesystem::path();
}

/// The first of systemd's list of directories ("/var/lib/a:/var/lib/b").
std::filesystem::path systemd_directory(const char* name) {
  const std::string list = environment(name);
  std::filesystem::path first = list.substr(0, list.find(':'));
  return first.is_absolute() ? first : std::filesystem::path();
}

std::filesystem::path xdg(const char* name, const char* below_home) {
  if (auto path = directory(name); !path.empty()) return path;
  const auto base = home();
  return base.empty() ? base : base / below_home;
}

std::filesystem::path in_ours(const std::filesystem::path& base, const char* name = "") {
  if (base.empty()) return base;
  return *name ? base / "neptune-syncd" / name : base / "neptune-syncd";
}

}  // namespace

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read at start, before there are threads
  return value ? value : "";
}

std::filesystem::path home() {
  if (auto path = directory("HOME"); !path.empty()) return path;
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  if (getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return {};
  return entry.pw_dir;
}

std::filesystem::path default_file(bool root) {
  return in_ours(root ? "/etc" : xdg("XDG_CONFIG_HOME", ".config"), "config.toml");
}

std::filesystem::path default_state_dir(bool root) {
  if (auto path = systemd_directory("STATE_DIRECTORY"); !path.empty()) return path;
  return in_ours(root ? "/var/lib" : xdg("XDG_STATE_HOME", ".local/state"));
}

std::filesystem::path default_socket(bool root, const std::filesystem::path& state_dir) {
  if (auto path = systemd_directory("RUNTIME_DIRECTORY"); !path.empty()) return path / "api.sock";
  if (auto path = in_ours(root ? "/run" : directory("XDG_RUNTIME_DIR"), "api.sock"); !path.empty()) return path;
  return state_dir / "api.sock";
}

}  // namespace neptune::config::impl
