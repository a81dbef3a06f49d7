#pragma once

#include <memory>

#include "changes/file_upload.h"
#include "sources/run_log/log_database.h"
#include "sources/source.h"
#include "support/worker_pool.h"

namespace neptune::sources {

/// What is uploaded for a request. A temporary file lies in the log's directory, also after that was moved, and
/// nowhere else is anything deleted; nothing at all where the log may only be read.
FileUpload upload_of(LogDatabase::FileRequest request, const ContainerName& run, const LogDatabase& database);

/// The files that a run log asks to upload, as a Source beside the log's operations: each request is one change of kind
/// run_upload. A settle deletes their rows, and nothing else: a temporary file goes with its upload, before.
/// Concurrency: the loop's executor, and as source.h says; the log's own source may be called meanwhile.
class LogUploads final : public Source {
 public:
  LogUploads(WorkerPool& pool, std::shared_ptr<LogDatabase> database, ContainerName run);

  boost::asio::awaitable<Result<Backlog>> backlog(Position after) override;
  boost::asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> next_batch(
      Position after, BatchLimits limits) override;
  std::unique_ptr<ByteStream> open(const Batch& batch) override;
  boost::asio::awaitable<Result<std::vector<QueuedChange>>> changes(Position first, Position last) override;
  boost::asio::awaitable<Result<bool>> settle(Position upto) override;
  boost::asio::awaitable<void> release() override;

 private:
  WorkerPool& pool_;
  std::shared_ptr<LogDatabase> database_;
  ContainerName run_;
};

}  // namespace neptune::sources
