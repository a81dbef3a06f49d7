#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "sources/source.h"
#include "support/descriptor.h"

/// How far the change queue was, in a file beside its own: `changes.mark` of `changes.sqlite3`. What SQLite committed
/// and did not move into its file yet goes with a log (`-wal`) that is damaged or removed, without a word; what the
/// queue had given out is known by this then.
namespace neptune::sources {

struct QueueMark {
  std::uint64_t queue = 0;  ///< its identity
  Position last = 0;        ///< the number that it gave out last
  std::uint64_t count = 0;  ///< changes in it
};

/// The mark of the queue in this file; none where it cannot be read, or is not whole.
std::optional<QueueMark> read_mark(const std::filesystem::path& queue);

/// Written after each commit, and before anybody is told of it. It is not synced: a killed process leaves it as it was,
/// a power cut may take the last half minute of it back, and then it says less than the queue itself. What cannot be
/// written is left: so a full disk keeps nothing from being taken or settled.
class QueueMarkFile {
 public:
  explicit QueueMarkFile(const std::filesystem::path& queue);
  void write(const QueueMark& mark);

 private:
  const std::filesystem::path file_;
  Descriptor fd_;
};

}  // namespace neptune::sources
