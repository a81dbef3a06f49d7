// What `neptune-sync doctor` asks the daemon's program while no daemon runs.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <future>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "app/app.h"
#include "app/config_check.h"
#include "app/descriptor_limit.h"
#include "app/servers.h"
#include "app/state_owner.h"
#include "client/lib/json.h"
#include "engine/diagnosis.h"
#include "sources/folder_watch/folder_survey.h"
#include "sources/run_logs.h"
#include "support/disk.h"
#include "support/service.h"
#include "support/users.h"

namespace neptune::app {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using engine::Checks;

namespace {

constexpr auto longest_look = 10s;  // at the disks; as a step to the server

constexpr auto system_file = "/etc/neptune-syncd/config.toml";
constexpr auto system_tokens = "/etc/neptune-syncd";
constexpr auto unit_credentials = "/run/credentials/neptune-syncd.service";

std::string name_of(uid_t uid) {
  return user_name(uid).value_or(fmt::format("the user {}", uid));
}

/// Whoever has no configuration asks about the system's daemon.
Flags those_meant(Flags flags) {
  if (!flags.config && ::geteuid() != 0 && !config::about_default_path().overlooked.empty()) flags.config = system_file;
  return flags;
}

bool is_the_systems(const Flags& flags) {
  return flags.config.value_or(config::default_path()) == fs::path(system_file);
}

/// What the unit sets: its directory, and the file that it has systemd take the token from.
void take_environment_of_the_unit() {
  ::setenv("STATE_DIRECTORY", "/var/lib/neptune-syncd", 0);
  ::setenv("RUNTIME_DIRECTORY", "/run/neptune-syncd", 0);
  std::error_code error;
  if (!fs::exists(fs::path(system_tokens) / "api-token", error)) return;
  ::unsetenv("NEPTUNE_API_TOKEN");  // the caller's, whose daemon this is not
  ::setenv("CREDENTIALS_DIRECTORY", system_tokens, 1);
}

/// Systemd's copies of tokens are gone with the service; where it takes them from is beside the first one.
void name_credentials_of_the_unit(config::Config& config) {
  const auto rename = [](std::string& file) {
    if (fs::path(file).parent_path() == unit_credentials) file = fs::path(system_tokens) / fs::path(file).filename();
  };
  rename(config.server.api_token_file);
  for (auto& workspace : config.workspaces) rename(workspace.api_token_file);
}

/// A file that is there and another's to read: whose, in words. Empty: it is not so.
std::string kept_from_us(const fs::path& file) {
  if (file.empty() || ::access(file.c_str(), R_OK) == 0 || errno != EACCES) return {};
  struct stat info{};
  const auto us = name_of(::geteuid());
  if (::stat(file.c_str(), &info) != 0)
    return fmt::format("the API token file {} cannot be read by {}, who may not look into its directory", file.string(),
                       us);
  return fmt::format("the API token file {} cannot be read by {}: it is for {} (mode {:04o})", file.string(), us,
                     name_of(info.st_uid), info.st_mode & 07777u);
}

/// How the rest is seen of a token that the caller may not read.
std::string ask_as_root(const Flags& flags, bool systems) {
  const auto file = fs::absolute(flags.config.value_or(config::default_path()));
  return fmt::format("`sudo neptune-sync doctor{}` reads it, and goes the way to the server.",
                     systems ? "" : " --config " + file.string());
}

/// On a thread of its own, which is left behind when a disk that is away keeps it.
template <class Look>
auto begin(Look look) {
  std::packaged_task<decltype(look())()> task(std::move(look));
  auto found = task.get_future();
  std::thread(std::move(task)).detach();
  return found;
}

api::Check silent(std::string check, const fs::path& path) {
  return {std::move(check), "fail", fmt::format("{} does not answer within {} s", path.string(), longest_look.count()),
          "See to its disk, or to the machine that has it."};
}

/// A server that the configuration has a token for.
struct Way {
  std::string whose;
  engine::ServerSlot slot;
  api::Check begin;  ///< that it has its token, or why it cannot be gone
};

class Diagnosis {
 public:
  Diagnosis(Flags flags, const std::function<void(const std::string&)>& tell) : flags_(std::move(flags)), tell_(tell) {}

  void run() {
    if (systems_) take_environment_of_the_unit();
    auto config = config::load(flags_.config);
    tell(as_checks(look_at_config(flags_, config, LookAt::the_file)));
    if (!config) return;
    if (systems_) name_credentials_of_the_unit(*config);
    // Systemd reads the service's tokens as root. All else is as the daemon's user finds it.
    if (systems_) read_credentials(*config);
    become_daemons_user(config->state_dir);
    look_at_ca_file(config->server.ca_file);
    find_ways(*config);
    look_around(*config);
    for (auto& way : ways_) tell({way.begin});
    for (auto& way : ways_)
      if (way.slot.server) go(way);
  }

 private:
  void tell(Checks checks) const { tell_(api::to_json(api::Diagnosis{std::move(checks)})); }

  bool is_credential(const fs::path& file) const { return systems_ && file.parent_path() == fs::path(system_tokens); }

  /// Those with a token of their own, and none for all others.
  static std::vector<std::string> owners_of_tokens(const config::Config& config) {
    std::vector<std::string> owners{{}};
    for (const auto& workspace : config.workspaces)
      if (!workspace.api_token_file.empty()) owners.push_back(workspace.name);
    return owners;
  }

  void read_credentials(const config::Config& config) {
    for (const auto& workspace : owners_of_tokens(config))
      if (is_credential(config::token_file(config, workspace)))
        credentials_.emplace(workspace, config::read_token(config, workspace));
  }

  void look_at_ca_file(const std::string& file) const {
    if (auto trouble = trouble_of_ca_file(file, user_); !trouble.empty())
      tell({{"config", "warn", std::move(trouble), {}}});
  }

  void find_ways(const config::Config& config) {
    for (const auto& workspace : owners_of_tokens(config)) ways_.push_back(find_way(config, workspace));
  }

  Way find_way(const config::Config& config, const std::string& workspace) {
    const auto credential = credentials_.find(workspace);
    const auto token = credential != credentials_.end() ? credential->second : config::read_token(config, workspace);
    const auto file = config::token_file(config, workspace);
    Way way{workspace, make_server(loop_.get_executor(), clock_, config, workspace, token), {}};
    const auto check = engine::check_of("token", workspace);
    if (way.slot.server && token)
      way.begin = {check, "ok", found_token(token->origin, way.slot.server->url(), workspace), {}};
    else if (way.slot.is_unusable())
      way.begin = engine::cannot_be_asked(way.slot, workspace);
    else if (auto whose = kept_from_us(file); !whose.empty())
      way.begin = kept_away(check, std::move(whose));
    else
      way.begin = {check, "fail", way.slot.problem.message, way.slot.token_remedy};
    return way;
  }

  api::Check kept_away(const std::string& check, std::string whose) const {
    if (!root_) return {check, "warn", std::move(whose), ask_as_root(flags_, systems_)};
    return {check, "fail", std::move(whose),
            fmt::format("Let it belong to {0}: the daemon runs as {0}, whose state directory that is.",
                        name_of(::geteuid()))};
  }

  void become_daemons_user(const fs::path& state_dir) {
    auto becoming = begin([state_dir] { return act_as_owner_of(state_dir); });
    if (becoming.wait_for(longest_look) != std::future_status::ready) return;  // the look at it says so
    if (const auto acting = becoming.get(); !acting)
      tell({{"state", "warn", acting.error().message, "What follows is as root finds it."}});
    if (root_ && ::geteuid() != 0) user_ = name_of(::geteuid());
  }

  void look_around(const config::Config& config);
  void go(const Way& way);

  Flags flags_;
  const bool root_ = ::geteuid() == 0;  // who asks; root goes on as the daemon's user
  const bool systems_ = is_the_systems(flags_);
  const std::function<void(const std::string&)>& tell_;
  asio::io_context loop_{1};
  SystemClock clock_;
  std::string user_ = "you";                                  // as whom all is found
  std::map<std::string, Result<config::Token>> credentials_;  // of workspaces, or of all others
  std::vector<Way> ways_;
};

Checks look_at_state(const fs::path& dir, std::uint64_t kept_free, const std::string& user) {
  Checks checks;
  std::error_code error;
  const auto near = nearest_there(dir, error);
  struct stat info{};
  const bool there = near == dir && ::stat(dir.c_str(), &info) == 0;
  if (there) engine::check_state_dir(checks, dir);
  if (auto trouble = trouble_of_state_dir(dir, user); !trouble.empty())
    checks.push_back({"state", "warn", std::move(trouble),
                      fmt::format("Start the daemon as {}, or set state_dir to a directory of its user's own.",
                                  there ? name_of(info.st_uid) : std::string("a user who may"))});
  else if (!there)
    checks.push_back({"state", "ok", fmt::format("there is no {} yet; the daemon makes it", dir.string()), {}});
  if (const auto free = free_space(near)) engine::check_room(checks, dir, {*free, kept_free, false});
  return checks;
}

void Diagnosis::look_around(const config::Config& config) {
  const auto until = std::chrono::steady_clock::now() + longest_look;
  const auto interval = std::chrono::duration_cast<std::chrono::seconds>(sources::RunLogsOptions().rescan);
  auto state = begin([dir = config.state_dir, kept = config.queue.min_free_disk, user = user_] {
    return look_at_state(dir, kept, user);
  });
  std::vector<std::future<sources::WatchState>> folders;
  for (const auto& watch : config.watches)
    folders.push_back(begin([path = watch.path, interval] { return sources::look_at(path, interval); }));
  if (state.wait_until(until) == std::future_status::ready)
    tell(state.get());
  else
    tell({silent("state", config.state_dir)});
  Checks limits;
  engine::check_limits(limits, root_ ? "a daemon that root starts here" : "a daemon that you start");
  tell(std::move(limits));
  Checks checks;
  std::vector<api::SourceStatus> found;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    if (folders[i].wait_until(until) == std::future_status::ready)
      found.push_back(engine::view_of(folders[i].get(), true));
    else
      checks.push_back(silent("folder", config.watches[i].path));
  }
  if (!found.empty() || checks.empty()) engine::check_sources(checks, found);
  tell(std::move(checks));
}

void Diagnosis::go(const Way& way) {
  Checks checks;
  asio::co_spawn(loop_, engine::way_to(way.slot),
                 [&checks, &way](const std::exception_ptr& error, const std::vector<server::Step>& steps) {
                   if (error) std::rethrow_exception(error);
                   engine::check_way(checks, steps, way.whose, way.slot.token_remedy);
                   way.slot.server->close();
                 });
  loop_.restart();
  loop_.run();
  tell(std::move(checks));
}

}  // namespace

void diagnose(const Flags& flags, const std::function<void(const std::string&)>& tell) {
  spdlog::set_level(spdlog::level::off);
  speak_for_a_stopped_daemon();
  raise_descriptor_limit();
  Diagnosis(those_meant(flags), tell).run();
}

}  // namespace neptune::app
