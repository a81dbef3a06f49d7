#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/portable_file.h"
#include "app/tally.h"
#include "engine/ledger.h"
#include "server/uploads.h"
#include "sources/client_dir/client_log.h"
#include "sources/client_dir/dir_survey.h"
#include "sources/watch_folder.h"
#include "support/error.h"

namespace neptune::app {

/// What is not sent of the 1.x client's directories in watched folders.
///
/// Operation: as UnsentLogs, but that directories travel only when they are moved: their points would be there twice
/// otherwise. A file that an operation uploads goes before the operations, and they name it by its name there.
class UnsentDirs {
 public:
  UnsentDirs(std::vector<sources::WatchFolder> folders, engine::Ledger& ledger, bool move)
      : folders_(std::move(folders)), ledger_(ledger), move_(move) {}

  Result<void> write(PortableWriter& writer, Tally& tally);
  Result<void> take_out(const std::string& file, WallTime now);

 private:
  struct Unsent {
    sources::SurveyedDir directory;
    engine::Ledger::LogRecord record;
    sources::Position acked = 0, first = 0, last = 0, put = 0;  // first to last are to be written
    std::map<sources::Position, server::SourceFile> files{};    // of the operations that upload one
    std::string why_it_stays{};
  };
  Result<void> write_dir(sources::SurveyedDir directory, PortableWriter& writer, Tally& tally);
  Result<void> judge(Unsent& unsent, sources::ClientLog& log) const;
  Result<void> write_files(const Unsent& unsent, PortableWriter& writer, Tally& tally) const;
  Result<void> write_operations(const Unsent& unsent, sources::ClientLog& log, PortableWriter& writer) const;

  std::vector<sources::WatchFolder> folders_;
  engine::Ledger& ledger_;
  bool move_;
  std::vector<Unsent> written_;
};

}  // namespace neptune::app
