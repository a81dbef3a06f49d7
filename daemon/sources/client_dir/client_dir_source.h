#pragma once

#include <memory>
#include <string>
#include <vector>

#include "changes/names.h"
#include "sources/client_dir/client_log.h"
#include "sources/source.h"
#include "support/worker_pool.h"

namespace neptune::sources {

/// One directory of a 1.x client as a Source. Positions are the client's versions; operations up to the directory's
/// last_ack_version are done, whatever the position asked for, so that a client's own sync and this one can take turns.
/// Every operation is a call; settling acknowledges, as the client does it.
class ClientDirSource final : public Source {
 public:
  /// `read_only`: another user's, never written.
  ClientDirSource(WorkerPool& pool, std::shared_ptr<ClientLog> log, bool read_only)
      : pool_(pool), log_(std::move(log)), read_only_(read_only) {}

  boost::asio::awaitable<Result<Backlog>> backlog(Position after) override;
  boost::asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> next_batch(
      Position after, BatchLimits limits) override;
  std::unique_ptr<ByteStream> open(const Batch& batch) override;
  boost::asio::awaitable<Result<std::vector<QueuedChange>>> changes(Position first, Position last) override;
  boost::asio::awaitable<Result<bool>> settle(Position upto) override;
  boost::asio::awaitable<void> release() override;

  const std::shared_ptr<ClientLog>& log() const { return log_; }

 private:
  WorkerPool& pool_;
  std::shared_ptr<ClientLog> log_;
  bool read_only_;
};

}  // namespace neptune::sources
