#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sources/run_logs.h"
#include "support/sqlite.h"

namespace neptune::sources {

/// A directory that is removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Another process that writes a run log (log_writer.cpp).
class Writer {
 public:
  Writer();
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// The answer after "ok "; a failed command fails the test.
  std::string operator()(const std::string& command);
  void send(const std::string& command);
  std::string receive();
  void kill();
  int pid() const { return pid_; }

 private:
  int pid_ = -1, in_ = -1, out_ = -1;
};

/// Remembers what it was told.
class Listener : public SourceListener {
 public:
  struct Seen {
    SourceInfo info;
    std::shared_ptr<Source> source;
    int written = 0;
  };

  void source_changed(const SourceInfo& info, std::shared_ptr<Source> source) override;
  void source_written(const SourceKey& key) override;
  void source_vanished(const SourceKey& key) override;
  void first_scan_done() override { first_scan = true; }

  /// The log in this directory, if it is there.
  const Seen* at(const std::filesystem::path& directory) const;
  bool is(const std::filesystem::path& directory, SourceState state) const;

  std::map<std::string, Seen> logs;
  std::vector<SourceState> states;  ///< in the order they were told
  std::vector<SourceKey> vanished;
  bool first_scan = false;
};

/// An io_context and a worker pool, and ways to run them until something is so.
class Loop {
 public:
  ~Loop();

  /// False when it was not so in time.
  bool until(const std::function<bool()>& condition, std::chrono::milliseconds bound = std::chrono::seconds(20));
  void run_for(std::chrono::milliseconds time);

  template <class T>
  T await(boost::asio::awaitable<T> task) {
    std::optional<T> result;
    std::exception_ptr error;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr e, T value) {
      error = e;
      result.emplace(std::move(value));
    });
    until([&] { return result.has_value(); }, std::chrono::seconds(60));
    if (error) std::rethrow_exception(error);
    return std::move(result.value());
  }
  void await(boost::asio::awaitable<void> task);

  boost::asio::io_context context;
  WorkerPool pool{2};
  SystemClock clock;
};

/// RunLogs over one temporary folder, with intervals that suit a test.
class RunLogsFixture {
 public:
  explicit RunLogsFixture(std::function<void(RunLogsOptions&)> adjust = {});
  ~RunLogsFixture();

  void start();
  void stop();
  /// Until the log in `directory` is in `state`.
  bool reaches(const std::filesystem::path& directory, SourceState state);
  std::shared_ptr<Source> source(const std::filesystem::path& directory);

  TempDir temp;
  std::filesystem::path folder = temp / "runs";
  std::filesystem::path log = folder / "ml-team_classification_run-1_1795452629725260288";
  Loop loop;
  Listener listener;
  RunLogsOptions options;
  std::unique_ptr<RunLogs> logs;

 private:
  class Running;
  std::unique_ptr<Running> running_;
};

/// All bytes of a batch.
std::string bytes_of(Loop& loop, Source& source, const Batch& batch);

/// The samples in tests/data/run-logs, copied to where they can be written.
std::filesystem::path copy_sample(const std::string& name, const std::filesystem::path& to);

/// Everything in a directory, by name: content and, for what must not be touched, its time of writing.
std::map<std::string, std::string> content_of(const std::filesystem::path& directory);

std::filesystem::path database_of(const std::filesystem::path& log);

}  // namespace neptune::sources
