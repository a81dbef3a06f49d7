#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "support/descriptor.h"
#include "support/error.h"

namespace neptune::app {

/// A new file that gets its name when all of it is there: until then it is `<file>.part`, which goes when this process
/// ends, however it ends.
///
/// Operation: the names are the business of a process of its own, started at once. So they can be given after this
/// process went on as somebody who may not write that directory.
class OutputFile {
 public:
  /// "-" is standard output. Errors: "export_not_written", also where there is such a file: nothing is overwritten.
  static Result<OutputFile> open(const std::string& file);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  int fd() const;
  /// It has its name when this returns, also after a power cut. The bytes are the caller's to put on disk.
  Result<void> give_name();

 private:
  OutputFile() = default;
  std::string file_;
  Descriptor fd_, keeper_;  // none: standard output
  pid_t pid_ = -1;
};

}  // namespace neptune::app
