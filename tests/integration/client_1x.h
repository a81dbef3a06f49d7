#pragma once

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <ios>
#include <optional>
#include <string>

#include "tests/integration/box.h"

/// Directories of the 1.x client, made as the client makes them.
namespace neptune::testing {

constexpr int dead_pid = 4'194'301;  // beyond what the kernel gives out

std::string text_of(const std::filesystem::path& file);
void write(const std::filesystem::path& file, const std::string& text, std::ios::openmode mode = std::ios::trunc);

/// An operation as the client logs it; `obj` is its JSON.
std::string logged(int version, const std::string& obj);
/// A float of the series "loss": n.5 at step n.
std::string logged_float(int version, int point);
/// One for each version.
std::string logged_floats(int first, int last);

/// Nothing was written to it, nor to its files, for as long.
void age(const std::filesystem::path& directory, std::chrono::seconds by);

/// All that is in it: names, modes and bytes.
std::string contents_of(const std::filesystem::path& directory);

class Client1x : public ::testing::Test {
 protected:
  void make(const std::string& project = "ml-team/lab", const std::string& more = "takeover_after = \"1s\"\n",
            bool start = true, const std::string& project_of_environment = {});

  std::filesystem::path place(const std::string& mode) const { return box->dir() / "jobs" / ".neptune" / mode; }

  /// A process for a job that lives.
  Process living_job() const {
    return Process({.binary = "/bin/sleep",
                    .args = {"600"},
                    .env = {},
                    .unset_env = {},
                    .output_dir = box->dir() / "output",
                    .name = "job",
                    .working_dir = {}});
  }

  /// An offline run as the client makes it, before its first operation.
  std::filesystem::path offline_run(const std::string& id, int pid = dead_pid) {
    return begin_run(place("offline"), id, pid);
  }
  std::filesystem::path begin_run(const std::filesystem::path& in, const std::string& id, int pid);
  /// One that was logged to its end a while ago, outside of what is watched.
  std::filesystem::path finished_run(const std::string& id, const std::string& log, int last);
  std::filesystem::path finished_run(const std::string& id, int first, int last) {
    return finished_run(id, logged_floats(first, last), last);
  }
  /// The directory in its new place.
  std::filesystem::path hand_over(const std::filesystem::path& directory);
  std::filesystem::path offline_run(const std::string& id, int first, int last) {
    return hand_over(finished_run(id, first, last));
  }
  /// A copy of a sample's directory that may be written, with a while since, outside of what is watched.
  std::filesystem::path copy_of_sample(const std::filesystem::path& sample, const std::string& name);

  boost::json::value run(const std::string& id);
  /// Empty when the run has the points first..last of `logged_floats`, each once and in order.
  std::string misses(const std::string& id, int last);
  bool wait_synced(std::int64_t changes, std::chrono::milliseconds timeout = std::chrono::seconds(60));
  boost::json::value source(const std::string& id);
  std::string detail(const std::string& id);
  /// Waits until that is said of the source.
  bool says(const std::string& id, const std::string& sentence);
  /// The UUID of what the sandbox knows under this name ("LAB-1").
  std::string id_of(const std::string& short_id);

  /// A file of bytes that say nothing, in the box.
  std::filesystem::path make_file(const std::string& name, std::size_t size);
  /// Empty when the server holds exactly this content under "LAB-1/train/weights.bin".
  std::string file_differs(const std::string& path, const std::string& content);
  /// Of the change with this version: "code: reason"; empty when it was not rejected.
  std::string rejection_of(int version);

  std::optional<Box> box;
  std::string server_lines;  ///< further lines of [server]; before `make`
};

}  // namespace neptune::testing
