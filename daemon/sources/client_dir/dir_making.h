#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "sources/source.h"
#include "support/error.h"
#include "support/new_file.h"

namespace neptune::sources {

/// Whether this, all of it, is one operation as whoever reads such a log takes it.
bool is_whole_object(std::string_view json);

/// Makes a directory as the 1.x client leaves one behind, with the operations that are still to be sent.
///
/// Operation: it is built at a place where nobody looks for such directories; `finish` puts it on disk, and `place`
/// gives it its name, in one step.
/// Errors: "client_dir_not_made", and those of support/new_file.h.
class DirMaker {
 public:
  /// What is left at `building` from another time goes.
  static Result<DirMaker> begin(const std::filesystem::path& building, const std::string& metadata);

  /// In its upload_path; `name` is a plain one. Its bytes follow.
  Result<void> begin_file(const std::string& name);
  Result<void> add_bytes(std::string_view piece);
  /// `json` is an object; versions follow one another.
  Result<void> add_operation(Position version, double at, std::string_view json);

  /// `put`: what the client counted. It was written last at `written_ms`, for whoever waits until it is quiet.
  Result<void> finish(Position put, std::int64_t written_ms);
  static Result<void> place(const std::filesystem::path& building, const std::filesystem::path& directory);

 private:
  explicit DirMaker(std::filesystem::path building) : building_(std::move(building)) {}
  Result<void> begin_writing(const std::filesystem::path& file);
  Result<void> end_writing();
  Result<void> write_whole(const char* name, std::string_view text);

  std::filesystem::path building_;
  std::optional<NewFile> file_;  // which is being written
  Position first_ = 0, last_ = 0;
};

}  // namespace neptune::sources
