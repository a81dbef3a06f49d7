#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sources/client_dir/client_dir_source.h"
#include "sources/client_dir/dir_facts.h"
#include "sources/client_dirs.h"
#include "sources/folder_watch/folder_watch.h"
#include "sources/impl/due_looks.h"
#include "sources/impl/process_watch.h"
#include "support/task_group.h"

namespace neptune::sources {

/// What ClientDirs does. What happens to a directory makes it *due*, and one task looks at all that are due together.
/// Time makes one due only while time alone can change the answer.
class ClientDirWatch : private FolderWatch::Listener {
 public:
  ClientDirWatch(boost::asio::any_io_executor executor, WorkerPool& pool, const Clock& clock, ClientDirsOptions options,
                 SourceListener& listener);

  boost::asio::awaitable<void> run();
  void rescan() { folder_watch_.rescan(); }
  void follow(std::vector<WatchFolder> folders);
  std::vector<WatchState> folders() const;
  boost::asio::awaitable<Result<std::optional<SourceKey>>> rename(SourceKey key, std::string server_id);
  boost::asio::awaitable<Result<bool>> remove(SourceKey key, Position confirmed);
  boost::asio::awaitable<Result<std::optional<Removal>>> removable(SourceKey key, Position confirmed);

 private:
  struct Entry {
    bool network = false;
    SourceInfo info;  // as last announced
    bool announced = false;
    std::shared_ptr<ClientDirSource> source;
    ClientDirFacts facts;  // of the last look
    ClientDirHistory history;
    Instant taken_at{};    // when it became ours, under its present name
    bool scanned = false;  // a scan came by since the last look
    std::optional<Instant> look_again;
    bool put_off = false;  ///< once, as it was told at another path
  };

  // FolderWatch::Listener
  void directory_found(const std::filesystem::path& directory, const FileSystem& file_system) override;
  void file_touched(const std::filesystem::path& directory, const std::string& name, std::uint32_t mask) override;
  void directory_left(const std::filesystem::path& directory) override;
  void looked_through() override;
  void trouble_told(const std::filesystem::path& path, const std::string& trouble) override;

  boost::asio::awaitable<void> run_looks();
  boost::asio::awaitable<void> look_at_all(DueLooks::Due due);
  const std::string* another_path_to(const std::string& path, const SourceKey& key) const;
  void decide(const std::string& path, ClientDirFacts facts);
  void announce(Entry& entry, SourceInfo info);
  void vanish(const std::string& path);
  void watch_processes();
  const WatchFolder* folder_of(const std::string& path) const;
  ClientDirRules rules_for(const std::string& path) const;
  void name_container(SourceInfo& info, const Entry& entry, const ClientDirFacts& facts) const;

  boost::asio::any_io_executor executor_;
  WorkerPool& pool_;
  const Clock& clock_;
  ClientDirsOptions options_;
  SourceListener& listener_;
  TaskGroup group_;
  ProcessWatch processes_;  // producers
  DueLooks due_;
  FolderWatch folder_watch_;
  std::map<std::string, Entry> entries_;  // by directory
  std::set<std::string> moving_;          // old and new names of a directory that is being renamed
  bool first_scan_done_ = false;          // and was told
};

}  // namespace neptune::sources
