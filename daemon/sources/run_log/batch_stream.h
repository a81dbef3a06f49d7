#pragma once

#include <memory>
#include <string>

#include "sources/run_log/log_database.h"
#include "sources/source.h"
#include "support/worker_pool.h"

namespace neptune::sources {

/// The bytes of one batch, about 64 KiB at a time. Holds no transaction between two pieces, so a slow network keeps
/// nobody waiting. Fails with "run_log_changed" when the log does not hold what was planned any more.
class BatchStream final : public ByteStream {
 public:
  BatchStream(WorkerPool& pool, std::shared_ptr<LogDatabase> database, const Batch& batch);
  boost::asio::awaitable<Result<std::string_view>> next() override;

 private:
  struct State {
    std::shared_ptr<LogDatabase> database;
    Batch batch;
    LogDatabase::Cursor cursor;
    std::uint64_t delivered = 0;
    std::string piece;
  };
  static Result<void> read_next(State& state);

  WorkerPool& pool_;
  std::shared_ptr<State> state_;  // shared with the worker, should the stream be dropped during a call
};

}  // namespace neptune::sources
