#include "app/app.h"

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdlib>
#include <random>
#include <set>

#include "app/descriptor_limit.h"
#include "app/logging.h"
#include "app/servers.h"
#include "app/service_manager.h"
#include "app/status_line.h"
#include "app/watch_folders.h"
#include "client/lib/json.h"
#include "client/lib/types.h"
#include "config/config.h"
#include "engine/engine.h"
#include "local_api/local_api.h"
#include "sources/change_queue/change_queue.h"
#include "sources/change_queue/queue_store.h"
#include "sources/client_dirs.h"
#include "sources/run_logs.h"
#include "support/state_dir.h"
#include "support/try.h"

namespace neptune::app {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto drain_bound = 10s;     // for what is being handed in when the daemon is told to stop
constexpr auto status_interval = 2s;  // people look at it; it costs a walk over the sources
constexpr auto status_refresh = 1min;

engine::RunsBy runs_by(const std::string& word) {
  if (word == "ingestion") return engine::RunsBy::ingestion;
  return word == "leaderboard" ? engine::RunsBy::calls : engine::RunsBy::finding_out;
}

core::GateOptions gate_options(const config::Config& config) {
  return {config.read_only.probe_interval, config.read_only.probe_interval_max, config.read_only.release_ramp};
}

std::map<std::string, std::uint32_t> priorities(const config::Config& config) {
  std::map<std::string, std::uint32_t> turns;
  for (const auto& workspace : config.workspaces) turns[workspace.name] = workspace.priority;
  return turns;
}

std::map<std::string, std::vector<std::string>> allow_users(const config::Config& config) {
  std::map<std::string, std::vector<std::string>> users;
  for (const auto& workspace : config.workspaces) users[workspace.name] = workspace.allow_users;
  return users;
}

engine::UploadOptions upload_options(const config::Config& config) {
  return {config.uploads.max_concurrent, config.uploads.max_bandwidth, config.uploads.chunk_size,
          config.queue.min_free_disk, config.uploads.max_tries};
}

engine::EngineOptions engine_options(const config::Config& config) {
  engine::EngineOptions options;
  options.version = version();
  options.seed = std::random_device{}();
  options.core.max_in_flight = config.server.max_in_flight;
  options.runs = runs_by(config.server.runs);
  options.core.gate = gate_options(config);
  options.priorities = priorities(config);
  options.core.max_files_in_flight = config.uploads.max_concurrent;
  options.uploads = upload_options(config);
  options.doubt_patience = std::min(config.server.request_timeout, options.doubt_patience);
  options.socket = config.socket;
  return options;
}

/// What of a configuration that was read anew takes hold only with a restart: sentences.
std::vector<std::string> needs_restart(const config::Config& now, const config::Config& read) {
  std::vector<std::string> out;
  if (now.state_dir != read.state_dir) out.emplace_back("state_dir");
  if (now.socket != read.socket) out.emplace_back("socket");
  if (now.server.runs != read.server.runs) out.emplace_back("[server] runs");
  const auto own_tokens = [](const config::Config& config) {
    std::set<std::string> names;
    for (const auto& workspace : config.workspaces)
      if (!workspace.api_token_file.empty()) names.insert(workspace.name);
    return names;
  };
  if (own_tokens(now) != own_tokens(read)) out.emplace_back("which [[workspace]] has an api_token_file");
  return out;
}

/// On a full disk with the reserve given back: the engine makes it again when there is room.
Result<std::unique_ptr<engine::Ledger>> open_ledger(StateDir& state_dir) {
  const auto file = state_dir.path() / memory_file;
  auto ledger = engine::Ledger::open(file);
  if (!ledger && ledger.error().code == "disk_full" && state_dir.release_reserve()) ledger = engine::Ledger::open(file);
  return ledger;
}

/// Everything there is, in the order it is built; members go in reverse.
class Daemon {
 public:
  static Result<std::unique_ptr<Daemon>> make(config::Config config) {
    auto state_dir = StateDir::open(config.state_dir);
    if (!state_dir) return std::unexpected(state_dir.error());
    auto ledger = open_ledger(*state_dir);
    if (!ledger) return std::unexpected(ledger.error());
    auto daemon = std::unique_ptr<Daemon>(new Daemon(std::move(config), std::move(*state_dir), std::move(*ledger)));
    if (auto opened = daemon->open_queue(); !opened) return std::unexpected(opened.error());
    if (auto listening = daemon->listen(); !listening) return std::unexpected(listening.error());
    return daemon;
  }

  Result<void> run() {
    Result<void> outcome;
    asio::co_spawn(loop_, live(), [this, &outcome](std::exception_ptr error, Result<void> result) {
      if (error) std::rethrow_exception(error);
      outcome = std::move(result);
      loop_.stop();
    });
    loop_.run();
    return outcome;
  }

 private:
  Daemon(config::Config config, StateDir state_dir, std::unique_ptr<engine::Ledger> ledger)
      : config_(std::move(config)),
        state_dir_(std::move(state_dir)),
        servers_(make_servers()),
        engine_(loop_.get_executor(), clock_, engine_options(config_), state_dir_, std::move(ledger),
                std::move(servers_), workspace_servers_),
        run_logs_(loop_.get_executor(), pool_, clock_, run_logs_options(), engine_),
        client_dirs_(loop_.get_executor(), pool_, clock_, {.folders = run_logs_options().folders}, engine_),
        tasks_(loop_.get_executor()) {}

  std::vector<engine::ServerSlot> make_servers() {
    std::vector<engine::ServerSlot> servers;
    servers.push_back(make_server(loop_.get_executor(), clock_, config_, {}));
    for (const auto& workspace : config_.workspaces) {
      if (workspace.api_token_file.empty()) continue;
      workspace_servers_[workspace.name] = static_cast<core::ServerId>(servers.size());
      servers.push_back(make_server(loop_.get_executor(), clock_, config_, workspace.name));
    }
    for (const auto& slot : servers)
      if (!slot.server)
        spdlog::error("no server code={} error={:?}; changes are kept until it is mended", slot.problem.code,
                      slot.problem.message);
    return servers;
  }

  sources::RunLogsOptions run_logs_options() const {
    sources::RunLogsOptions options;
    options.folders = watch_folders(config_);
    return options;
  }

  Result<void> open_queue() {
    sources::ChangeQueueOptions options;
    options.file = config_.state_dir / queue_file;
    options.max_bytes = config_.queue.max_bytes;
    options.min_free_disk = config_.queue.min_free_disk;
    options.on_record = [this](std::uint64_t queue) { return engine_.on_record(queue); };
    auto queue = sources::ChangeQueue::open(loop_.get_executor(), clock_, std::move(options), engine_);
    if (!queue && queue.error().code == "queue_unusable") {
      // What is in it waits for somebody to mend it; run logs need not wait for that.
      spdlog::error("no change queue error={:?}", queue.error().message);
      engine_.without_queue(queue.error());
      return {};
    }
    if (!queue) return std::unexpected(queue.error());
    change_queue_ = std::move(*queue);
    engine_.follow(*change_queue_);
    return {};
  }

  Result<void> listen() {
    local_api::Options options;
    options.path = config_.socket;
    options.version = version();
    options.allow_users = allow_users(config_);
    if (::sd_listen_fds(0) > 0) options.inherited_fd = SD_LISTEN_FDS_START;
    auto api = local_api::LocalApi::open(loop_.get_executor(), clock_, engine_, std::move(options));
    if (!api) return std::unexpected(api.error());
    local_api_ = std::move(*api);
    return {};
  }

  asio::awaitable<Result<void>> live() {
    // Before anybody can know that we run: a signal that came earlier than this would kill.
    asio::signal_set signals(loop_, SIGTERM, SIGINT, SIGHUP);
    if (auto restored = co_await engine_.restore(); !restored) co_return std::unexpected(restored.error());
    engine_.follow(run_logs_, cleanup_after());
    engine_.follow(client_dirs_);
    co_await engine_.remove_unneeded_copies();
    engine_.start();
    if (change_queue_) change_queue_->announce();
    tasks_.spawn("run logs", run_logs_.run());
    tasks_.spawn("client directories", client_dirs_.run());
    tasks_.spawn("watchdog", feed_watchdog());
    tasks_.spawn("status line", tell_status());
    local_api_->start();
    service_manager_.ready(status_line(engine_.status()));
    spdlog::info("running version={} socket={} state_dir={}", version(), config_.socket.string(),
                 config_.state_dir.string());

    int signal = SIGHUP;
    while ((signal = co_await signals.async_wait(asio::use_awaitable)) == SIGHUP) reload();
    spdlog::info("stopping signal={}", signal);
    service_manager_.stopping();
    co_await engine_.drain(drain_bound);
    co_await local_api_->stop();
    co_await engine_.stop();
    if (change_queue_) co_await change_queue_->stop();
    co_await tasks_.stop();
    spdlog::info("stopped");
    co_return Result<void>{};
  }

  std::map<std::string, std::optional<std::chrono::milliseconds>> cleanup_after() const {
    std::map<std::string, std::optional<std::chrono::milliseconds>> cleanup;
    for (const auto& watch : config_.watches) cleanup[watch.path.string()] = watch.cleanup_after;
    return cleanup;
  }

  /// Reads the configuration and the tokens anew; one that is wrong changes nothing.
  void reload() {
    service_manager_.reloading();
    const auto& file = config_.file;
    if (auto read = config::load(file.empty() ? std::nullopt : std::optional(file)); !read) {
      spdlog::error("not reloaded error={:?}; everything stays as it was", read.error().message);
      engine_.configuration_refused(read.error().message);
    } else {
      for (const auto& warning : read->warnings) spdlog::warn("config warning={:?}", warning);
      for (const auto& key : needs_restart(config_, *read))
        spdlog::warn("config changed key={:?}; that takes hold when the daemon is restarted", key);
      take_up(std::move(*read));
      engine_.configuration_refused({});
      spdlog::info("reloaded watches={} workspaces={}", config_.watches.size(), config_.workspaces.size());
    }
    service_manager_.ready(status_line(engine_.status()));
  }

  /// What is under way goes on with what it began with.
  void take_up(config::Config read) {
    read.file = config_.file;
    read.state_dir = config_.state_dir;
    read.socket = config_.socket;
    read.server.runs = config_.server.runs;
    config_ = std::move(read);
    spdlog::set_level(spdlog::level::from_str(config_.log_level));
    replace_server(0, {});
    for (const auto& [workspace, id] : workspace_servers_) replace_server(id, workspace);
    engine_.set_limits(config_.server.max_in_flight, gate_options(config_), priorities(config_),
                       upload_options(config_));
    engine_.follow(run_logs_, cleanup_after());
    run_logs_.follow(run_logs_options().folders);
    client_dirs_.follow(run_logs_options().folders);
    if (change_queue_) change_queue_->set_limits(config_.queue.max_bytes, config_.queue.min_free_disk);
    local_api_->set_allow_users(allow_users(config_));
  }

  void replace_server(core::ServerId id, const std::string& workspace) {
    auto slot = make_server(loop_.get_executor(), clock_, config_, workspace);
    if (!slot.server)
      spdlog::error("{} not taken up workspace={} code={} error={:?}; the one before stays, where there is one",
                    slot.is_unusable() ? "server" : "token", workspace.empty() ? "*" : workspace, slot.problem.code,
                    slot.problem.message);
    engine_.replace_server(id, std::move(slot));
  }

  /// Only while the store answers: a daemon that can record nothing is to be started anew.
  asio::awaitable<void> feed_watchdog() {
    const auto interval = service_manager_.watchdog();
    if (!interval) co_return;
    asio::steady_timer timer(loop_);
    for (;;) {
      if (const auto answers = co_await engine_.store_answers(); answers) {
        service_manager_.alive();
      } else {
        spdlog::error("the store does not answer error={:?}; if that lasts, the service manager starts the daemon anew",
                      answers.error().message);
      }
      timer.expires_after(*interval / 3);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  /// Where nothing happens nothing is told, but now and then, for what no event tells.
  asio::awaitable<void> tell_status() {
    if (!service_manager_.listens()) co_return;
    engine_.on_change([this] {
      if (!std::exchange(changed_, true)) change_.cancel();
    });
    asio::steady_timer pace(loop_);
    boost::system::error_code woken;
    for (;;) {
      pace.expires_after(status_interval);
      co_await pace.async_wait(asio::use_awaitable);
      if (!changed_) {
        change_.expires_after(status_refresh);
        co_await change_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      }
      changed_ = false;
      service_manager_.status(status_line(engine_.status()));
    }
  }

  ServiceManager service_manager_;
  asio::io_context loop_{1};
  asio::steady_timer change_{loop_};  // of what `status` says
  bool changed_ = true;
  SystemClock clock_;
  config::Config config_;
  StateDir state_dir_;
  WorkerPool pool_{2};
  std::map<std::string, core::ServerId> workspace_servers_;
  std::vector<engine::ServerSlot> servers_;  // the engine's from its construction on
  engine::Engine engine_;
  std::unique_ptr<sources::ChangeQueue> change_queue_;
  sources::RunLogs run_logs_;
  sources::ClientDirs client_dirs_;
  std::unique_ptr<local_api::LocalApi> local_api_;
  TaskGroup tasks_;
};

}  // namespace

std::string version() {
  return NEPTUNE_VERSION;
}

namespace {

/// False also when nobody can tell.
bool is_missing(const std::filesystem::path& file) {
  std::error_code error;
  return !std::filesystem::exists(file, error) && !error;
}

/// What is rejected is kept to be tried again, and with it the copies of files.
Result<std::string> check_rejected(const std::filesystem::path& file) {
  if (is_missing(file)) return fmt::format("There is no {}.\n", file.string());
  const auto ledger = engine::Ledger::open(file);
  if (!ledger) return std::unexpected(ledger.error());
  const auto kept = (*ledger)->rejected();
  if (!kept) return std::unexpected(kept.error());
  if (*kept > 0)
    return fail(
        "unsent",
        fmt::format("{} keeps {} rejected change{}. Start the daemon, and try them again, export or discard them: "
                    "`neptune-sync rejected` lists them.",
                    file.string(), *kept, *kept == 1 ? "" : "s"));
  return fmt::format("{} keeps no rejected changes.\n", file.string());
}

Result<std::string> check_queued(const std::filesystem::path& file) {
  if (is_missing(file)) return fmt::format("There is no {}.\n", file.string());
  const auto queue = sources::QueueStore::open(file);
  if (!queue) return std::unexpected(queue.error());
  if ((*queue)->bytes() > 0)
    return fail("unsent",
                fmt::format("{} holds changes that are not on the server ({} bytes). Start the daemon, and wait "
                            "with `neptune-sync wait` until they are.",
                            file.string(), (*queue)->bytes()));
  return fmt::format("{} holds nothing that is not on the server.\n", file.string());
}

}  // namespace

Result<std::string> check_unsent(const Flags& flags) {
  auto config = config::load(flags.config);
  if (!config) return std::unexpected(config.error());
  const auto rejected = check_rejected(config->state_dir / memory_file);
  const auto queued = check_queued(config->state_dir / queue_file);
  if (rejected && queued) return *rejected + *queued;
  if (rejected || queued) return std::unexpected(rejected ? queued.error() : rejected.error());
  return fail(rejected.error().code, rejected.error().message + " " + queued.error().message);
}

/// Memory that a large request took goes back to the system when it is answered. By default the allocator raises both
/// bounds to what it was once asked for, and keeps up to 64 MiB of freed memory a thread.
void give_back_freed_memory() {
  constexpr int bytes = 1 << 20;
  ::mallopt(M_TRIM_THRESHOLD, bytes);
  ::mallopt(M_MMAP_THRESHOLD, bytes);
}

Result<void> run(const Flags& flags) {
  give_back_freed_memory();
  auto config = config::load(flags.config);
  if (!config) return std::unexpected(config.error());
  set_up_logging(config->log_level);
  spdlog::info("config file={:?}", config->file.empty() ? "none" : config->file.string());
  if (const auto about = config::about_default_path(); !flags.config && !about.overlooked.empty())
    spdlog::warn("config warning={:?}", about.overlooked);
  for (const auto& warning : config->warnings) spdlog::warn("config warning={:?}", warning);
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  auto daemon = Daemon::make(std::move(*config));
  if (!daemon) return std::unexpected(daemon.error());
  return (*daemon)->run();
}

}  // namespace neptune::app
