#include "sources/run_log/batch_stream.h"

#include <fmt/format.h>

#include <utility>

namespace neptune::sources {

namespace asio = boost::asio;

BatchStream::BatchStream(WorkerPool& pool, std::shared_ptr<LogDatabase> database, const Batch& batch)
    : pool_(pool), state_(std::make_shared<State>()) {
  state_->database = std::move(database);
  state_->batch = batch;
}

Result<void> BatchStream::read_next(State& state) {
  state.piece.clear();
  if (auto read = state.database->read_piece(state.batch, state.cursor, state.piece); !read) return read;
  state.delivered += state.piece.size();
  const auto& batch = state.batch;
  const bool ended = state.piece.empty();
  const bool complete = state.delivered == batch.payload_bytes && state.cursor.operations == batch.count;
  if (state.delivered > batch.payload_bytes || (ended && !complete)) {
    state.piece.clear();
    return fail(
        "run_log_changed",
        fmt::format("operations {} to {} of the run log in {} changed while they were read; they are read again",
                    batch.first, batch.last, state.database->paths().directory.string()),
        true);
  }
  return {};
}

asio::awaitable<Result<std::string_view>> BatchStream::next() {
  auto work = [state = state_] { return read_next(*state); };
  auto read = co_await pool_.run(std::move(work));
  if (!read) co_return std::unexpected(std::move(read.error()));
  co_return std::string_view(state_->piece);
}

}  // namespace neptune::sources
