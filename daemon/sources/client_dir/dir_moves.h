#pragma once

#include <filesystem>
#include <string>

#include "sources/source.h"
#include "support/error.h"

/// A client's directory that gets another name, or goes. Whoever owns the folders above may put a link at the place of
/// one at any moment: so each is done below descriptors that begin with the very directory that was looked at.
namespace neptune::sources {

/// Renames `from`, which `is` that directory, to `name` in the folder `async` beside the one it is in, as the client's
/// own sync does it. Where that folder is made, it belongs to whom the folder above belongs, with that one's mode. Its
/// new path. Errors: "client_dir_not_renamed".
Result<std::filesystem::path> rename_to_async(const std::filesystem::path& from, const SourceKey& is,
                                              const std::string& name);

/// Removes the directory, with all that is in it. Errors: "client_dir_not_removed".
Result<void> remove_directory(const std::filesystem::path& path, const SourceKey& is);

}  // namespace neptune::sources
