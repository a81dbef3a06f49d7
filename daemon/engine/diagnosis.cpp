// What `neptune-sync doctor` asks the daemon, which alone can tell: it has the token, the proxy and the permissions.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "engine/engine.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t little_room = 1ull << 30;

using Checks = std::vector<api::Check>;

void add(Checks& checks, std::string what, std::string state, std::string message, std::string remedy = {}) {
  checks.push_back({std::move(what), std::move(state), std::move(message), std::move(remedy)});
}

std::optional<std::uint64_t> number_in(const char* file) {
  std::uint64_t value = 0;
  std::ifstream in(file);
  return in >> value ? std::optional(value) : std::nullopt;
}

void check_room(Checks& checks, const std::filesystem::path& dir, bool full) {
  struct statvfs disk{};
  if (::statvfs(dir.c_str(), &disk) != 0) return;
  const auto free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const auto text = fmt::format("{:.1f} GiB are free for {}", static_cast<double>(free) / (1u << 30), dir.string());
  if (full)
    add(checks, "disk", "fail", "the disk of " + dir.string() + " is full",
        "Free some space there; nothing is lost, and syncing goes on by itself.");
  else if (free < little_room)
    add(checks, "disk", "warn", text, "Free some space there, or move state_dir: changes wait in it.");
  else
    add(checks, "disk", "ok", text);
}

void check_state_dir(Checks& checks, const std::filesystem::path& dir) {
  namespace fs = std::filesystem;
  std::error_code error;
  // Others may pass through: the folder that all jobs of a machine log to is often in it.
  const auto open = fs::perms::group_read | fs::perms::group_write | fs::perms::others_read | fs::perms::others_write;
  const auto mode = fs::status(dir, error).permissions();
  if (error) return;
  if ((mode & open) != fs::perms::none)
    add(checks, "state", "warn", fmt::format("{} is open to other users", dir.string()),
        fmt::format("chmod go-rw {}: changes that wait are in it.", dir.string()));
  else
    add(checks, "state", "ok", "only the daemon reads and writes " + dir.string());
}

/// How many inotify watches and instances this process has.
std::pair<std::uint64_t, std::uint64_t> inotify_use() {
  std::uint64_t watches = 0, instances = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo", error)) {
    std::ifstream in(entry.path());
    std::uint64_t own = 0;
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("inotify ")) ++own;
    watches += own;
    instances += own > 0 ? 1 : 0;
  }
  return {watches, instances};
}

void check_inotify(Checks& checks) {
  const auto most = number_in("/proc/sys/fs/inotify/max_user_watches");
  if (!most) return;
  const auto watches = inotify_use().first;
  const auto text = fmt::format("{} of {} inotify watches are used by the daemon", watches, *most);
  // Other programs of the same user count too.
  if (watches * 10 > *most * 7)
    add(checks, "inotify", "warn", text,
        "Raise it: `sysctl fs.inotify.max_user_watches=1048576`, and a file in /etc/sysctl.d to keep that.");
  else
    add(checks, "inotify", "ok", text);
}

void check_files(Checks& checks) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  constexpr rlim_t few = 1024;
  if (limit.rlim_cur < few)
    add(checks, "files", "warn", fmt::format("the daemon may have {} files open", limit.rlim_cur),
        "Set LimitNOFILE=65536 in its unit.");
  else
    add(checks, "files", "ok", fmt::format("the daemon may have {} files open", limit.rlim_cur));
}

/// Who has a log open is told by other users' entries in /proc.
void check_proc(Checks& checks) {
  const bool locks = std::ifstream("/proc/locks").good(), others = std::ifstream("/proc/1/stat").good();
  if (locks && others)
    add(checks, "processes", "ok", "the daemon sees who has a log open");
  else
    add(checks, "processes", "fail", fmt::format("the daemon cannot read {}", locks ? "/proc/1/stat" : "/proc/locks"),
        "Its unit must not have ProcSubset=pid, ProtectProc=invisible or PrivateUsers=yes, nor /proc hidepid.");
}

std::string_view name_of(server::Step::At at) {
  using At = server::Step::At;
  switch (at) {
    case At::name:
      return "name";
    case At::connection:
      return "connection";
    case At::encryption:
      return "encryption";
    case At::answer:
      return "server";
    case At::clock:
      return "clock";
    case At::token:
      break;
  }
  return "token";
}

std::string_view remedy_for(server::Step::At at) {
  using At = server::Step::At;
  switch (at) {
    case At::name:
      return "Check the address that the API token names, and the DNS servers of this machine.";
    case At::connection:
      return "Check the network, the firewall and the proxy ([server] proxy, HTTPS_PROXY), and that the server runs.";
    case At::encryption:
      return "For a certificate of your own authority set [server] ca_file; else have the server's renewed.";
    case At::answer:
      return "Check that the API token names a Neptune server, and ask whoever runs it.";
    case At::clock:
      return "Have it set by NTP (`timedatectl set-ntp true`): times of changes, and tokens, go by it.";
    case At::token:
      break;
  }
  return "Put a valid API token into its file, then `systemctl reload neptune-syncd`.";
}

}  // namespace

asio::awaitable<api::Diagnosis> Engine::diagnose() {
  api::Diagnosis diagnosis;
  auto& checks = diagnosis.checks;
  check_state_dir(checks, state_dir_.path());
  check_room(checks, state_dir_.path(), disk_full_);
  if (queue_problem_.code == "queue_unusable")
    add(checks, "queue", "fail", queue_problem_.message, "Mend the file, or move it away, and start the daemon again.");
  check_files(checks);
  check_inotify(checks);
  check_proc(checks);
  const auto now = status();
  const auto watch = [](const api::SourceStatus& source) { return source.kind == "watch"; };
  if (std::ranges::none_of(now.sources, watch))
    add(checks, "folder", "warn", "no folder is watched", "Add a [[watch]] where your jobs log to.");
  for (const auto& source : now.sources) {
    if (source.kind == "watch")
      add(checks, "folder", source.detail ? "warn" : "ok", source.path + (source.detail ? ": " + *source.detail : ""),
          source.detail ? "Mend that, unless it is meant so." : "");
    else if (source.state == "set_aside")
      add(checks, "log", "fail", source.path + ": " + source.detail.value_or("it cannot be read"),
          "Mend that; it is tried again when the file changes, or with `neptune-sync flush`.");
  }
  for (std::size_t id = 0; id < servers_.size(); ++id) {
    const auto slot = servers_[id].slot;
    std::string whose;
    for (const auto& [workspace, server] : workspace_servers_)
      if (server == id) whose = " (" + workspace + ")";
    if (!slot.server) {
      add(checks, "token" + whose, "fail", slot.problem.message, std::string(remedy_for(server::Step::At::token)));
      continue;
    }
    const auto steps = co_await slot.server->diagnose();
    for (const auto& step : steps) {
      using State = server::Step::State;
      const bool fine = step.state == State::fine;
      add(checks, std::string(name_of(step.at)) + whose,
          fine                        ? "ok"
          : step.state == State::poor ? "warn"
                                      : "fail",
          step.message, fine ? std::string() : std::string(remedy_for(step.at)));
    }
  }
  co_return diagnosis;
}

}  // namespace neptune::engine
