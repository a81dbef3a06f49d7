#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "server/uploads.h"
#include "support/descriptor.h"

namespace neptune::server {

/// A file that is being sent. Every call blocks: for the worker pool. The errors are those of `identify`, and
/// "file_changed".
///
/// It is opened without following a link at the last step and without waiting (a pipe, a device). What is read is
/// believed only as long as `check` finds the file at its path, of the same size and time as when it was opened.
class OpenFile {
 public:
  static Result<std::shared_ptr<OpenFile>> open(const SourceFile& source);
  OpenFile(Descriptor fd, SourceFile source, FileIdentity identity);

  const FileIdentity& identity() const { return identity_; }
  std::uint64_t size() const { return identity_.size; }

  /// Exactly `size` bytes from `offset` on; a file that has become shorter has changed.
  Result<void> read(std::uint64_t offset, char* into, std::size_t size) const;

  Result<void> check() const;

 private:
  Descriptor fd_;
  SourceFile source_;
  FileIdentity identity_;
};

/// The file's name for messages, cut, and in UTF-8 whatever it is on disk.
std::string shown_path(const SourceFile& source);

}  // namespace neptune::server
