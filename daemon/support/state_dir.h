#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>

#include "support/descriptor.h"
#include "support/error.h"

namespace neptune {

/// A directory that one process at a time owns, with a reserve of disk space for bad times.
///
/// `lock` is held (flock) while the object lives, so that a second daemon stops with a sentence. `reserve` is a file of
/// `reserve_bytes`: `release_reserve` gives its space back when the disk is full, so that what must be written still
/// can be; `restore_reserve` makes it again once there is room.
class StateDir {
 public:
  static constexpr std::uint64_t reserve_bytes = 4u << 20;  ///< our own choice: some thousand confirmed positions

  static constexpr std::uint64_t left_beside = 1u << 20;  ///< free, or else the reserve is not made again

  /// Makes the directory (mode 0700) when it is missing.
  static Result<StateDir> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  /// True when there was something to give back.
  bool release_reserve();
  /// True when the reserve is whole.
  bool restore_reserve();

 private:
  StateDir(std::filesystem::path path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  Descriptor lock_;
};

}  // namespace neptune
