#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sources/folder_watch/folder_watch.h"
#include "sources/impl/due_looks.h"
#include "sources/impl/process_watch.h"
#include "sources/run_log/liveness.h"
#include "sources/run_log/log_files.h"
#include "sources/run_log/run_log.h"
#include "sources/run_logs.h"
#include "support/task_group.h"

namespace neptune::sources {

/// What RunLogs does. Each log has an entry; what happened to a log makes it *due*, and one task looks at all that are
/// due together: their files, then who holds them, then what may be done with each. Time makes a log due only while
/// time alone can change the answer (Liveness::look_again).
class RunLogWatch : private FolderWatch::Listener {
 public:
  RunLogWatch(boost::asio::any_io_executor executor, WorkerPool& pool, const Clock& clock, RunLogsOptions options,
              SourceListener& listener, FileSystemProbe probe);
  ~RunLogWatch() override;

  boost::asio::awaitable<void> run();
  void rescan();
  void follow(std::vector<WatchFolder> folders);
  std::vector<WatchState> folders() const;
  boost::asio::awaitable<Result<bool>> remove(SourceKey key, Position confirmed);
  boost::asio::awaitable<Result<std::optional<Removal>>> removable(SourceKey key, Position confirmed,
                                                                   Position files_confirmed);

 private:
  struct Entry {
    Entry(LogPaths log_paths, FileSystem on, Liveness::Rules rules)
        : paths(std::move(log_paths)), file_system(std::move(on)), liveness(rules) {}
    LogPaths paths;
    FileSystem file_system;
    Liveness liveness;
    SourceInfo info;  // as last announced
    bool announced = false;
    bool looked_at = false;  ///< at least once: until then nobody is told of it
    std::shared_ptr<RunLog> source;
    bool scanned = false;               // a scan came by since the last look
    std::optional<LogStamp> stamp;      // at the last scan
    std::optional<LogStamp> refused;    // set aside, and not tried again while it looks like this,
    std::optional<Instant> not_before;  // nor before this
    std::optional<Error> damage;        // found by the source
    std::optional<Instant> look_again;
    bool own_open = false;  ///< our last look opened -shm: the first such event is its echo
  };
  struct Looks {
    std::vector<LogFacts> facts;
    LockTable locks;
    std::optional<Error> problem;
  };

  // FolderWatch::Listener
  void directory_found(const std::filesystem::path& directory, const FileSystem& file_system) override;
  void file_touched(const std::filesystem::path& directory, const std::string& name, std::uint32_t mask) override;
  void directory_left(const std::filesystem::path& directory) override;
  void looked_through() override;
  void trouble_told(const std::filesystem::path& path, const std::string& trouble) override;

  boost::asio::awaitable<void> run_looks();
  boost::asio::awaitable<void> look_at_all(DueLooks::Due due);
  boost::asio::awaitable<void> decide(std::string path, LogFacts facts, const LockTable& locks);
  boost::asio::awaitable<void> take_up(std::string path, LogFacts facts, SourceInfo info);
  boost::asio::awaitable<void> withdraw(std::string path, SourceInfo info);
  boost::asio::awaitable<void> close_for_good(std::shared_ptr<RunLog> source);
  boost::asio::awaitable<void> vanish(std::string path);
  boost::asio::awaitable<void> let_go(std::string path);

  SourceState judge(Entry& entry, const LogFacts& facts, const std::vector<std::int32_t>& holders);
  bool another_path_to(const std::string& path, const SourceKey& key) const;
  void compare_with_last_scan(Entry& entry, const LogFacts& facts);
  std::shared_ptr<RunLog> make_source(const Entry& entry, const SourceInfo& info);
  void announce(Entry& entry, SourceInfo info, std::shared_ptr<RunLog> source);
  void watch_processes();

  boost::asio::any_io_executor executor_;
  WorkerPool& pool_;
  const Clock& clock_;
  RunLogsOptions options_;
  SourceListener& listener_;
  std::shared_ptr<LogRegistry> registry_;
  TaskGroup group_;
  ProcessWatch processes_;  // of holders
  DueLooks due_;
  FolderWatch folder_watch_;
  std::map<std::string, Entry> entries_;  // by directory
  std::optional<Error> locks_problem_;
  bool first_scan_done_ = false;  // and was told
};

}  // namespace neptune::sources
