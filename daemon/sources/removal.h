#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "support/error.h"

/// What it takes to remove a synced run log, or a 1.x client's directory, that the daemon may only read: the daemon
/// says which, and `neptune-sync tidy`, run by its owner, looks again and removes it. Both use this; it needs neither
/// SQLite nor a loop. Everything here blocks on the file system.
namespace neptune::sources {

/// Changes whenever a file of the directory is written, added, replaced or taken out, or the directory is another one.
/// What readers write is left out (SQLite's shared memory).
/// Errors: "directory_unreadable".
Result<std::string> fingerprint(const std::filesystem::path& directory);

enum class RemovalKind : std::uint8_t { run_log, client_dir };

struct Removal {
  RemovalKind kind = RemovalKind::run_log;
  std::filesystem::path directory;
  std::string fingerprint;         ///< as it was when everything in it was found to be on the server
  std::vector<std::string> files;  ///< of a run log: names of uploaded temporary files beside it, which go with it
};

/// What lies in a run log's directory besides the log, and stays there when that is removed.
struct Beside {
  std::vector<std::string> names{};  ///< sorted, as many as people read
  std::uint64_t bytes = 0;           ///< on disk, of all
};
constexpr std::size_t most_beside = 20;
/// `gone`: names of files that go with the log. Nothing where there is no such directory.
Beside beside_log(const std::filesystem::path& directory, const std::vector<std::string>& gone);

/// Removes it, when it is as it was, nobody has it open and the directory is this user's own.
/// Errors: "in_use", "changed", "not_yours", "directory_unreadable", "not_removed"; it stays, each message says why.
Result<void> remove_own(const Removal& removal);

}  // namespace neptune::sources
