// Rejected changes that are tried again: the ledger is their source.
#include "changes/wire.h"
#include "engine/engine.h"
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

/// One rejected change a batch, oldest first; positions are the ids of the rejections.
class RejectedChanges final : public sources::Source {
 public:
  RejectedChanges(Ledger& ledger, WorkerPool& thread, RunName run)
      : ledger_(ledger), thread_(thread), run_(std::move(run)) {}

  asio::awaitable<Result<sources::Backlog>> backlog(sources::Position after) override {
    auto read = [this, after] { return ledger_.to_retry(run_, after); };
    auto list = co_await thread_.run(std::move(read));
    if (!list) co_return std::unexpected(list.error());
    sources::Backlog backlog;
    for (const auto& rejection : *list) {
      backlog.count++;
      backlog.bytes += rejection.bytes;
      backlog.last = rejection.id;
    }
    if (!list->empty()) {
      backlog.next = list->front().create ? sources::OperationKind::create : sources::OperationKind::update;
      backlog.oldest_at = list->front().at;
    }
    co_return backlog;
  }

  asio::awaitable<Result<std::variant<std::monostate, sources::Batch, sources::Oversized>>> next_batch(
      sources::Position after, sources::BatchLimits) override {
    using Next = std::variant<std::monostate, sources::Batch, sources::Oversized>;
    auto read = [this, after]() -> Result<Next> {
      auto list = ledger_.to_retry(run_, after);
      if (!list) return std::unexpected(list.error());
      if (list->empty()) return Next{};
      const auto& first = list->front();
      auto payload = ledger_.payload(first.id);
      if (!payload) return std::unexpected(payload.error());
      sources::Batch batch;
      batch.kind = first.create ? sources::OperationKind::create : sources::OperationKind::update;
      batch.first = batch.last = first.id;
      batch.count = 1;
      bytes_.clear();
      if (!first.create) wire::append_frame_head(bytes_, payload->size());
      bytes_ += *payload;
      batch.payload_bytes = bytes_.size();
      return Next{batch};
    };
    co_return co_await thread_.run(std::move(read));
  }

  std::unique_ptr<sources::ByteStream> open(const sources::Batch&) override {
    return std::make_unique<WholeOperation>(bytes_);
  }

  asio::awaitable<Result<std::string>> read(sources::Position position) override {
    auto read = [this, position] { return ledger_.payload(position); };
    co_return co_await thread_.run(std::move(read));
  }

  asio::awaitable<Result<bool>> settle(sources::Position) override { co_return true; }
  asio::awaitable<void> release() override { co_return; }

 private:
  Ledger& ledger_;
  WorkerPool& thread_;
  RunName run_;
  std::string bytes_;  // of the batch that was put together last
};

}  // namespace

void Engine::open_replay(const RunName& run) {
  sources::SourceKey key;
  key.path = "rejected changes of " + run.project.full() + "/" + run.run;
  auto& feed = feeds_[key];
  if (!feed) {
    feed = std::make_shared<Feed>();
    feed->replay = true;
    feed->info.key = key;
    feed->info.kind = sources::Kind::change_queue;
    feed->info.state = sources::SourceState::closed;
    feed->info.run = run;
    feed->source = std::make_shared<RejectedChanges>(*ledger_, ledger_thread_, run);
    begin_stream(feed, {});
  }
  // What waited because of the refusal (a run whose create was refused) may go on with it.
  core_.flush(clock_.now());
  feed->refresh_wanted = true;
  tend(feed);
  pump();
}

}  // namespace neptune::engine
