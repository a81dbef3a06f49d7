#include "sources/client_dirs.h"

#include "sources/impl/client_dir_watch.h"

namespace neptune::sources {

class ClientDirs::Impl : public ClientDirWatch {
 public:
  using ClientDirWatch::ClientDirWatch;
};

ClientDirs::ClientDirs(boost::asio::any_io_executor executor, WorkerPool& pool, const Clock& clock,
                       ClientDirsOptions options, SourceListener& listener)
    : impl_(std::make_unique<Impl>(executor, pool, clock, std::move(options), listener)) {}

ClientDirs::~ClientDirs() = default;

boost::asio::awaitable<void> ClientDirs::run() {
  return impl_->run();
}

void ClientDirs::rescan() {
  impl_->rescan();
}

void ClientDirs::follow(std::vector<WatchFolder> folders) {
  impl_->follow(std::move(folders));
}

std::vector<WatchState> ClientDirs::folders() const {
  return impl_->folders();
}

boost::asio::awaitable<Result<std::optional<SourceKey>>> ClientDirs::rename(SourceKey key, std::string server_id) {
  return impl_->rename(std::move(key), std::move(server_id));
}

boost::asio::awaitable<Result<bool>> ClientDirs::remove(SourceKey key, Position confirmed) {
  return impl_->remove(std::move(key), confirmed);
}

boost::asio::awaitable<Result<std::optional<Removal>>> ClientDirs::removable(SourceKey key, Position confirmed) {
  return impl_->removable(std::move(key), confirmed);
}

}  // namespace neptune::sources
