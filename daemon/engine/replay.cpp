// Rejected changes that are tried again: the ledger is their source.
#include <algorithm>

#include "changes/wire.h"
#include "engine/engine.h"
#include "engine/impl/part.h"
#include "engine/impl/upload_batch.h"
#include "engine/impl/with_ledger.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

class WholeOperation final : public sources::ByteStream {
 public:
  explicit WholeOperation(std::string bytes) : bytes_(std::move(bytes)) {}
  asio::awaitable<Result<std::string_view>> next() override {
    co_return std::exchange(done_, true) ? std::string_view() : std::string_view(bytes_);
  }

 private:
  std::string bytes_;
  bool done_ = false;
};

/// One rejected change a batch, in the order in which they were asked for. Positions are counted from 1; `replayed`
/// says which rejection each is, and is shared with the engine, which records what became of them. One that was
/// discarded meanwhile is passed over with the next that is still there.
class RejectedChanges final : public sources::Source {
 public:
  RejectedChanges(Ledger& ledger, WorkerPool& thread, ContainerName container,
                  std::shared_ptr<std::vector<std::int64_t>> replayed)
      : ledger_(ledger), thread_(thread), container_(std::move(container)), replayed_(std::move(replayed)) {}

  asio::awaitable<Result<sources::Backlog>> backlog(sources::Position after) override {
    auto read = [this] { return ledger_.to_retry(container_); };
    auto list = co_await thread_.run(std::move(read));
    if (!list) co_return std::unexpected(list.error());
    // One that was asked for again after it was refused again takes a place anew.
    for (const auto& rejection : *list)
      if (std::find(replayed_->begin() + after, replayed_->end(), rejection.id) == replayed_->end())
        replayed_->push_back(rejection.id);
    sources::Backlog backlog;
    backlog.last = static_cast<sources::Position>(replayed_->size());
    for (auto id = replayed_->begin() + after; id != replayed_->end(); ++id) {
      const auto rejection = std::ranges::find(*list, *id, &Rejection::id);
      if (rejection == list->end()) continue;
      backlog.bytes += rejection->bytes;
      if (backlog.count++ > 0) continue;
      backlog.next = sources::operation_kind(rejection->change);
      const auto& of = rejection->container;
      const bool relieves = of.id == limits_of_project || of.id == unarchiving_of_project;
      backlog.frees_next = of.kind == ContainerKind::removals || (of.kind == ContainerKind::management && relieves);
      backlog.oldest_at = rejection->at;
    }
    co_return backlog;
  }

  asio::awaitable<Result<std::variant<std::monostate, sources::Batch, sources::Oversized>>> next_batch(
      sources::Position after, sources::BatchLimits) override {
    using Next = std::variant<std::monostate, sources::Batch, sources::Oversized>;
    const std::vector<std::int64_t> ids(replayed_->begin() + after, replayed_->end());
    auto read = [this, ids, after]() -> Result<Next> {
      for (std::size_t i = 0; i < ids.size(); ++i) {
        auto rejection = ledger_.rejection(ids[i]);
        if (!rejection && rejection.error().code == "rejection_not_found") continue;
        if (!rejection) return std::unexpected(rejection.error());
        auto payload = ledger_.payload(ids[i]);
        if (!payload) return std::unexpected(payload.error());
        if (const auto values = values_in(rejection->part)) *payload = wire::with_values(*payload, *values);
        sources::Batch batch;
        batch.kind = sources::operation_kind(rejection->change);
        batch.first = after + 1;
        batch.last = after + 1 + static_cast<sources::Position>(i);
        batch.count = 1;
        bytes_.clear();
        if (batch.kind == sources::OperationKind::update) wire::append_frame_head(bytes_, payload->size());
        bytes_ += *payload;
        batch.payload_bytes = bytes_.size();
        return Next{batch};
      }
      return Next{};
    };
    co_return co_await thread_.run(std::move(read));
  }

  std::unique_ptr<sources::ByteStream> open(const sources::Batch&) override {
    return std::make_unique<WholeOperation>(bytes_);
  }

  asio::awaitable<Result<std::vector<sources::QueuedChange>>> changes(sources::Position,
                                                                      sources::Position last) override {
    const auto id = replayed_->at(static_cast<std::size_t>(last - 1));
    auto read = [this, id, last]() -> Result<std::vector<sources::QueuedChange>> {
      auto rejection = ledger_.rejection(id);
      if (!rejection) return std::unexpected(std::move(rejection.error()));
      auto payload = ledger_.payload(id);
      if (!payload) return std::unexpected(std::move(payload.error()));
      sources::QueuedChange change;
      change.position = last;
      change.container = rejection->container;
      change.kind = rejection->change;
      change.uid = rejection->uid;
      change.at = rejection->accepted;
      change.payload = std::move(*payload);
      change.part = std::move(rejection->part);
      if (change.kind == ChangeKind::client_operation) change.directory = std::move(rejection->source);
      return std::vector{std::move(change)};
    };
    co_return co_await thread_.run(std::move(read));
  }

  asio::awaitable<Result<bool>> settle(sources::Position) override { co_return true; }
  asio::awaitable<void> release() override { co_return; }

 private:
  Ledger& ledger_;
  WorkerPool& thread_;
  ContainerName container_;
  std::shared_ptr<std::vector<std::int64_t>> replayed_;
  std::string bytes_;  // of the batch that was put together last
};

}  // namespace

void Engine::open_replay(const ContainerName& container) {
  sources::SourceKey key;
  key.path = "rejected changes of " + container.project.full() + "/" + container.label();
  auto& feed = feeds_[key];
  if (!feed) {
    feed = std::make_shared<Feed>();
    feed->replayed = std::make_shared<std::vector<std::int64_t>>();
    feed->info.key = key;
    feed->info.kind = sources::Kind::change_queue;
    feed->info.state = sources::SourceState::closed;
    feed->info.container = container;
    feed->source = std::make_shared<RejectedChanges>(*ledger_, ledger_thread_, container, feed->replayed);
    begin_stream(feed, {});
  } else if (feed->stream == 0) {
    feed->problem.reset();
    open_stream(feed);
  }
  // What waited because of the refusal (a run whose create was refused) may go on with it.
  core_.flush(clock_.now());
  feed->refresh_wanted = true;
  tend(feed);
  pump();
}

/// The stream that is just sending the file of a rejected upload.
Engine::FeedPtr Engine::uploading_again(std::int64_t rejection) const {
  for (const auto& [id, feed] : streams_) {
    const auto work = feed->replayed && feed->uploading ? feed->uploading->under_way.lock() : nullptr;
    if (work && feed->replayed->at(static_cast<std::size_t>(work->batch.last - 1)) == rejection) return feed;
  }
  return nullptr;
}

}  // namespace neptune::engine
