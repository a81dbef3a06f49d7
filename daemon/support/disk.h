#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>

namespace neptune {

/// Bytes that are free for us on the disk of `path`. None, and errno says why, where that cannot be told.
std::optional<std::uint64_t> free_space(const std::filesystem::path& path);

/// Takes what rights others than its owner have.
std::error_code keep_private(const std::filesystem::path& file);

}  // namespace neptune
