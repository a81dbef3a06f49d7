#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "app/portable_file.h"
#include "app/tally.h"
#include "engine/ledger.h"
#include "server/source_file.h"
#include "sources/run_log/log_survey.h"
#include "sources/watch_folder.h"
#include "support/error.h"

namespace neptune::app {

/// What is not sent of the run logs in watched folders.
///
/// Operation: `write`, then, for a move, once the file is on disk, `take_out`: the ledger has what was written as moved
/// first, then its rows go, where they may be deleted. A log that is not taken out, as a job or a call of ours is not
/// done with it, is named in the tally.
class UnsentLogs {
 public:
  UnsentLogs(std::vector<sources::WatchFolder> folders, engine::Ledger& ledger, bool move)
      : folders_(std::move(folders)), ledger_(ledger), move_(move) {}

  Result<void> write(PortableWriter& writer, Tally& tally);
  Result<void> take_out(const std::string& file, WallTime now);

 private:
  struct File {
    CarriedFile head{};
    server::SourceFile source{};
    server::FileIdentity identity{};
    bool temporary = false;  ///< goes with its upload
  };
  struct Unsent {
    sources::SurveyedLog log{};
    ContainerName files_of{};  ///< the stream of its files
    sources::Position after = 0, upto = 0;
    sources::Position files_upto = 0;
    std::vector<File> files{};
    std::uint64_t count = 0;  ///< operations that were written
    bool in_doubt = false;
  };
  Result<void> write_log(sources::SurveyedLog log, PortableWriter& writer, Tally& tally);
  Result<bool> look(Unsent& unsent, Tally& tally);
  Result<void> find_files(Unsent& unsent, sources::Position after, Tally& tally) const;
  std::string why_it_stays(const Unsent& unsent) const;
  Result<void> write_files(const Unsent& unsent, PortableWriter& writer, Tally& tally) const;
  template <class Does>
  static Result<void> each_operation(const Unsent& unsent, Does does);
  Result<void> write_operations(Unsent& unsent, PortableWriter& writer) const;
  Result<void> take_out_files(const Unsent& unsent, const std::string& file, WallTime now);

  std::vector<sources::WatchFolder> folders_;
  engine::Ledger& ledger_;
  bool move_;
  std::set<ContainerName> busy_;  // runs of which somebody has a log open
  std::vector<Unsent> written_;
};

}  // namespace neptune::app
