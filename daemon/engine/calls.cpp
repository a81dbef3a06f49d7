// Changes that are calls of their own: management, and attribute operations of models and projects.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "changes/management.h"
#include "engine/engine.h"
#include "engine/impl/attribute_calls.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"
#include "engine/impl/with_ledger.h"

namespace neptune::engine {

namespace asio = boost::asio;

/// The call of a batch, and what it means for its changes. It may carry fewer of them than the batch holds.
asio::awaitable<void> Engine::make_call(FeedPtr feed, core::StreamId stream, sources::Batch batch) {
  const auto server_id = server_of(feed->info.container->project.workspace);
  CallOutcome done;
  auto changes = co_await changes_of(feed, batch);
  if (!changes) {
    done.answer = std::unexpected(source_failure(changes.error()));
  } else if (!servers_.at(server_id).slot.server) {
    done.answer = no_server<void>(servers_.at(server_id).slot.problem);
  } else if (is_attributes(changes->front().kind)) {
    auto* queue = feed->replayed ? nullptr : queue_;
    done = co_await update_attributes(*servers_.at(server_id).slot.server, queue, *feed->info.container,
                                      std::move(*changes));
  } else {
    done = co_await manage(std::move(changes->front()));
  }
  one_less_being_sent();
  heard_from(server_id, failure_of(done.answer));
  const core::Sent sent{done.count > 0 ? done.last : batch.last, done.count > 0 ? done.count : batch.count,
                        batch.payload_bytes, false};
  const auto label = feed->info.container->label();
  if (done.answer) {
    spdlog::debug("call container=\"{}\" changes={} refused={}", label, sent.count, done.refused.size());
    core_.stored(stream, sent, std::move(done.refused), clock_.now());
  } else {
    spdlog::debug("call failed container=\"{}\" changes={} code={} message=\"{}\"", label, sent.count,
                  done.answer.error().code, done.answer.error().message);
    core_.failed(stream, sent, done.answer.error(), clock_.now());
  }
  pump();
  tend(feed);
}

asio::awaitable<Result<std::vector<sources::QueuedChange>>> Engine::changes_of(FeedPtr feed, sources::Batch batch) {
  if (!feed->replayed) {
    auto changes = co_await outcome(queue_->changes(*feed->info.container, batch));
    if (changes && changes->empty()) co_return fail("change_gone", "the changes are not queued any more", true);
    co_return changes;
  }
  const auto id = feed->replayed->at(static_cast<std::size_t>(batch.last - 1));
  auto read = [id, position = batch.last](Ledger& ledger) -> Result<std::vector<sources::QueuedChange>> {
    auto rejection = ledger.rejection(id);
    if (!rejection) return std::unexpected(std::move(rejection.error()));
    auto payload = ledger.payload(id);
    if (!payload) return std::unexpected(std::move(payload.error()));
    sources::QueuedChange change;
    change.position = position;
    change.container = rejection->container;
    change.kind = rejection->change;
    change.at = rejection->at;
    change.payload = std::move(*payload);
    return std::vector{std::move(change)};
  };
  co_return co_await with_ledger(std::move(read));
}

namespace {

core::Refusal in_doubt(sources::Position position) {
  return {
      position, "in_doubt",
      "its call was made and the answer lost, so that it may have been created: look on the server, then discard it "
      "or try it again"};
}

}  // namespace

asio::awaitable<CallOutcome> Engine::manage(sources::QueuedChange change) {
  CallOutcome done{.count = 1, .last = change.position, .answer = {}, .refused = {}};
  auto management = read_management(change.payload);
  if (!management) {
    done.refused.push_back({change.position, management.error().code, management.error().message});
    co_return done;
  }
  auto& server = servers_.at(server_of(change.container.project.workspace)).slot.server;
  // A version has no name of its own that would tell whether it was made: a person must look.
  const bool once = std::holds_alternative<ModelVersionCreate>(*management) && queue_;
  if (once) {
    auto begun = co_await outcome(queue_->intent(change.position));
    if (begun && *begun) {
      done.refused.push_back(in_doubt(change.position));
      co_return done;
    }
    Result<void> intended;
    if (begun) {
      std::string text = "create";
      intended = co_await outcome(queue_->intend(change.position, std::move(text)));
    } else {
      intended = std::unexpected(std::move(begun.error()));
    }
    if (!intended) {
      done.answer = std::unexpected(source_failure(std::move(intended.error())));
      co_return done;
    }
  }
  auto answer = co_await outcome(server->manage(std::move(*management)));
  if (!answer && once && answer.error().in_doubt) {
    done.refused.push_back(in_doubt(change.position));
  } else if (!answer) {
    done.answer = std::unexpected(std::move(answer.error()));
  }
  co_return done;
}

}  // namespace neptune::engine
