#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sources/folder_watch/file_system.h"
#include "sources/folder_watch/inotify.h"
#include "sources/folder_watch/tree_scan.h"
#include "support/worker_pool.h"

namespace neptune::sources {

/// A line in the log of what Listener::trouble_told says.
void log_trouble(const std::filesystem::path& path, const std::string& trouble);

/// Finds certain directories below some folders (ScanRules), and reports what happens in them.
///
/// Operation: each folder is looked through (scan_tree) at the start, on `rescan`, every `rescan` interval, and after
/// the kernel's event queue overflowed; in between, inotify reports. What inotify cannot do (its limit is reached, a
/// network file system) is left to the rescan, and said in `state`. A folder that is not there is waited for by
/// watching its nearest parent.
/// Concurrency: one executor, one thread; scans run on the worker pool, one after the other.
class FolderWatch {
 public:
  /// What is told within it a listener looks at together.
  static constexpr std::chrono::milliseconds between_looks{20};

  class Listener {
   public:
    virtual ~Listener() = default;
    /// A marked directory was found, or is still there (each scan says so again).
    virtual void directory_found(const std::filesystem::path& directory, const FileSystem& file_system) = 0;
    /// Something happened to a file in a marked directory. `mask`: IN_* of inotify.
    virtual void file_touched(const std::filesystem::path& directory, const std::string& name, std::uint32_t mask) = 0;
    /// A marked directory may be gone: it, or one above it, was moved or deleted.
    virtual void directory_left(const std::filesystem::path& directory) = 0;
    /// Every folder was looked through; those not found by it are gone.
    virtual void looked_through() = 0;
    /// What is wrong with a folder, or with a directory below it, has changed: a sentence; empty when nothing is.
    virtual void trouble_told(const std::filesystem::path& path, const std::string& trouble) = 0;
  };

  struct State {
    std::filesystem::path folder;
    std::string problem;  ///< a sentence; empty when all is well
    bool network = false;
    bool followed = true;  ///< false: it is not there, or cannot be read
    std::vector<ClosedDirectory> closed{};
  };

  FolderWatch(boost::asio::any_io_executor executor, WorkerPool& pool, std::vector<std::filesystem::path> folders,
              ScanRules rules, std::chrono::milliseconds rescan_interval, Listener& listener, FileSystemProbe probe);

  /// Runs until cancelled: two tasks, each a coroutine for the owner's task group.
  boost::asio::awaitable<void> run_events();
  boost::asio::awaitable<void> run_scans();

  /// Looks through every folder now.
  void rescan();
  /// Watches these instead, from the next scan on, which begins now. What was found below the others is not told of.
  void follow(std::vector<std::filesystem::path> folders);
  /// Whether it is in one of the folders, or one of them, as they were given last.
  bool covers(const std::filesystem::path& directory) const;

  const std::vector<State>& states() const { return states_; }

 private:
  struct Watched {
    std::filesystem::path path;
    unsigned depth = 0;
    std::size_t folder = 0;
    bool marked = false;
  };
  struct Request {
    std::filesystem::path directory;
    unsigned depth = 0;
    std::size_t folder = 0;
  };

  boost::asio::awaitable<void> scan_everything();
  boost::asio::awaitable<void> scan_folder(std::size_t folder);
  boost::asio::awaitable<void> scan_part(Request request);
  void take_scan(std::size_t folder, const Scan& scan);
  void set_folders(std::vector<std::filesystem::path> folders);
  void unwatch_all();
  void describe(std::size_t folder, const Scan& scan);
  std::string trouble_of(std::size_t folder, const Scan& scan) const;
  void take_closed(std::size_t folder, const Scan& scan, const std::filesystem::path& scanned);
  void request(Request request);
  void wake();
  void handle(const Inotify::Event& event);
  void handle_in(const Watched& watched, const Inotify::Event& event);
  void handle_directory(const Watched& watched, const Inotify::Event& event);
  void forget_below(const std::filesystem::path& directory);
  void replay();

  boost::asio::any_io_executor executor_;
  WorkerPool& pool_;
  ScanRules rules_;
  std::chrono::milliseconds interval_;
  Listener& listener_;
  FileSystemProbe probe_;
  std::vector<State> states_;
  std::vector<FileSystem> file_systems_;
  std::optional<Inotify> inotify_;
  std::optional<Error> inotify_problem_;
  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer wake_;
  std::unordered_map<int, Watched> watched_;
  // Watches of parents of folders that are not there: which folder, and the name it waits for.
  std::map<int, std::map<std::size_t, std::string>> waiting_;
  std::vector<Request> requests_;
  std::optional<std::vector<std::filesystem::path>> next_folders_;
  bool everything_ = true;  // a scan of all folders is asked for
  bool scanning_ = false;
  std::vector<Inotify::Event> unexplained_;  // of watches a running scan has made; replayed after it
};

}  // namespace neptune::sources
