#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/portable_records.h"
#include "engine/ledger.h"
#include "sources/client_dir/dir_making.h"
#include "sources/run_log/log_making.h"
#include "sources/watch_folder.h"
#include "support/error.h"
#include "support/new_file.h"

namespace neptune::app {

/// Where logs of other machines are put: `<folder>/imported/<where it came from>/<its name>`.
class LogPlaces {
 public:
  /// `into`: no other folder than this one, which must be watched.
  LogPlaces(std::vector<sources::WatchFolder> watched, std::optional<std::filesystem::path> into)
      : watched_(std::move(watched)), into_(std::move(into)) {}

  /// The folder for such a log. Errors: "no_place", with what to do.
  Result<std::filesystem::path> folder_for(const CarriedLog& log) const;

 private:
  std::vector<sources::WatchFolder> watched_;
  std::optional<std::filesystem::path> into_;
};

/// Makes the logs of a portable file anew, as of whoever runs this, and readable by nobody else.
///
/// Operation: `log`, then its files (each followed by its bytes) and operations, then the next log or `end`. What the
/// ledger has as taken is passed over, and a run log of which more comes is continued. A run log is there before the
/// ledger has it, as its operations may come twice; a directory is on disk, then on record as being built, then gets
/// its name, then is on record as taken.
class CarriedLogs {
 public:
  struct From {
    std::string queue;  ///< the identity of the queue of the machine that wrote the file
    bool here = false;  ///< it is this one's: what was not taken out of here is not taken
  };
  CarriedLogs(LogPlaces places, From from, engine::Ledger& ledger, WallTime now)
      : places_(std::move(places)), from_(std::move(from)), ledger_(ledger), now_(now) {}

  Result<void> log(CarriedLog log);
  Result<void> file(const CarriedFile& file);
  Result<void> bytes(std::string_view piece);
  Result<void> operation(CarriedOperation operation);
  Result<void> end();

  struct Count {
    std::uint64_t logs = 0, operations = 0, files = 0;  ///< that were taken
    std::uint64_t known = 0;                            ///< operations and files that had been taken before
    bool any() const { return operations + files + known > 0; }
  };
  const Count& count() const { return count_; }

 private:
  Result<bool> is_still_here(const CarriedLog& log) const;
  Result<void> begin_run_log();
  Result<void> begin_directory();
  Result<void> end_directory();
  Result<void> end_file();
  engine::CameBack came_back(bool files) const;
  std::filesystem::path building() const { return place_ / "building"; }

  LogPlaces places_;
  From from_;
  engine::Ledger& ledger_;
  WallTime now_;
  Count count_;

  // Of the log that is being taken:
  CarriedLog log_;
  std::uint64_t operations_ = 0, files_ = 0;  // that were taken
  bool noted_ = false;                        // it came back before, and was cut off then
  std::string origin_;
  std::filesystem::path place_;
  sources::Position after_ = 0, files_after_ = 0;  // up to there it was taken before
  std::optional<sources::LogMaker> run_log_;       // neither: nothing of it is taken
  std::optional<sources::DirMaker> directory_;
  std::filesystem::path file_path_;
  CarriedFile file_;
  std::optional<NewFile> writing_;
  std::uint64_t left_ = 0;  // bytes of the file that is being taken
};

}  // namespace neptune::app
