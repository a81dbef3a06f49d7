// What `neptune-sync doctor` asks the daemon, which alone can tell: it has the token, the proxy and the permissions.
#include "engine/diagnosis.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>

#include "engine/engine.h"
#include "engine/impl/checks.h"
#include "support/disk.h"

namespace neptune::engine {

namespace asio = boost::asio;

void check_limits(Checks& checks, std::string_view daemon) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) check_files(checks, files.rlim_cur, daemon);
  check_processes(checks, std::ifstream("/proc/locks").good(), std::ifstream("/proc/1/stat").good(), daemon);
}

void check_sources(Checks& checks, const std::vector<api::SourceStatus>& sources) {
  const auto watch = [](const api::SourceStatus& source) { return source.kind == "watch"; };
  if (std::ranges::none_of(sources, watch))
    checks.push_back({"folder", "warn", "no folder is watched", "Add a [[watch]] where your jobs log to."});
  for (const auto& source : sources) check_source(checks, source);
}

asio::awaitable<std::vector<server::Step>> way_to(ServerSlot slot) {
  if (slot.server) co_return co_await slot.server->diagnose();
  co_return std::vector{server::Step{server::Step::At::token, server::Step::State::failed, slot.problem.message}};
}

api::Check cannot_be_asked(const ServerSlot& slot, const std::string& whose) {
  return {check_of("server", whose), "fail", "it cannot be asked: " + slot.problem.message, slot.remedy};
}

std::string check_of(std::string_view what, const std::string& whose) {
  return std::string(what) + (whose.empty() ? "" : " (" + whose + ")");
}

void check_way(Checks& checks, const std::vector<server::Step>& steps, const std::string& whose,
               const std::string& token_remedy) {
  for (const auto& step : steps) check_step(checks, step, whose, token_remedy);
}

api::Diagnosis Engine::diagnose_box() {
  api::Diagnosis diagnosis;
  auto& checks = diagnosis.checks;
  const auto queue = queue_ ? queue_->totals() : sources::ChangeQueue::Totals{};
  check_state_dir(checks, state_dir_.path());
  if (const auto free = free_space(state_dir_.path()))
    check_room(checks, state_dir_.path(), {*free, queue.min_free_disk, disk_full_});
  if (queue_)
    check_queue(checks, queue.bytes, queue.max_bytes);
  else if (queue_problem_.code == "queue_unusable")
    checks.push_back({"queue", "fail", queue_problem_.message,
                      "Stop the daemon, run `neptune-sync queue check --repair`, and start it again."});
  check_limits(checks, "the daemon");
  if (const auto use = inotify_use()) check_inotify(checks, use->first, use->second);
  const auto now = status();
  check_modes(checks, now.workspaces, clock_.wall());
  check_stuck(checks, now.stuck);
  check_sources(checks, now.sources);
  return diagnosis;
}

asio::awaitable<api::Diagnosis> Engine::diagnose_way() {
  api::Diagnosis diagnosis;
  for (std::size_t id = 0; id < servers_.size(); ++id) {
    const auto slot = servers_[id].slot;
    std::string whose;
    for (const auto& [workspace, server] : workspace_servers_)
      if (server == id) whose = workspace;
    if (slot.is_unusable()) {
      diagnosis.checks.push_back(cannot_be_asked(slot, whose));
      continue;
    }
    auto steps = co_await way_to(slot);
    if (std::ranges::none_of(steps, [](const auto& step) { return step.state == server::Step::State::failed; })) {
      // What was told of an earlier failure is over, also where nothing is sent that would show it.
      const auto answering = static_cast<core::ServerId>(id);
      heard_from(answering, nullptr);
      // One that asked for a pause has it.
      if (servers_[id].state != core::ServerChanged::State::busy) core_.server_told({answering}, {}, clock_.now());
      pump();
    }
    if (!servers_[id].settings_problem.empty())
      diagnosis.checks.push_back({check_of("server", whose), "fail",
                                  "what was read last of how to reach it is not used: " + servers_[id].settings_problem,
                                  slot.remedy});
    // After a restart there would be none, however well the one before does.
    if (slot.server && !servers_[id].token_problem.empty())
      steps.push_back({server::Step::At::token, server::Step::State::failed,
                       "the one that was read last is not used: " + servers_[id].token_problem});
    check_way(diagnosis.checks, steps, whose, slot.token_remedy);
  }
  co_return diagnosis;
}

}  // namespace neptune::engine
