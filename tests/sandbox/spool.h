#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace neptune::sandbox {

/// Bytes of files that are being uploaded: in one file without a name in the temporary folder, never in memory.
class Spool {
 public:
  /// Throws std::system_error when the folder takes no file.
  Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool();

 private:
  friend class Blob;
  int fd_;
  std::uint64_t end_ = 0;
};

/// A string of bytes in a spool, which gets its room on the disk back when it goes.
class Blob {
 public:
  explicit Blob(std::shared_ptr<Spool> spool) : spool_(std::move(spool)) {}
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;
  ~Blob();

  std::uint64_t size() const { return size_; }
  void append(std::string_view bytes);
  /// Leaves out what is before `offset`.
  void append(const Blob& other, std::uint64_t offset = 0);
  void truncate(std::uint64_t size);
  /// All of it, in pieces.
  void read(const std::function<void(std::string_view)>& piece, std::uint64_t offset = 0) const;
  /// All of it at once: for what is small.
  std::string text() const;

 private:
  struct Extent {
    std::uint64_t offset, size;
  };
  std::shared_ptr<Spool> spool_;
  std::vector<Extent> extents_;
  std::uint64_t size_ = 0;
};

/// The bytes of a file: those of the blobs, one after the other.
using Content = std::vector<std::shared_ptr<Blob>>;
std::uint64_t size_of(const Content& content);
/// All of them at once.
std::string text_of(const Content& content);

/// SHA-256, 64 hex digits.
std::string sha256_of(const std::vector<const Blob*>& blobs);
std::string sha256_of(const Content& content);
std::string sha256_of(std::string_view bytes);
/// MD5, 32 hex digits: what an ETag is.
std::string md5_of(const Blob& blob);

}  // namespace neptune::sandbox
