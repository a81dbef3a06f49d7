#pragma once

#include <boost/crc.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/source_file.h"

namespace neptune::server {

/// One file of an archive, as it was when the archive was planned.
struct ArchiveMember {
  SourceFile file;
  std::string name;  ///< in the archive
  FileIdentity identity;
};

/// A tar archive of files, in gzip's form, as a stream of a length that is known beforehand: stored, not compressed, as
/// most of what training writes does not become smaller. One file is open at a time. Blocks: for the worker pool.
class TarStream {
 public:
  explicit TarStream(std::vector<ArchiveMember> members);

  std::uint64_t size() const;

  /// A view valid until the next call; empty at the end. Fails with "file_changed" and its like.
  Result<std::string_view> next();

  /// Bytes of files in what was told so far.
  std::uint64_t content_bytes() const { return content_bytes_; }

 private:
  Result<void> fill(std::string& block, std::size_t size);
  Result<void> open_next();

  std::vector<ArchiveMember> members_;
  std::uint64_t tar_size_ = 0, told_ = 0;
  std::size_t next_member_ = 0;
  std::string pending_;  // of the archive's own bytes
  std::shared_ptr<OpenFile> file_;
  std::uint64_t offset_ = 0;
  std::uint64_t content_bytes_ = 0;
  bool ended_ = false;
  boost::crc_32_type crc_;
  std::string piece_;
};

}  // namespace neptune::server
