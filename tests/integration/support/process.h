#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neptune::testing {

/// Path of a binary of this build: `binary("neptune-syncd")`, "neptune-sync", "neptune-sandbox", "run-log-writer".
std::filesystem::path binary(std::string_view name);

/// A real process; its stdout and stderr go to files. Killed and reaped on destruction, and by the kernel when the
/// thread that started it dies. One that failed by itself, unasked for, is told on stderr then. Errors of the operating
/// system are thrown.
class Process {
 public:
  struct Options {
    std::filesystem::path binary;
    std::vector<std::string> args;
    std::map<std::string, std::string> env;  ///< on top of the test's own environment
    std::vector<std::string> unset_env;      ///< taken out of it
    std::filesystem::path output_dir;        ///< must exist; "<name>.out" and "<name>.err" are appended to
    std::string name;                        ///< empty: the binary's
    std::filesystem::path working_dir;       ///< empty: the test's
  };

  explicit Process(Options options);
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  bool running();

  void signal(int number);
  /// SIGKILL, and waits for the end.
  void kill();

  /// How it ended: its exit status, or 128 + the signal's number; none when the time ran out first.
  std::optional<int> wait(std::chrono::milliseconds timeout);

  /// SIGTERM, then wait.
  std::optional<int> terminate(std::chrono::milliseconds timeout = std::chrono::seconds(10));

  /// The first line of stdout (from this start on) that begins with `prefix`, as soon as it is there; none when the
  /// time ran out or the process ended without it.
  std::optional<std::string> wait_for_line(std::string_view prefix,
                                           std::chrono::milliseconds timeout = std::chrono::seconds(20));
  std::optional<std::string> wait_for_error_line(std::string_view prefix,
                                                 std::chrono::milliseconds timeout = std::chrono::seconds(20));

  /// What it wrote since this start.
  std::string out() const;
  std::string err() const;

 private:
  std::optional<std::string> wait_for_line_in(const std::filesystem::path& file, std::uintmax_t from,
                                              std::string_view prefix, std::chrono::milliseconds timeout);
  void close_pidfd();

  std::filesystem::path out_path_, err_path_;
  std::uintmax_t out_start_ = 0, err_start_ = 0;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::optional<int> status_;
};

}  // namespace neptune::testing
