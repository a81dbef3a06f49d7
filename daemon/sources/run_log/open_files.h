#pragma once

#include <map>
#include <mutex>

#include "sources/run_log/lock_table.h"

namespace neptune::sources {

/// Which database files this process has open in SQLite.
///
/// POSIX locks belong to the process: closing any other descriptor of such a file, its `-wal` or its `-shm` drops
/// SQLite's locks on it. So whoever wants to look into one of these files by itself asks here. Thread safe.
class OpenFiles {
 public:
  void opened(const FileId& file) {
    const std::lock_guard lock(mutex_);
    ++files_[file];
  }
  void closed(const FileId& file) {
    const std::lock_guard lock(mutex_);
    if (const auto found = files_.find(file); found != files_.end() && --found->second == 0) files_.erase(found);
  }

  /// Runs `look` unless the file is open in SQLite, which cannot open it meanwhile; whether it ran.
  template <class F>
  bool unless_open(const FileId& file, F look) {
    const std::lock_guard lock(mutex_);
    if (files_.contains(file)) return false;
    look();
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<FileId, int> files_;
};

}  // namespace neptune::sources
