#include "engine/impl/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "client/lib/modes.h"
#include "client/lib/names.h"
#include "support/service.h"
#include "support/sizes.h"

namespace neptune::engine {

namespace {

constexpr std::uint64_t little_room = 1ull << 30;

void add(Checks& checks, std::string what, std::string state, std::string message, std::string remedy = {}) {
  checks.push_back({std::move(what), std::move(state), std::move(message), std::move(remedy)});
}

std::optional<std::uint64_t> number_in(const char* file) {
  std::uint64_t value = 0;
  std::ifstream in(file);
  return in >> value ? std::optional(value) : std::nullopt;
}

/// Other programs of the same user count too.
bool is_near(Used used) {
  return used.now * 10 > used.most * 7;
}

std::string_view name_of(server::Step::At at) {
  using At = server::Step::At;
  switch (at) {
    case At::name:
      return "name";
    case At::connection:
      return "connection";
    case At::certificate_name:
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

std::string_view remedy_for(server::Step::At at, std::string_view token_remedy) {
  using At = server::Step::At;
  switch (at) {
    case At::name:
      return "Check the address that the API token names, and the DNS servers of this machine.";
    case At::connection:
      return "Check the network, the firewall and the proxy ([server] proxy, HTTPS_PROXY), and that the server runs.";
    case At::certificate_name:
      return "Check the address that the API token names; else have the server's certificate issued for it.";
    case At::encryption:
      return "For a certificate of your own authority set [server] ca_file; else have the server's renewed.";
    case At::answer:
      return "Check that the API token names a Neptune server, and ask whoever runs it.";
    case At::clock:
      return "Have it set by NTP (`timedatectl set-ntp true`): times of changes, and tokens, go by it.";
    case At::token:
      break;
  }
  return token_remedy;
}

}  // namespace

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

void check_room(Checks& checks, const std::filesystem::path& dir, const DiskRoom& room) {
  const auto text = fmt::format("{} are free for {}", size_text(room.free), dir.string());
  if (room.full)
    add(checks, "disk", "fail", "the disk of " + dir.string() + " is full",
        "Free some space there; nothing is lost, and syncing goes on by itself.");
  else if (room.free < room.kept_free)
    add(checks, "disk", "fail",
        fmt::format("{}, less than the {} of [queue] min_free_disk: what is handed in is refused", text,
                    size_text(room.kept_free)),
        "Free some space there, or lower min_free_disk and " + reload_command() + ".");
  else if (room.free < little_room)
    add(checks, "disk", "warn", text, "Free some space there, or move state_dir: changes wait in it.");
  else
    add(checks, "disk", "ok", text);
}

void check_queue(Checks& checks, std::uint64_t bytes, std::uint64_t max_bytes) {
  const auto text = fmt::format("{} of at most {} wait in the change queue", size_text(bytes), size_text(max_bytes));
  const auto remedy =
      "See what waits with `neptune-sync streams`, or raise [queue] max_bytes and " + reload_command() + ".";
  if (is_full(bytes, max_bytes))
    add(checks, "queue", "fail", text + ": what is handed in is refused", remedy);
  else if (is_near({bytes, max_bytes}))
    add(checks, "queue", "warn", text, remedy);
  else
    add(checks, "queue", "ok", text);
}

std::optional<std::pair<Used, Used>> inotify_use() {
  const auto watches = number_in("/proc/sys/fs/inotify/max_user_watches");
  const auto instances = number_in("/proc/sys/fs/inotify/max_user_instances");
  if (!watches || !instances) return std::nullopt;
  std::pair<Used, Used> use{{0, *watches}, {0, *instances}};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    if (std::filesystem::read_symlink(entry.path(), error) != "anon_inode:inotify") continue;
    ++use.second.now;
    std::ifstream in("/proc/self/fdinfo" / entry.path().filename());
    for (std::string line; std::getline(in, line);) use.first.now += line.starts_with("inotify ") ? 1 : 0;
  }
  return use;
}

void check_inotify(Checks& checks, Used watches, Used instances) {
  const auto text = fmt::format("{} of {} watches and {} of {} instances are used by the daemon", watches.now,
                                watches.most, instances.now, instances.most);
  const auto raise = [](std::string_view what, std::uint64_t to) {
    return fmt::format("Raise it: `sysctl fs.inotify.{}={}`, and a file in /etc/sysctl.d to keep that.", what, to);
  };
  if (is_near(watches))
    add(checks, "inotify", "warn", text,
        raise("max_user_watches", std::max<std::uint64_t>(1u << 20, watches.most * 2)));
  else if (is_near(instances))
    add(checks, "inotify", "warn", text, raise("max_user_instances", std::max<std::uint64_t>(512, instances.most * 2)));
  else
    add(checks, "inotify", "ok", text);
}

void check_files(Checks& checks, std::uint64_t most_open, std::string_view daemon) {
  constexpr std::uint64_t few = 1024;
  const auto text = fmt::format("{} may have {} files open", daemon, most_open);
  if (most_open < few)
    add(checks, "files", "warn", text,
        "Set LimitNOFILE=65536 in its unit, or raise `ulimit -n` where it is started by hand.");
  else
    add(checks, "files", "ok", text);
}

void check_processes(Checks& checks, bool locks, bool others, std::string_view daemon) {
  if (locks && others)
    add(checks, "processes", "ok", fmt::format("{} sees who has a log open", daemon));
  else
    add(checks, "processes", "fail", fmt::format("{} cannot read {}", daemon, locks ? "/proc/1/stat" : "/proc/locks"),
        "Its unit must not have ProcSubset=pid, ProtectProc=invisible or PrivateUsers=yes, nor /proc hidepid.");
}

void check_stuck(Checks& checks, const std::vector<api::Stuck>& stuck) {
  for (const auto& one : stuck) {
    const bool run = one.is_of_one_run();
    const auto what = run ? fmt::format("run {} of {}", one.container, one.project) : one.project;
    const auto discard = run ? fmt::format("{} --run {}", one.project, one.container) : one.project;
    add(checks, "changes", "warn",
        fmt::format("{} of {} cannot go: {}", number_of(one.changes, "change"), what, one.why),
        fmt::format("Mend that on the server: it is tried again by itself, at once with `neptune-sync flush`. "
                    "`neptune-sync explain {}` tells more; `neptune-sync discard {}` throws away what was handed in.",
                    run ? one.container : one.project, discard));
  }
  if (stuck.empty()) add(checks, "changes", "ok", "no change waits for a project, a run or a right that is not there");
}

namespace {

/// `name`: in full. What a project has of its workspace is told there.
void check_mode(Checks& checks, const api::ScopeStatus& scope, const std::string& name, WallTime now) {
  const bool read_only = scope.own_mode() == "read_only";
  std::string waits;
  if (scope.held > 0) waits = fmt::format("; {} wait{}", number_of(scope.held, "change"), scope.held == 1 ? "s" : "");
  if (read_only)
    add(checks, "mode", "warn",
        fmt::format("{} is read-only on the server{}: {}{}", name, api::for_as_long(scope.since, now),
                    scope.reason.value_or("no reason is given"), waits),
        api::end_of_read_only(name));
  if (scope.operator_hold)
    add(checks, "mode", "warn", api::hold_in_words(name, scope, now) + waits,
        read_only ? fmt::format("`neptune-sync release {}` ends the hold.", name) : api::end_of_hold(name));
}

}  // namespace

void check_modes(Checks& checks, const std::vector<api::WorkspaceStatus>& workspaces, WallTime now) {
  const auto before = checks.size();
  for (const auto& workspace : workspaces) {
    check_mode(checks, workspace, workspace.name, now);
    for (const auto& project : workspace.projects) check_mode(checks, project, api::full_name(workspace, project), now);
  }
  if (checks.size() == before) add(checks, "mode", "ok", "no workspace or project is read-only or held");
}

void check_source(Checks& checks, const api::SourceStatus& source) {
  if (source.kind == "watch" && source.state == "set_aside")
    add(checks, "folder", "warn", source.detail.value_or(source.path + " cannot be read"),
        "Make it where jobs are to log, readable for the daemon's user, or name another path in its [[watch]].");
  else if (source.kind == "watch")
    add(checks, "folder", source.detail ? "warn" : "ok", source.detail.value_or(source.path),
        source.detail ? "Mend that, unless it is meant so." : "");
  else if (source.state == "gone")
    add(checks, "log", "fail", source.detail.value_or(source.path + " was removed before it was synced"),
        fmt::format("Put a copy of it into a watched folder, if there is one; else `neptune-sync discard {} --run {}` "
                    "gives up what was lost.",
                    source.project.value_or("PROJECT"), source.run.value_or("RUN")));
  else if (source.state == "set_aside")
    add(checks, "log", "fail", source.path + ": " + source.detail.value_or("it cannot be read"),
        "Mend that; it is tried again when the file changes, or with `neptune-sync flush`.");
}

void check_step(Checks& checks, const server::Step& step, const std::string& whose, std::string_view token_remedy) {
  using State = server::Step::State;
  const bool fine = step.state == State::fine;
  const auto* state = fine ? "ok" : step.state == State::poor ? "warn" : "fail";
  add(checks, check_of(name_of(step.at), whose), state, step.message,
      fine ? std::string() : std::string(remedy_for(step.at, token_remedy)));
}

}  // namespace neptune::engine
