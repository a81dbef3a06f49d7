#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "sources/change_queue/queue_store.h"
#include "support/error.h"

/// Changes that wait, as a file to carry to another machine: JSON, one object a line.
///
///   {"neptune_sync_export": 1, "made_by": "neptune-syncd 0.1.0", "at": "2026-01-02T...", "queue": "7261...",
///    "moved": false}
///   {"seq": 12, "workspace": "ml-team", "project": "lab", "container_kind": "run", "container": "trial-7",
///    "kind": "run.update", "uid": 1000, "at": "...", "frees": false, "creates": false, "needs": "", "key": "",
///    "payload": "base64"}                                                        one a change, in their order
///   {"changes": 1, "sha256": "of every byte before this line, in hexadecimal"}
///
/// `queue` is the identity of the queue, `moved` says that they were taken out of it. `payload` is what the queue keeps
/// of a change (Change::payload), `needs` what it waits for (change_queue/needs.h).
namespace neptune::app {

inline constexpr int portable_version = 1;

/// Writes one such file, piece by piece. Every error names the file.
class PortableWriter {
 public:
  /// `fd` is not closed; `name` is for people.
  PortableWriter(int fd, std::string name);
  ~PortableWriter();

  Result<void> begin(std::uint64_t queue, bool moved, const std::string& now);
  Result<void> add(const sources::QueueStore::Whole& change);
  /// The last line; what was written is on disk when this returns, where the file is one that can be synced.
  Result<void> end();
  std::uint64_t changes() const { return changes_; }

 private:
  class Digest;
  Result<void> write(const std::string& line);
  Result<void> flush();

  int fd_;
  std::string name_, buffer_;
  std::uint64_t changes_ = 0;
  std::unique_ptr<Digest> digest_;
};

/// Reads one. It stays open, for a process that may not open it again.
class PortableReader {
 public:
  /// Reads it to its end and checks all of it, before anything is done with it: version, form, number, checksum.
  /// Errors: "export_unreadable", "export_too_new", "export_damaged".
  static Result<PortableReader> open(const std::filesystem::path& file);

  std::uint64_t changes() const { return changes_; }
  /// Whether they came from the queue with this identity, and whether they were taken out of it then.
  bool is_of(std::uint64_t queue) const { return queue_ == std::to_string(queue); }
  bool is_moved() const { return moved_; }

  using Each = std::function<Result<void>(sources::Position number, sources::Handed handed)>;
  /// Hands out the changes, each with its number there, its submitter and when it was accepted, until `f` fails. Each
  /// has an idempotency key: its own, or one made of its queue and its number there, so that the same change is taken
  /// once however often it comes.
  Result<void> each(const Each& f);

 private:
  Result<void> check();
  std::unexpected<Error> damaged(const std::string& why) const;

  std::filesystem::path file_;
  std::ifstream in_;
  std::string queue_;
  bool moved_ = false;
  std::uint64_t changes_ = 0;
};

}  // namespace neptune::app
