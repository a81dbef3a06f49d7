#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace neptune::sources {

/// One file, as the kernel names it.
struct FileId {
  std::uint64_t device = 0, inode = 0;
  auto operator<=>(const FileId&) const = default;
};

/// Who holds a lock on one byte of which file, at one moment (docs/protocol.md, "Sharing a log").
class LockTable {
 public:
  /// From the text of /proc/locks: holders of a POSIX lock that covers `byte`, without `own_pid`. Lines it does not
  /// understand are passed over.
  static LockTable parse(std::string_view text, std::uint64_t byte, std::int32_t own_pid);

  /// From /proc/locks, for the byte that everybody holds who has a database open in WAL mode.
  static Result<LockTable> read();

  /// Ascending, each pid once.
  const std::vector<std::int32_t>& holders(const FileId& file) const;
  /// The same where the kernel may call the file's device `lock_device` instead (FileSystem::lock_device).
  const std::vector<std::int32_t>& holders(const FileId& file, std::uint64_t lock_device) const;

 private:
  std::map<FileId, std::vector<std::int32_t>> holders_;
};

}  // namespace neptune::sources
