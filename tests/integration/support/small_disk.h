#pragma once

#include <filesystem>

#include "tests/integration/support/temp_dir.h"

namespace neptune::testing {

/// A file system of its own (tmpfs) of some MiB, to be filled. Needs root: `mounted` tells.
class SmallDisk {
 public:
  explicit SmallDisk(int mebibytes);
  SmallDisk(const SmallDisk&) = delete;
  ~SmallDisk();

  bool mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return temp_.path(); }

  /// Writes a file until nothing fits any more.
  void fill() const;
  /// Removes that file.
  void make_room() const;

 private:
  TempDir temp_;
  bool mounted_;
};

}  // namespace neptune::testing
