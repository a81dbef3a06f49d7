#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "support/descriptor.h"
#include "support/error.h"

namespace neptune {

/// A file that is made and written to its end, of mode 0600. Blocks.
/// Errors: "disk_full", "file_not_written"; each message names the file.
class NewFile {
 public:
  /// What is there under that name goes; where it is a link, the link.
  static Result<NewFile> make(const std::filesystem::path& file);

  Result<void> write(std::string_view bytes);
  /// It is on disk when this returns; its name is once its folder is.
  Result<void> finish();

 private:
  NewFile(std::filesystem::path file, Descriptor fd) : file_(std::move(file)), fd_(std::move(fd)) {}
  Result<void> flush();

  std::filesystem::path file_;
  Descriptor fd_;
  std::string buffer_;
};

// Each gives 0, or errno, and takes no memory: a process may be forked for it.

/// All of them, whatever a call takes at once.
int write_all(int fd, std::string_view bytes);
/// Never over what is there under that name.
int rename_to_new(const char* from, const char* to);

/// What was made, renamed or removed in it is so after a power cut, too.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace neptune
