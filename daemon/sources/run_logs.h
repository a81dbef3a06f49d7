#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "sources/removal.h"
#include "sources/source.h"
#include "sources/watch_folder.h"
#include "support/clock.h"
#include "support/worker_pool.h"

namespace neptune::sources {

struct RunLogsOptions {
  std::vector<WatchFolder> folders;
  std::chrono::milliseconds live_after{
      5000};  ///< docs/protocol.md, "Sharing a log": one holder, seen twice this far apart
  std::chrono::milliseconds closed_after{1000};  ///< no holder, seen twice this far apart
  std::chrono::milliseconds rescan{60000};  ///< the safety net behind inotify, and the only way on network file systems
  std::size_t open_logs = 64;               ///< descriptors: how many logs are open in SQLite at once
};

/// Finds the run logs of the watched folders, tells how each may be treated, and hands them out as Sources.
///
/// Operation: inotify reports new directories and commits (writes to `-wal`); a slow rescan is the safety net.
/// /proc/locks tells who has a log open; a pidfd reports the end of a holder. Nothing polls otherwise.
class RunLogs {
 public:
  RunLogs(boost::asio::any_io_executor executor, WorkerPool& pool, const Clock& clock, RunLogsOptions options,
          SourceListener& listener);
  ~RunLogs();

  /// Runs until cancelled.
  boost::asio::awaitable<void> run();

  /// Looks through every folder now.
  void rescan();

  /// Watches these folders from now on. Logs below others are let go of (SourceListener::source_unwatched).
  void follow(std::vector<WatchFolder> folders);

  std::vector<WatchState> folders() const;

  /// Removes a closed log whose every operation is confirmed (its `confirmed` position is past the last row) and that
  /// has no uploads left, if nobody has it open. False when it must stay.
  boost::asio::awaitable<Result<bool>> remove(SourceKey key, Position confirmed);

  /// Of such a log that may only be read: what its owner needs to know to remove it (its files are confirmed too, up to
  /// `files_confirmed`). Lets go of it, so that the owner does not find us in it. None when it must stay.
  boost::asio::awaitable<Result<std::optional<Removal>>> removable(SourceKey key, Position confirmed,
                                                                   Position files_confirmed);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::sources
