#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/error.h"

namespace neptune {

/// Files that patterns name, and what each is called in an archive of all of them.
struct FileSet {
  struct Member {
    std::filesystem::path path;
    std::string name;  ///< relative to the folder that all matches have in common: "weights/a.bin"
  };
  std::vector<Member> members;  ///< by path, each once; what is no folder, so links and pipes too
};

/// Patterns are absolute; "*", "?" and "[a-z]" stand for parts of one name, "**" for any folders below. What begins
/// with a dot is matched only by a pattern that does. A folder that is matched stands for all that is in it. Links
/// within the tree are not followed.
///
/// Only folders that may be read for `reader` are looked into (support/reading.h): what is in others they are not told.
///
/// Blocking. Errors: "file_path_invalid" (a pattern that is not absolute, or has ".." in it), "file_not_readable" and
/// "file_not_theirs" (a folder), "file_set_too_large" (more than `most` names were looked at), "file_unreadable" (what
/// stays until somebody mends it), "file_unreadable_now" (retryable). No match is no error.
Result<FileSet> find_files(const std::vector<std::string>& patterns, std::size_t most,
                           std::optional<std::uint32_t> reader = std::nullopt);

}  // namespace neptune
