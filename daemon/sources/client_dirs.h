#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sources/run_logs.h"
#include "sources/source.h"
#include "sources/watch_folder.h"
#include "support/clock.h"
#include "support/worker_pool.h"

namespace neptune::sources {

struct ClientDirsOptions {
  std::vector<WatchFolder> folders;
  std::chrono::milliseconds closed_after{10000};  ///< an offline run's producer is gone, and it was quiet for so long
  std::chrono::milliseconds rescan{60000};        ///< the safety net behind inotify
};

/// Finds the directories of the 1.x client in the watched folders, tells how each may be treated, and hands them out as
/// Sources (docs/client-1x.md says what is taken when, and why).
///
/// Operation: inotify reports new directories and writes; a pidfd reports the end of a producer; a slow rescan is the
/// safety net. Puts no file of its own anywhere. SourceInfo::container is known for runs that are still to be
/// registered (SourceInfo::server_id empty); of all others only the server knows the project.
class ClientDirs {
 public:
  ClientDirs(boost::asio::any_io_executor executor, WorkerPool& pool, const Clock& clock, ClientDirsOptions options,
             SourceListener& listener);
  ~ClientDirs();

  /// Runs until cancelled.
  boost::asio::awaitable<void> run();

  /// Looks through every folder now.
  void rescan();

  /// Watches these folders from now on. Directories below others are let go of (SourceListener::source_unwatched).
  void follow(std::vector<WatchFolder> folders);

  std::vector<WatchState> folders() const;

  /// Gives a closed offline run the name that the client's own sync would give it once it is registered. Its key from
  /// now on (nothing is told to the listener); none when it must stay as it is for now, because somebody may still have
  /// it open.
  boost::asio::awaitable<Result<std::optional<SourceKey>>> rename(SourceKey key, std::string server_id);

  /// Of such a directory that may only be read: what its owner needs to know to remove it. None when it must stay.
  boost::asio::awaitable<Result<std::optional<Removal>>> removable(SourceKey key, Position confirmed);

  /// Removes a closed directory whose every operation is acknowledged, up to `confirmed` at least, if nobody has it
  /// open. False when it must stay.
  boost::asio::awaitable<Result<bool>> remove(SourceKey key, Position confirmed);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::sources
