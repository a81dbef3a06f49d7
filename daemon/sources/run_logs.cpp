#include "sources/run_logs.h"

#include "sources/impl/run_log_watch.h"

namespace neptune::sources {

class RunLogs::Impl : public RunLogWatch {
 public:
  using RunLogWatch::RunLogWatch;
};

RunLogs::RunLogs(boost::asio::any_io_executor executor, WorkerPool& pool, const Clock& clock, RunLogsOptions options,
                 SourceListener& listener)
    : impl_(std::make_unique<Impl>(executor, pool, clock, std::move(options), listener, file_system_of)) {}

RunLogs::~RunLogs() = default;

boost::asio::awaitable<void> RunLogs::run() {
  return impl_->run();
}

void RunLogs::rescan() {
  impl_->rescan();
}

void RunLogs::follow(std::vector<WatchFolder> folders) {
  impl_->follow(std::move(folders));
}

std::vector<WatchState> RunLogs::folders() const {
  return impl_->folders();
}

boost::asio::awaitable<Result<bool>> RunLogs::remove(SourceKey key, Position confirmed) {
  return impl_->remove(std::move(key), confirmed);
}

boost::asio::awaitable<Result<std::optional<Removal>>> RunLogs::removable(SourceKey key, Position confirmed,
                                                                          Position files_confirmed) {
  return impl_->removable(std::move(key), confirmed, files_confirmed);
}

}  // namespace neptune::sources
