#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace neptune::sources {

/// The file system a folder is on.
struct FileSystem {
  bool network = false;           ///< no inotify for what other hosts do, and no shared memory between hosts
  std::string name;               ///< of a network file system, for people: "NFS"
  std::uint64_t lock_device = 0;  ///< the device /proc/locks calls it by (on btrfs not the one stat tells); 0: unknown
};

/// Asks the kernel. Blocks while a network file system does not answer.
FileSystem file_system_of(const std::filesystem::path& folder);

/// Tests put their own in its place.
using FileSystemProbe = std::function<FileSystem(const std::filesystem::path&)>;

}  // namespace neptune::sources
