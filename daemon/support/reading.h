#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>

/// How files and folders of other people are read: on whose behalf, and what it means that one could not be.
namespace neptune {

/// Whether an opened file or folder may be read for `reader`: it is theirs, or readable by everybody, as are all
/// folders above it, whatever the daemon itself may read. None, root and the daemon's own user: no such rule.
bool may_be_read_for(std::optional<std::uint32_t> reader, int fd, const struct stat& about);

/// Whether what could not be opened or read because of this errno may be readable in a moment, though nobody mends
/// anything: for want of descriptors or memory, or with a network file system that is away. All else stays as it is.
bool passes(int error);

}  // namespace neptune
