#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "app/portable_records.h"
#include "support/descriptor.h"
#include "support/error.h"

/// What is not sent, as a file to carry to another machine: JSON, one object a line.
///
///   {"neptune_sync_export": 2, "made_by": "neptune-syncd 0.1.0", "at": "2026-01-02T...", "queue": "7261...",
///    "moved": false}
///   {"seq": 12, "workspace": "ml-team", "project": "lab", "container_kind": "run", "container": "trial-7",
///    "kind": "run.update", "uid": 1000, "at": "...", "frees": false, "creates": false, "needs": "", "key": "",
///    "content": 5577, "payload": "base64"}                        one a change of the queue, in their order
///   {"log": "run-log", "name": "...", "path": "...", "device": 1, "inode": 2, "born_ms": 3, "last": 21,
///    "project": "ml-team/lab", "run": "trial-7", "last_file": 0}   then each log, or directory of the 1.x client
///   {"op": 2, "at": 1767225600000, "size": 120, "data": "base64"} its operations, in their order
///   {"file": "weights.bin", "size": 1073741824, "data": "base64"} a file of the log before it, or of the next change
///   {"data": "base64"}                                            more bytes of what came before, until `size` of them
///   {"lines": 20, "sha256": "of every byte before this line, in hexadecimal"}
///
/// `queue` is the identity of the queue, `moved` says that they were taken out of it. `payload` is what the queue keeps
/// of a change (Change::payload), `needs` what it waits for (change_queue/needs.h), `content` by what another change
/// with its key is known (Change::content; not there where that is not known). A line has `piece_bytes` of bytes
/// at most. In version 1 there were changes alone, and "changes" in place of "lines".
namespace neptune::app {

inline constexpr int portable_version = 2;
inline constexpr std::size_t piece_bytes = 192u << 10;
inline constexpr std::uint64_t longest_operation = 64u << 20;  ///< our own bound, as of 1.x logs: a server takes 16 MiB

/// Writes one such file, piece by piece. Every error names the file.
class PortableWriter {
 public:
  /// `fd` is not closed; `name` is for people.
  PortableWriter(int fd, std::string name);
  ~PortableWriter();

  Result<void> begin(std::uint64_t queue, bool moved, const std::string& now);
  Result<void> add(const sources::QueueStore::Whole& change);
  Result<void> add(const CarriedLog& log);
  Result<void> add(const CarriedOperation& operation);
  /// `read` fills the piece from `offset` on, whole.
  using ReadPiece = std::function<Result<void>(std::string& piece, std::uint64_t offset)>;
  Result<void> add(const CarriedFile& file, const ReadPiece& read);
  /// The last line; what was written is on disk when this returns, where the file is one that can be synced.
  Result<void> end();

 private:
  class Digest;
  Result<void> write(const boost::json::object& line);
  Result<void> write_bytes(boost::json::object line, std::uint64_t size, const ReadPiece& read);
  Result<void> flush();

  int fd_;
  std::string name_, buffer_;
  std::uint64_t lines_ = 0;
  std::unique_ptr<Digest> digest_;
};

/// Who is handed what a file holds, in its order. The first error ends it.
class PortableTaker {
 public:
  virtual ~PortableTaker() = default;
  /// `number`: of the change in the queue it came from. It has an idempotency key: its own, or one made of that queue
  /// and its number there, so that the same change is taken once however often it comes.
  virtual Result<void> change(sources::Position number, sources::Handed handed) = 0;
  virtual Result<void> log(CarriedLog log) = 0;
  virtual Result<void> operation(CarriedOperation operation) = 0;  ///< of the log before it
  virtual Result<void> file(CarriedFile file) = 0;                 ///< its bytes follow, unless it is empty
  virtual Result<void> bytes(std::string_view piece) = 0;
};

/// Reads one. It stays open, for a process that may not open it again.
class PortableReader {
 public:
  /// Reads it to its end and checks all of it, before anything is done with it: version, number of lines, checksum,
  /// then the form of each line. Errors: "export_unreadable", "export_too_new", "export_damaged".
  static Result<PortableReader> open(const std::filesystem::path& file);

  /// Whether they came from the queue with this identity, and whether they were taken out of it then.
  bool is_of(std::uint64_t queue) const { return queue_ == std::to_string(queue); }
  const std::string& queue() const { return queue_; }
  bool is_moved() const { return moved_; }

  Result<void> each(PortableTaker& taker);

 private:
  class Lines;
  class Feeder;
  Result<void> check();
  std::unexpected<Error> damaged(const std::string& why) const;

  std::filesystem::path file_;
  Descriptor in_;
  std::string queue_;
  int version_ = 0;
  bool moved_ = false;
  std::uint64_t lines_ = 0;  ///< between the first and the last
};

}  // namespace neptune::app
