#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace neptune::ingest::v1 {
class UpdateRunSnapshot;
}

namespace neptune::testing {

/// Writes a run log the way a trainer's process does (docs/protocol.md, "The run log"): its own folder
/// `<workspace>_<project>_<run>_<ns>`, SQLite in WAL mode with synchronous=FULL, one transaction an operation, the
/// connection open until close(). What fails throws.
class RunLogWriter {
 public:
  struct Fork {
    std::string parent_run;
    std::uint64_t step = 0;      ///< whole steps: the fork's own points come after it
    std::string parent_project;  ///< empty: the run's own
  };
  struct Options {
    std::filesystem::path directory;  ///< NEPTUNE_LOG_DIRECTORY; made when missing
    std::string project;              ///< "workspace/project"
    std::string run;
    std::string experiment;  ///< empty: none
    std::optional<Fork> fork;
    bool with_metadata = true;  ///< false: stop before the metadata row, as a log in its first moments
    bool with_create = true;    ///< false: stop before the create row
  };

  explicit RunLogWriter(Options options);
  RunLogWriter(const RunLogWriter&) = delete;
  ~RunLogWriter();  ///< close(false) when still open

  /// run_operations.sqlite3
  const std::filesystem::path& path() const { return path_; }

  void write_metadata();
  void write_create();

  /// One operation that appends one point to each of these series at `step` (millionths: 2'500'000 is step 2.5).
  void append(std::uint64_t micro_step, const std::map<std::string, double>& points);
  /// The same with string values.
  void append_strings(std::uint64_t micro_step, const std::map<std::string, std::string>& points);
  /// One operation that sets attributes.
  void assign(const std::map<std::string, std::string>& strings);
  void assign_float(const std::string& path, double value);
  void assign_int(const std::string& path, std::int64_t value);

  /// Any snapshot; gets the present time as its timestamp when it has none.
  void append_snapshot(ingest::v1::UpdateRunSnapshot snapshot);
  /// Any bytes as an operation: 0 snapshot, 1 create.
  void append_raw(int operation_type, std::string_view bytes);

  /// An upload request; the file must exist.
  void add_upload(const std::filesystem::path& source, const std::string& destination, const std::string& mime_type,
                  bool is_temporary);

  std::int64_t operations() const;  ///< rows now in the log
  std::int64_t uploads() const;     ///< upload requests now in the log

  /// How long the last operation's transaction took.
  std::chrono::nanoseconds last_commit() const { return last_commit_; }

  /// Closes the connection. With `remove_if_empty`, a log with neither operations nor uploads goes as with the official
  /// producer: the database file is removed, then its folder, which stays when someone else's -wal and -shm are in it.
  void close(bool remove_if_empty);

 private:
  struct Connection;
  void insert(int operation_type, std::string_view bytes);

  Options options_;
  std::filesystem::path path_;
  std::unique_ptr<Connection> connection_;
  std::chrono::nanoseconds last_commit_{};
};

}  // namespace neptune::testing
