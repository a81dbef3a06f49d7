#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

namespace neptune::sources {

class LogDatabase;

/// Bounds how many run logs are open in SQLite at once: the least recently used one is closed when another is opened.
/// A log in use at that moment stays open, so the bound may be exceeded by the number of workers. Thread safe.
class OpenLogs {
 public:
  explicit OpenLogs(std::size_t limit) : limit_(limit) {}

  /// `log` is open and in use. Called with its mutex held.
  void used(const std::shared_ptr<LogDatabase>& log);
  /// `log` is closed. Called with its mutex held, or from its destructor.
  void closed(const LogDatabase* log);

  std::size_t size() const;

 private:
  struct Entry {
    const LogDatabase* log;
    std::weak_ptr<LogDatabase> alive;
  };
  Entry put_first(const std::shared_ptr<LogDatabase>& log);

  mutable std::mutex mutex_;
  std::size_t limit_;
  std::list<Entry> logs_;  // most recently used first
};

}  // namespace neptune::sources
