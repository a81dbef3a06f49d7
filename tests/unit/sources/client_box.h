#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/integration/support/temp_dir.h"

namespace neptune::sources {

/// A directory as the 1.x client leaves it, in a temporary folder.
class ClientBox {
 public:
  static constexpr int dead_pid = 4'194'301;  ///< beyond what this kernel gives out, as good as never there

  explicit ClientBox(std::string place = "offline", std::string id = "38e2da7e-bc78-4efa-9a32-48b0971394dd",
                     int pid = dead_pid);

  std::filesystem::path root() const { return dir_.path(); }
  const std::filesystem::path& path() const { return path_; }

  void write(const std::string& file, const std::string& text) const;
  void append(const std::string& file, const std::string& text) const;
  std::string text(const std::string& file) const;
  bool has(const std::string& file) const { return std::filesystem::exists(path_ / file); }
  void write_metadata(const std::string& type = "run", int structure = 3,
                      const std::string& created = "2026-11-23T16:51:28.547685+00:00") const;
  /// Everything was written so long ago.
  void age(std::chrono::seconds by) const;

  /// One operation as the client logs it.
  static std::string operation(int version);
  static std::string operations(int first, int last);

 private:
  testing::TempDir dir_;
  std::filesystem::path path_;
};

}  // namespace neptune::sources
