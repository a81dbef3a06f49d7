#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "sources/run_log/log_files.h"
#include "sources/source.h"
#include "support/error.h"
#include "support/sqlite.h"

namespace neptune::sources {

/// Makes a run log as the client would have left it, or continues one that was made so; nobody has it open.
///
/// Operation: a new log is built as `run_operations.sqlite3.part`, and gets its name in `place`. To one that is there
/// operations are added in one transaction. What ends in between leaves nothing that is taken for a log, or the log as
/// it was.
/// Errors: "log_not_made" (the message says why; a full disk too).
class LogMaker {
 public:
  /// `directory` is made when it is not there.
  static Result<LogMaker> begin(const std::filesystem::path& directory, const std::string& project,
                                const std::string& run);

  Result<void> add_operation(Position position, bool creates, std::int64_t logged_ms, std::string_view bytes);
  /// A file beside the log, which goes when it is on the server.
  Result<void> add_file(Position id, const std::filesystem::path& file, std::string_view destination,
                        std::string_view mime_type, std::uint64_t size);
  /// Nothing is added any more. All of it is on disk when this returns.
  Result<void> place();

 private:
  LogMaker(LogPaths paths, sqlite::Database database, bool fresh)
      : paths_(std::move(paths)), database_(std::move(database)), fresh_(fresh) {}
  Result<void> explained(Result<void> done) const;

  LogPaths paths_;
  std::optional<sqlite::Database> database_;
  bool fresh_;
};

}  // namespace neptune::sources
