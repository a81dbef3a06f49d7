#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/support/process.h"
#include "tests/integration/support/sandbox.h"
#include "tests/integration/support/temp_dir.h"

namespace neptune::testing {

/// How a command ended.
struct Ran {
  int status = -1;
  std::string out, err;
};

/// A training box in a temporary directory: the sandbox server, the daemon with one watched folder (`runs`), and the
/// client; the real binaries, over real sockets.
class Box {
 public:
  struct Options {
    std::vector<std::string> sandbox_args = {"--workspace", "ml-team:team"};
    std::string server = {};  ///< further lines of [server]
    std::string config = {};  ///< further lines at the end; @DIR@ stands for the box's directory
    std::string cleanup_after = "24h";
    std::filesystem::path state_dir = {};  ///< empty: one in the box
    bool reads_everything = true;          ///< as root does; else file modes bind the daemon too
    bool start = true;                     ///< the daemon, at once
    std::string project = {};              ///< NEPTUNE_PROJECT of the daemon's environment; empty: there is none
    std::filesystem::path preload = {};    ///< a library that the daemon loads before all others; empty: none
  };

  Box() : Box(Options()) {}
  explicit Box(Options options);
  ~Box();

  Sandbox& sandbox() { return sandbox_; }
  Process& daemon() { return *daemon_; }
  std::filesystem::path dir() const { return dir_.path(); }
  std::filesystem::path runs() const { return dir_ / "runs"; }
  std::filesystem::path socket() const { return dir_ / "api.sock"; }

  /// Starts the daemon and waits until it listens.
  void start_daemon();
  /// SIGTERM; the exit status.
  std::optional<int> stop_daemon();
  void kill_daemon();

  /// neptune-sync with these arguments, to its end.
  Ran sync(std::vector<std::string> args, std::chrono::milliseconds timeout = std::chrono::seconds(60));

  /// The same as another user; the caller is root.
  Ran sync_as(unsigned uid, std::vector<std::string> args);

  /// GET of the local API, as JSON.
  boost::json::value get(const std::string& target);

  /// POST /v1/changes; the answer's status and JSON.
  std::pair<unsigned, boost::json::value> hand_in(const std::string& changes);

  /// `neptune-sync wait` until all is synced; fails the test when it is not.
  void wait_synced(std::chrono::seconds timeout = std::chrono::seconds(60));

  /// Asks the status until `holds` says yes; the last status either way.
  std::pair<bool, boost::json::value> wait_status(const std::function<bool(const boost::json::value&)>& holds,
                                                  std::chrono::milliseconds timeout = std::chrono::seconds(30));

  /// Resident memory of the daemon at its highest, in bytes.
  std::uint64_t peak_memory() const;

 private:
  void write_config();

  Options options_;
  TempDir dir_;
  Sandbox sandbox_;
  std::optional<Process> daemon_;
  int commands_ = 0;
};

/// Compares the runs the sandbox holds with a sample's expected.json; empty when they are the same, else where they
/// differ.
std::string differs_from_sample(Box& box, const std::string& sample);

}  // namespace neptune::testing
