#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "sources/run_log/log_database.h"
#include "sources/source.h"
#include "support/worker_pool.h"

namespace neptune::sources {

/// A run log as a Source: counts what waits, plans batches, streams them and settles, each piece of it a short call on
/// the worker pool. Concurrency: the loop's executor, and as source.h says.
class RunLog final : public Source {
 public:
  /// Told on the loop that the log cannot be read any more.
  using Damaged = std::function<void(const Error&)>;

  RunLog(WorkerPool& pool, std::shared_ptr<LogDatabase> database, ContainerName run, Damaged damaged);

  boost::asio::awaitable<Result<Backlog>> backlog(Position after) override;
  boost::asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> next_batch(
      Position after, BatchLimits limits) override;
  std::unique_ptr<ByteStream> open(const Batch& batch) override;
  boost::asio::awaitable<Result<std::vector<QueuedChange>>> changes(Position first, Position last) override;
  boost::asio::awaitable<Result<bool>> settle(Position upto) override;
  boost::asio::awaitable<void> release() override;
  std::shared_ptr<Source> files() override;

  const ContainerName& run() const { return run_; }
  LogDatabase& database() { return *database_; }
  const std::shared_ptr<LogDatabase>& shared_database() const { return database_; }
  /// No operation was left when it was last looked at.
  bool seen_empty() const { return seen_empty_; }
  /// What its files were like when it was closed after that.
  const std::optional<LogStamp>& left_as() const { return left_as_; }
  void forget_listener() { damaged_ = nullptr; }

 private:
  // What is known of the operations in (after, last].
  struct Tally {
    Position after = 0, last = 0;
    std::uint64_t count = 0, bytes = 0;
  };

  boost::asio::awaitable<Result<void>> move_tally(Position after);
  boost::asio::awaitable<Result<void>> extend_tally();
  boost::asio::awaitable<Result<Backlog>> describe(Position after);
  boost::asio::awaitable<Result<LogDatabase::Settled>> settle_patiently(Position upto);
  void take_from_tally(const LogDatabase::Settled& settled);
  void note(const Error& error);

  WorkerPool& pool_;
  std::shared_ptr<LogDatabase> database_;
  ContainerName run_;
  Damaged damaged_;
  std::optional<Tally> tally_;
  std::shared_ptr<Source> files_;
  bool seen_empty_ = false;
  std::optional<LogStamp> left_as_;
};

}  // namespace neptune::sources
