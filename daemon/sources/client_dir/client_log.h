#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sources/client_dir/dir_files.h"
#include "sources/source.h"
#include "support/error.h"

/// The operations of one 1.x client's directory, read from its data files (dir_files.h).
///
/// Operation: `look` reads on from where the last look ended, checks every object, and remembers where each some
/// hundredth one begins; `read` begins at the nearest of these. Nothing else is kept, so memory grows by a few dozen
/// bytes for each thousand operations.
///
/// Normal: an object that has not been written to its end, as the last of the last file (the client writes 8 KiB at a
/// time); `last_put_version` far ahead of it, for the same reason; files that are not there any more because their
/// operations are done. Refused ("client_dir_damaged"): anything else that is no object of the client's, wherever it
/// stands; a version that does not follow the one before; operations after `last_ack_version` that are in no file; a
/// `last_ack_version` beyond `last_put_version`.
///
/// Blocks. Concurrency: any thread; one call at a time goes on, the others wait.
namespace neptune::sources {

struct LoggedOperation {
  Position version = 0;
  double at = 0;     ///< seconds since 1970; 0: not said
  std::string json;  ///< the value of "obj", as JSON in the strict sense
};

class ClientLog {
 public:
  static constexpr std::uint64_t longest_object = 64u << 20;  ///< our own bound; the client begins a new file there

  explicit ClientLog(std::filesystem::path directory);

  struct State {
    Position acked = 0;       ///< operations up to it are done
    Position put = 0;         ///< what the client counted
    Position last = 0;        ///< the last that can be read; `acked` when none is there
    std::uint64_t count = 0;  ///< that can be read after `after` and are not done
    std::uint64_t bytes = 0;  ///< about what these take in the files
    double oldest_at = 0;     ///< when the first of them was logged
    bool more = false;        ///< the look was ended by its bound: look again
  };
  /// Reads what was written since, about `bound` bytes at most.
  Result<State> look(Position after, std::uint64_t bound);

  /// The operations from `first` on, up to `last`: `operations` at most, and those after the first only as long as
  /// all of them take no more than `bytes`. "client_dir_changed" (retryable) when the first is not there.
  Result<std::vector<LoggedOperation>> read(Position first, Position last, std::uint64_t operations,
                                            std::uint64_t bytes) {
    return read(first, last, operations, bytes, [](const LoggedOperation&) { return false; });
  }
  /// Likewise, up to before the first for which `stands_alone` says yes; of one that is first itself, only that.
  Result<std::vector<LoggedOperation>> read(Position first, Position last, std::uint64_t operations,
                                            std::uint64_t bytes, bool (*stands_alone)(const LoggedOperation&));

  /// Where it is, and whose: the files' that are read, or else the directory's where those are root's.
  struct Origin {
    std::filesystem::path directory;
    std::uint32_t uid = 0;
  };
  Result<Origin> origin();

  /// Writes last_ack_version, then removes the data files of which every operation is done, but for the last one.
  Result<void> acknowledge(Position upto);

  /// It was renamed.
  void moved_to(std::filesystem::path directory);
  /// Closes what is open.
  void release();

 private:
  struct Place {
    Position file = 0;         // the version in its name
    std::uint64_t offset = 0;  // of the first object after `version`
    std::uint64_t total = 0;   // bytes before it, in all files since the first one read
    Position version = 0;
  };
  class Reader;

  Result<void> open();
  Result<State> state_of(Position acked, Position put, Position after, bool more);
  Result<void> begin(Position acked, const std::vector<Position>& files);
  Result<bool> advance(const std::vector<Position>& files, std::uint64_t bound);
  Result<Place> find(Position version);
  Error overwritten();
  Error damaged(Position file, std::uint64_t offset, const std::string& why) const;

  std::mutex mutex_;
  std::filesystem::path path_;
  Descriptor directory_;
  bool begun_ = false;
  Place end_;                        // where the last look ended
  std::map<Position, Place> marks_;  // by Place::version
};

}  // namespace neptune::sources
