// Directories of the 1.x client: whose they are, and the name they get once their run is registered.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "engine/engine.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"
#include "engine/impl/with_ledger.h"

namespace neptune::engine {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto ask_again = 15s;        // for a container that the server could not be asked for
constexpr auto unknown_again = 10min;  // for one that it does not know
constexpr auto in_use_again = 30s;
constexpr auto rename_again_max = 30min;  // of one that cannot be renamed: somebody must see to it

}  // namespace

void Engine::find_container(const FeedPtr& feed) {
  if (feed->info.server_id.empty()) return;
  feed->opening = true;
  tasks_.spawn("find container", look_for_container(feed));
}

/// What is on record of it: under its path, or, where the daemon was killed right after it had renamed it, under the
/// one before. The server's id in its name tells that from what another tool made of it.
asio::awaitable<Result<std::optional<ContainerName>>> Engine::known_container(FeedPtr feed) {
  const auto key = feed->info.key;
  auto find = [key](Ledger& ledger) { return ledger.container_of(key); };
  auto known = co_await with_ledger(std::move(find));
  if (!known || *known) co_return known;
  auto find_elsewhere = [key](Ledger& ledger) { return ledger.elsewhere(key); };
  const auto elsewhere = co_await with_ledger(std::move(find_elsewhere));
  if (!elsewhere) co_return std::unexpected(elsewhere.error());
  for (const auto& [id, container] : *elsewhere) {
    const auto server = servers_.at(server_of(container.project.workspace)).slot.server;
    if (!server) co_return fail("server_not_known", "there is no token for " + container.project.full(), true);
    const auto on_server = co_await outcome(server->id_of(container));
    if (!on_server && on_server.error().code != "run_not_found")
      co_return fail(on_server.error().code, on_server.error().message, true);
    if (!on_server || *on_server != feed->info.server_id) continue;
    auto move = [id, key](Ledger& ledger) { return ledger.move(id, key); };
    auto moved = co_await with_ledger(std::move(move));
    if (!moved) co_return std::unexpected(std::move(moved.error()));
    spdlog::info("was registered path={:?} container={:?}", key.path, container.label());
    co_return container;
  }
  co_return std::nullopt;
}

/// The ledger knows it when it was taken before, else one of the servers does.
asio::awaitable<void> Engine::look_for_container(FeedPtr feed) {
  const auto key = feed->info.key;
  const auto known = co_await known_container(feed);
  std::optional<ContainerName> container;
  if (known) container = *known;
  std::string unknown = known ? std::string() : known.error().message;
  bool nobody_knows = known.has_value();
  for (core::ServerId id = 0; known && !container && id < servers_.size(); ++id) {
    const auto server = servers_.at(id).slot.server;
    if (!server) {
      unknown = servers_.at(id).slot.problem.message;
      nobody_knows = false;
      continue;
    }
    auto found = co_await outcome(server->container(feed->info.container_kind, feed->info.server_id));
    heard_from(id, failure_of(found));
    if (found) {
      container = *found;
    } else {
      unknown = found.error().message;
      nobody_knows &= found.error().code == "container_not_found";
    }
  }
  feed->opening = false;
  if (feed->gone || feed->info.key != key) co_return;
  feed->client->unknown = container ? std::string() : unknown;
  if (container) {
    feed->info.container = container;
    open_stream(feed);
  } else if (nobody_knows) {
    set_aside(feed, Error{"container_not_found", key.path + ": " + unknown});
  }
  if (!container) {
    alarms_.set({Alarm::Of::retry, key}, clock_.now() + (nobody_knows ? Duration(unknown_again) : Duration(ask_again)));
    rearm();
  }
  pump();
}

bool Engine::wants_rename(const Feed& feed) const {
  if (!client_dirs_ || feed.info.kind != sources::Kind::client_dir || feed.replayed || feed.gone || !feed.source ||
      !feed.info.server_id.empty() || feed.info.read_only || feed.info.state != sources::SourceState::closed)
    return false;
  if (feed.client->rename_not_before && *feed.client->rename_not_before > clock_.now()) return false;
  const bool on_record = feed.stream != 0 && !feed.send && feed.outcomes.empty() && feed.recorded > 0 &&
                         feed.recorded == feed.confirmed && feed.taken_out == feed.recorded;
  if (!on_record) return false;
  const auto wait = core_.stream(feed.stream, clock_.now()).wait;
  if (wait == core::Wait::sending || wait == core::Wait::counting) return false;
  // All of it was sent in an earlier life: the run's id is asked for by registering it again.
  return is_registered(feed) || wait == core::Wait::nothing;
}

/// With nothing on its way, so that whichever tool goes on with the directory knows what is done.
asio::awaitable<void> Engine::rename_registered(FeedPtr feed) {
  feed->client->rename_not_before = clock_.now() + in_use_again;
  const auto key = feed->info.key;
  alarms_.set({Alarm::Of::tend, key}, *feed->client->rename_not_before);
  rearm();
  if (!is_registered(*feed)) {
    const ContainerName run = *feed->info.container;
    const auto server = servers_.at(server_of(run.project.workspace)).slot.server;
    if (!server || !core_.is_open(run.project)) co_return;
    auto open = [this, project = run.project] { return core_.is_open(project); };
    auto made = co_await outcome(server->create_run(run, "", std::move(open)));
    if (!made) co_return;
    feed->client->server_id = std::move(made->id);
  }
  auto pending = [of = Ledger::IntentOf{feed->ledger_id, 0}, first = feed->recorded + 1](Ledger& ledger) {
    return ledger.intent(of, first);
  };
  const auto doubt = co_await with_ledger(std::move(pending));
  if (!doubt || *doubt) co_return;  // what was sent last is in doubt: that is to be known first
  auto renamed = co_await client_dirs_->rename(key, feed->client->server_id);
  if (!renamed) {
    cannot_rename(*feed, std::move(renamed.error()));
    co_return;
  }
  feed->client->not_renamed.clear();
  feed->client->not_renamed_times = 0;
  if (*renamed) {
    const auto now = **renamed;
    auto move = [id = feed->ledger_id, now](Ledger& ledger) { return ledger.move(id, now); };
    const auto moved = co_await with_ledger(std::move(move));
    // Without it the acknowledged version in the directory tells as much.
    if (!moved) spdlog::warn("not recorded path={:?} error={:?}", now.path, moved.error().message);
    spdlog::info("registered path={:?} is now path={:?}", key.path, now.path);
    move_feed(feed, now);
  }
}

/// Told once, and in the status for as long as it lasts.
void Engine::cannot_rename(Feed& feed, Error error) {
  if (feed.client->not_renamed != error.message) {
    spdlog::warn("not renamed path={:?} error={:?}", feed.info.key.path, error.message);
    events_.add("not_renamed", error.message,
                {.scope = Scope::of(feed.info.container->project).text(), .stream = feed.info.container->label()});
  }
  feed.client->not_renamed = std::move(error.message);
  const auto pause =
      std::min<Duration>(in_use_again * (1u << std::min(feed.client->not_renamed_times++, 6u)), rename_again_max);
  feed.client->rename_not_before = clock_.now() + pause;
  alarms_.set({Alarm::Of::tend, feed.info.key}, *feed.client->rename_not_before);
  rearm();
}

void Engine::move_feed(const FeedPtr& feed, sources::SourceKey key) {
  for (const auto of : {Alarm::Of::release, Alarm::Of::tidy, Alarm::Of::retry, Alarm::Of::tend})
    alarms_.cancel({of, feed->info.key});
  const auto before = feeds_.find(feed->info.key);
  if (before != feeds_.end() && before->second == feed) feeds_.erase(before);
  feed->info.key = key;
  feed->info.server_id = feed->client->server_id;
  feed->tidying = false;
  feed->released = false;
  feed->refresh_wanted = true;
  feeds_[key] = feed;
}

}  // namespace neptune::engine
