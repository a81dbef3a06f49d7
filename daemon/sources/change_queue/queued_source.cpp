#include "sources/change_queue/queued_source.h"

#include <fmt/format.h>

#include <utility>

namespace neptune::sources {

namespace asio = boost::asio;

namespace {

/// The bytes of one batch, about 64 KiB at a time.
class QueuedBytes final : public ByteStream {
 public:
  QueuedBytes(std::shared_ptr<QueueThread> queue, std::int64_t stream, Batch batch)
      : queue_(std::move(queue)), state_(std::make_shared<State>(State{stream, batch, {}, {}})) {}

  asio::awaitable<Result<std::string_view>> next() override {
    auto work = [queue = queue_.get(), state = state_]() -> Result<void> {
      auto piece = queue->store->read_piece(state->stream, state->batch, state->cursor);
      if (!piece) return std::unexpected(std::move(piece.error()));
      state->piece = std::move(*piece);
      if (state->piece.empty() && state->cursor.operations != state->batch.count)
        return fail("change_gone",
                    fmt::format("changes {} to {} changed while they were read; they are read again",
                                state->batch.first, state->batch.last),
                    true);
      return {};
    };
    const auto queue = queue_;
    auto read = co_await queue->thread.run(std::move(work));
    if (!read) co_return std::unexpected(std::move(read.error()));
    co_return std::string_view(state_->piece);
  }

 private:
  struct State {
    std::int64_t stream;
    Batch batch;
    QueueStore::Cursor cursor;
    std::string piece;
  };
  std::shared_ptr<QueueThread> queue_;
  std::shared_ptr<State> state_;
};

}  // namespace

QueuedSource::QueuedSource(std::shared_ptr<QueueThread> queue, std::int64_t stream, std::function<void()> emptied)
    : queue_(std::move(queue)), stream_(stream), emptied_(std::move(emptied)) {}

asio::awaitable<Result<Backlog>> QueuedSource::backlog(Position after) {
  auto work = [queue = queue_, stream = stream_, after] { return queue->store->backlog(stream, after); };
  co_return co_await queue_->thread.run(std::move(work));
}

asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> QueuedSource::next_batch(Position after,
                                                                                                 BatchLimits limits) {
  auto work = [queue = queue_, stream = stream_, after, limits] { return queue->store->plan(stream, after, limits); };
  co_return co_await queue_->thread.run(std::move(work));
}

std::unique_ptr<ByteStream> QueuedSource::open(const Batch& batch) {
  return std::make_unique<QueuedBytes>(queue_, stream_, batch);
}

asio::awaitable<Result<std::vector<QueuedChange>>> QueuedSource::changes(Position first, Position last) {
  auto work = [queue = queue_, stream = stream_, first, last] { return queue->store->changes(stream, first, last); };
  co_return co_await queue_->thread.run(std::move(work));
}

asio::awaitable<Result<bool>> QueuedSource::settle(Position upto) {
  for (;;) {
    auto work = [queue = queue_, stream = stream_, upto] { return queue->store->settle(stream, upto); };
    auto settled = co_await queue_->thread.run(std::move(work));
    if (!settled && (settled.error().code == "sqlite_full" || settled.error().code == "sqlite_readonly"))
      co_return false;
    if (!settled) co_return std::unexpected(std::move(settled.error()));
    if (settled->more) continue;
    if (settled->left.count == 0 && emptied_) emptied_();
    co_return true;
  }
}

asio::awaitable<void> QueuedSource::release() {
  co_return;
}

}  // namespace neptune::sources
