#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/lib/client.h"

namespace neptune::client {

namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// An XDG directory: the variable's, else the one below the home directory; empty without both.
fs::path xdg(const char* variable, const char* below_home) {
  if (const auto named = environment(variable); !named.empty()) return named;
  const auto home = environment("HOME");
  return home.empty() ? fs::path() : fs::path(home) / below_home;
}

fs::path runtime_directory() {
  const auto named = environment("XDG_RUNTIME_DIR");
  return named.empty() ? "/run/user/" + std::to_string(::getuid()) : named;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r";
  const auto begin = text.find_first_not_of(space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

/// The path in `line` when that is `key = "path"`.
std::optional<fs::path> path_in(std::string_view line, std::string_view key) {
  if (!line.starts_with(key)) return std::nullopt;
  line = trimmed(line.substr(key.size()));
  if (!line.starts_with('=')) return std::nullopt;
  line = trimmed(line.substr(1));
  if (line.empty() || (line.front() != '"' && line.front() != '\'')) return std::nullopt;
  const auto end = line.find(line.front(), 1);
  if (end == std::string_view::npos) return std::nullopt;
  const auto value = line.substr(1, end - 1);
  if (value.find('\\') != std::string_view::npos) return std::nullopt;  // an escape: no path that is usual
  if (value.starts_with("~/")) return fs::path(environment("HOME")) / value.substr(2);
  return fs::path(value);
}

/// Where a configuration puts the daemon's socket. Of all of TOML only a plain line before the first table is read:
/// every start of the command would pay for more.
std::optional<fs::path> configured_in(const fs::path& directory) {
  std::ifstream in(directory / "config.toml");
  std::optional<fs::path> state;
  for (std::string text; std::getline(in, text);) {
    const auto line = trimmed(text);
    if (line.starts_with('[')) break;
    if (auto path = path_in(line, "socket")) return path;
    if (const auto path = path_in(line, "state_dir")) state = *path / "api.sock";
  }
  return state;
}

const fs::path ours = "neptune-syncd", system_socket = "/run/neptune-syncd/api.sock";

/// Where the daemon puts it by default (daemon/config), in the order in which it is looked for.
std::vector<fs::path> usual_places() {
  return {system_socket, runtime_directory() / ours / "api.sock",
          xdg("XDG_STATE_HOME", ".local/state") / ours / "api.sock"};
}

std::vector<fs::path> configuration_directories() {
  return {"/etc", xdg("XDG_CONFIG_HOME", ".config")};
}

/// One and the same, by whichever name.
bool are_same(const fs::path& one, const fs::path& other) {
  struct stat first{}, second{};
  return ::stat(one.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

/// A socket that nobody listens at any more is left behind by a daemon that was killed.
bool is_listening(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto text = path.string();
  if (text.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, text.c_str(), text.size());
  const int dialled = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (dialled < 0) return false;
  const int status = ::connect(dialled, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool busy = status != 0 && errno == EAGAIN;
  ::close(dialled);
  return status == 0 || busy;
}

}  // namespace

std::string default_socket() {
  if (auto named = environment("NEPTUNE_SYNC_SOCKET"); !named.empty()) return named;
  std::error_code ignored;
  for (const auto& path : usual_places())
    if (fs::exists(path, ignored)) return path;
  // Else where a configuration puts it.
  std::optional<fs::path> named;
  for (const auto& directory : configuration_directories()) {
    const auto path = configured_in(directory / ours);
    if (path && fs::exists(*path, ignored)) return *path;
    if (path) named = path;
  }
  if (named) return *named;
  // Else where a daemon of the user's own would have it, if there is to be one.
  const bool own = ::getuid() != 0 && fs::exists(xdg("XDG_CONFIG_HOME", ".config") / ours / "config.toml", ignored);
  return own ? own_socket() : system_socket.string();
}

std::string passed_over() {
  if (!environment("NEPTUNE_SYNC_SOCKET").empty()) return {};
  const fs::path chosen = default_socket();
  auto places = usual_places();
  for (const auto& directory : configuration_directories())
    if (const auto path = configured_in(directory / ours)) places.push_back(*path);
  for (const auto& path : places)
    if (!are_same(path, chosen) && is_listening(path)) return path;
  return {};
}

std::string own_socket() {
  const auto runtime = runtime_directory();
  std::error_code ignored;
  const auto in = fs::exists(runtime, ignored) ? runtime : xdg("XDG_STATE_HOME", ".local/state");
  return in / "neptune-syncd" / "api.sock";
}

}  // namespace neptune::client
