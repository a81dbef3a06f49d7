// The core's decisions, carried out; what became of them goes back into the core.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/this_coro.hpp>

#include "changes/limits.h"
#include "changes/wire.h"
#include "engine/engine.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"
#include "engine/impl/with_ledger.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

/// The server's words, to stand within a sentence of ours.
std::string_view without_stop(std::string_view words) {
  return words.ends_with('.') ? words.substr(0, words.size() - 1) : words;
}

const char* told_by(const Answer<WorkspaceStatus>& answer) {
  if (!answer) return "failed";
  return answer->read_only ? "read_only" : "normal";
}

}  // namespace

void Engine::pump() {
  for (auto actions = core_.take_actions(); !actions.empty(); actions = core_.take_actions())
    for (auto& action : actions) std::visit([this](auto& a) { carry_out(std::move(a)); }, action);
  rearm();
  if (changed_) changed_();
}

Engine::FeedPtr Engine::feed_of(core::StreamId stream) const {
  const auto it = streams_.find(stream);
  return it == streams_.end() ? nullptr : it->second;
}

void Engine::heard_from(core::ServerId id, const Failure* failure) {
  auto& server = servers_.at(id);
  using Kind = Failure::Kind;
  if (failure && (failure->kind == Kind::source || failure->kind == Kind::called_off)) return;
  if (!failure || (failure->kind != Kind::unreachable && failure->kind != Kind::token_rejected))
    server.last_success = clock_.wall();
  if (!failure || speaks_of_the_change(*failure)) {
    server.last_error.clear();
  } else if (failure->kind != Kind::read_only) {
    server.last_error = failure->message;
  }
}

core::ServerId Engine::server_of(const std::string& workspace) const {
  const auto it = workspace_servers_.find(workspace);
  return it == workspace_servers_.end() ? 0 : it->second;
}

// Sends

void Engine::carry_out(core::Send send) {
  being_sent_.insert(send.stream);
  const auto feed = feed_of(send.stream);
  if (!feed || !feed->source) {
    no_longer_sent(send.stream);
    core_.failed(send.stream, std::nullopt, source_failure("source_gone", "its source is gone"), clock_.now());
    return;
  }
  feed->send = send;
  feed->taken_up_at = clock_.now();
  tend(feed);
}

namespace {

// A call takes a thousand operations, and each change is one at least; its changes are read at once.
constexpr std::uint64_t call_operations = limits::attribute_operations;
constexpr std::uint64_t call_bytes = 1u << 20;

}  // namespace

/// Finds out what the batch is; the handing in then goes on beside the tending.
asio::awaitable<void> Engine::take_batch(FeedPtr feed, core::Send send) {
  sources::BatchLimits limits{send.max_operations, send.max_bytes};
  const bool by_call = goes_by_call(*feed);
  if (by_call) limits = {std::min(limits.operations, call_operations), std::min(limits.bytes, call_bytes)};
  const auto source = feed->source;
  feed->released = false;
  auto batch = co_await outcome(source->next_batch(send.after, limits));
  if (batch && std::holds_alternative<sources::Batch>(*batch)) {
    const auto& found = std::get<sources::Batch>(*batch);
    if (found.kind == sources::OperationKind::upload) {
      tasks_.spawn("send files", send_files(feed, source, send, found));
    } else if (by_call || found.kind == sources::OperationKind::call) {
      tasks_.spawn("call", make_call(feed, source, send.stream, found));
    } else {
      tasks_.spawn("hand in", hand_in(feed, source, send.stream, found));
    }
    co_return;
  }
  no_longer_sent(send.stream);
  const auto now = clock_.now();
  if (!batch) {
    core_.failed(send.stream, std::nullopt, source_failure(batch.error()), now);
    if (!batch.error().retryable) not_readable(feed, batch.error());
  } else if (const auto* oversized = std::get_if<sources::Oversized>(&*batch)) {
    const auto message = fmt::format(
        "operation {} of {} is {} bytes; a request can carry {}. It cannot reach the server, and what follows it "
        "waits, so that nothing is lost or reordered.",
        oversized->position, feed->info.key.path, oversized->bytes, limits::request_bytes);
    core_.failed(send.stream, std::nullopt, source_failure("operation_too_large", message), now);
    set_aside(feed, Error{"operation_too_large", message});
  } else {
    core_.nothing_to_send(send.stream, now);
    feed->refresh_wanted = true;
  }
  pump();
}

namespace {

asio::awaitable<Result<std::string>> read_all(std::shared_ptr<sources::ByteStream> stream) {
  std::string bytes;
  for (;;) {
    auto piece = co_await stream->next();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) co_return bytes;
    bytes.append(*piece);
  }
}

}  // namespace

namespace {

/// Keeps what kept a body from being read.
asio::awaitable<Result<std::string_view>> next_of(std::shared_ptr<sources::ByteStream> bytes,
                                                  std::shared_ptr<std::optional<Error>> problem) {
  auto piece = co_await bytes->next();
  if (!piece) *problem = piece.error();
  co_return piece;
}

}  // namespace

asio::awaitable<void> Engine::hand_in(FeedPtr feed, std::shared_ptr<sources::Source> source, core::StreamId stream,
                                      sources::Batch batch) {
  const ContainerName run = *feed->info.container;
  std::shared_ptr<sources::ByteStream> bytes = source->open(batch);
  const core::Sent sent{batch.last, batch.count, batch.payload_bytes, batch.kind == sources::OperationKind::create};
  const auto server_id = server_of(run.project.workspace);
  server::Body body;
  body.may_begin = may_begin(stream);
  Answer<std::string> answer;
  const auto problem = std::make_shared<std::optional<Error>>();
  auto& slot = servers_.at(server_id).slot;
  if (!slot.server) {
    answer = no_server<std::string>(slot.problem);
  } else if (batch.kind == sources::OperationKind::create) {
    auto create = co_await outcome(read_all(bytes));
    if (create) {
      note_create(*feed, batch.last);
      body.head = wire::create_request(run, *create);
      answer = co_await outcome(slot.server->submit(std::move(body)));
    } else {
      *problem = create.error();
      answer = std::unexpected(source_failure(create.error()));
    }
  } else {
    body.head = wire::update_head(run, batch.payload_bytes);
    body.stream_bytes = batch.payload_bytes;
    body.next = [bytes, problem] { return next_of(bytes, problem); };
    answer = co_await outcome(slot.server->submit(std::move(body)));
  }
  if (!answer) {
    const bool by_call = co_await lacks_ingestion(server_id, answer.error());
    if (by_call)
      answer = std::unexpected(
          Failure{Failure::Kind::busy, "no_ingestion", "it goes as attributes instead", std::chrono::milliseconds(0)});
  }
  no_longer_sent(stream);
  heard_from(server_id, failure_of(answer));
  if (answer) {
    spdlog::debug("handed in run={:?} operations={} bytes={} request={}", run.id, batch.count, batch.payload_bytes,
                  *answer);
    metrics_.sent_bytes[run.project] += batch.payload_bytes;
    core_.sent(stream, sent, *answer, clock_.now());
  } else {
    spdlog::debug("not handed in run={:?} operations={} code={} message={:?}", run.id, batch.count, answer.error().code,
                  answer.error().message);
    core_.failed(stream, sent, answer.error(), clock_.now());
    // The server answered what it got of the body, if anything: that it cannot be read is what matters.
    if (*problem && !(*problem)->retryable) not_readable(feed, std::move(**problem));
  }
  pump();
  tend(feed);
}

void Engine::carry_out(core::StepAside aside) {
  const auto feed = feed_of(aside.stream);
  if (!feed) return;
  feed->aside = aside;
  tend(feed);
}

void Engine::carry_out(core::MakeWay way) {
  tasks_.spawn("make way", make_way_for(way));
}

void Engine::carry_out(core::LetCreatePass pass) {
  const auto feed = feed_of(pass.stream);
  if (!feed) return;
  feed->create_passes = true;
  tend(feed);
}

// Checks and status calls

void Engine::carry_out(core::Check action) {
  tasks_.spawn("check", check(std::move(action)));
}

asio::awaitable<void> Engine::check(core::Check check) {
  auto& slot = servers_.at(check.server).slot;
  Answer<std::vector<RequestStatus>> answer;
  if (slot.server) {
    answer = co_await outcome(slot.server->check(check.project, check.ids));
  } else {
    answer = no_server<std::vector<RequestStatus>>(slot.problem);
  }
  heard_from(check.server, failure_of(answer));
  if (answer && answer->size() != check.ids.size())
    answer = std::unexpected(Failure{
        Failure::Kind::server_error, "invalid_answer",
        fmt::format("the server was asked for {} requests and answered for {}", check.ids.size(), answer->size()),
        std::nullopt, false});
  if (answer) {
    for (std::size_t i = 0; i < answer->size(); ++i)
      (*answer)[i] = with_particulars(check.streams[i], check.ids[i], std::move((*answer)[i]));
    core_.checked(check, *answer, clock_.now());
  } else {
    core_.check_failed(check, answer.error(), clock_.now());
  }
  pump();
}

void Engine::carry_out(core::AskStatus ask) {
  tasks_.spawn("status call", ask_status(std::move(ask)));
}

asio::awaitable<void> Engine::ask_status(core::AskStatus ask) {
  auto& slot = servers_.at(ask.server).slot;
  Answer<WorkspaceStatus> answer;
  if (slot.server) {
    answer = co_await outcome(slot.server->workspace_status(ask.workspace));
  } else {
    answer = no_server<WorkspaceStatus>(slot.problem);
  }
  heard_from(ask.server, failure_of(answer));
  metrics_.probes[{Scope::of(ask.workspace), told_by(answer)}]++;
  if (answer) workspace_status_[ask.workspace] = *answer;
  core_.status_told(ask, answer, clock_.now());
  pump();
}

void Engine::carry_out(core::AskServer ask) {
  tasks_.spawn("ask server", ask_server(ask));
}

asio::awaitable<void> Engine::ask_server(core::AskServer ask) {
  auto& slot = servers_.at(ask.server).slot;
  auto answer = no_server<void>(slot.problem);
  if (slot.server) answer = co_await outcome(slot.server->answers());
  heard_from(ask.server, failure_of(answer));
  core_.server_told(ask, answer, clock_.now());
  pump();
}

// Settling

void Engine::carry_out(core::Settle settle) {
  const auto feed = feed_of(settle.stream);
  if (!feed) return;
  feed->confirmed = settle.upto;
  if (settle.create && feed->info.container->kind == ContainerKind::run)
    search_lag_.created(*feed->info.container, clock_.now());
  if (const auto since = std::exchange(feed->taken_up_at, std::nullopt))
    metrics_.confirm_seconds[feed->info.container->project].observe(
        std::chrono::duration<double>(clock_.now() - *since).count());
  feed->outcomes.emplace_back(settle);
  tend(feed);
}

void Engine::carry_out(core::Reject reject) {
  const auto feed = feed_of(reject.stream);
  if (!feed) return;
  feed->confirmed = reject.position;
  feed->outcomes.emplace_back(std::move(reject));
  tend(feed);
}

// What changed

void Engine::carry_out(core::ModeChanged changed) {
  auto& mode = modes_[changed.scope];
  mode.scope = changed.scope;
  mode.read_only = changed.mode == core::Mode::read_only;
  mode.reason = changed.words;
  mode.since = clock_.wall();
  const auto name = changed.scope.text();
  if (mode.read_only) {
    spdlog::info("mode scope={:?} mode=read_only reason={:?}", name, changed.reason);
    events_.add(
        "mode_changed",
        fmt::format("{} is read-only: {}. Its writes are held; the rest goes on.", name, without_stop(changed.reason)),
        {.scope = name});
  } else {
    spdlog::info("mode scope={:?} mode=normal", name);
    const auto what = core_.tally(changed.scope).changes() > 0 ? "; its held writes follow" : "";
    events_.add("mode_changed", name + " can be written again" + what, {.scope = name});
  }
  tasks_.spawn("keep mode", keep_mode(changed.scope));
}

/// As it is when this runs: an operator's hold may have come meanwhile.
asio::awaitable<void> Engine::keep_mode(Scope scope) {
  const auto mode = modes_[scope];
  auto keep = [mode](Ledger& ledger) { return ledger.keep(mode); };
  auto kept = co_await with_ledger(std::move(keep));
  if (!kept)
    spdlog::error("mode not kept scope={:?} error={:?}; after a restart it is learned from the server again",
                  mode.scope.text(), kept.error().message);
}

void Engine::carry_out(core::ServerChanged changed) {
  auto& server = servers_.at(changed.server);
  server.state = changed.state;
  const auto url = server.slot.server ? server.slot.server->url() : std::string("the server");
  using Reached = core::ServerChanged::State;
  switch (changed.state) {
    case Reached::up:
      spdlog::info("server up url={}", url);
      events_.add("server_reachable", url + " answers again");
      break;
    case Reached::down:
      spdlog::warn("server down url={} error={:?}", url, changed.message);
      events_.add("server_unreachable", changed.message);
      break;
    case Reached::busy:
      spdlog::warn("server busy url={} error={:?}", url, changed.message);
      events_.add("server_busy", changed.message);
      break;
    case Reached::token_rejected:
      if (server.slot.is_unusable()) {
        spdlog::error("server cannot be asked error={:?}", changed.message);
        events_.add("server_unreachable", changed.message);
        break;
      }
      if (server.slot.lacks_token())
        spdlog::error("no API token error={:?}", changed.message);
      else
        spdlog::error("token rejected url={} error={:?}", url, changed.message);
      events_.add("token_rejected", changed.message);
      break;
  }
}

}  // namespace neptune::engine
