#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sources/source.h"
#include "support/descriptor.h"
#include "support/error.h"

/// The files of one 1.x client's directory:
///
///   metadata.json            mode, container, structureVersion, createdAt
///   data-<first version>.log operations, one object after the other; a new file every 64 MiB
///   last_put_version         decimal text, empty is 0: the last operation that the client logged
///   last_ack_version         likewise: operations up to it are done
///   upload_path/             files that wait to be uploaded
///
/// Every name comes from outside: files are opened below the directory's descriptor, are not followed when they are
/// links, and must be regular.
namespace neptune::sources {

/// errno is that of the open. `flags` besides O_CLOEXEC, O_NOFOLLOW and O_NONBLOCK.
Descriptor open_directory(const std::filesystem::path& directory);
Descriptor open_below(const Descriptor& directory, const std::string& name, int flags, unsigned mode = 0);

/// The versions in the names of the data files, ascending.
Result<std::vector<Position>> data_files(const Descriptor& directory, const std::filesystem::path& path);
std::string data_file_name(Position first);

enum class VersionFile : std::uint8_t { put, ack };

/// 0 when it is empty, or not there. Errors: "client_dir_unreadable", "client_dir_damaged".
Result<Position> read_version(const Descriptor& directory, const std::filesystem::path& path, VersionFile file);
/// In place, as the client does it, and on disk when it returns.
Result<void> write_ack(const Descriptor& directory, const std::filesystem::path& path, Position version);

struct ClientMetadata {
  std::string container_type;
  std::string created_at;       ///< as written
  std::int64_t created_ms = 0;  ///< 0: not said, or not understood
};

/// Errors: "client_dir_without_metadata", "client_dir_unreadable", "client_dir_damaged", "client_dir_version".
Result<ClientMetadata> read_metadata(const Descriptor& directory, const std::filesystem::path& path);

/// All that metadata.json holds, as it was written. Errors: as `read_metadata`, but of its form.
Result<std::string> metadata_text(const Descriptor& directory, const std::filesystem::path& path);

/// The error for what could not be opened or read.
Error unreadable(const std::filesystem::path& path, int error);

}  // namespace neptune::sources
