#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace neptune {

/// Bytes that are free for us on the disk of `path`. None, and errno says why, where that cannot be told.
std::optional<std::uint64_t> free_space(const std::filesystem::path& path);

}  // namespace neptune
