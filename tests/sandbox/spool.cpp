#include "tests/sandbox/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace neptune::sandbox {

namespace {

constexpr std::size_t read_bytes = 256u << 10;

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, kind, nullptr); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  ~Digest() { EVP_MD_CTX_free(context_); }

  void add(std::string_view bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context_, sum.data(), &size);
    std::string out;
    for (unsigned i = 0; i < size; ++i) out += fmt::format("{:02x}", sum[i]);
    return out;
  }

 private:
  EVP_MD_CTX* context_;
};

}  // namespace

Spool::Spool() : fd_(::open(std::filesystem::temp_directory_path().c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)) {
  if (fd_ < 0) throw_errno("the temporary folder takes no file");
}

Spool::~Spool() {
  ::close(fd_);
}

Blob::~Blob() {
  for (const auto& extent : extents_)
    ::fallocate(spool_->fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(extent.offset),
                static_cast<off_t>(extent.size));
}

void Blob::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::pwrite(spool_->fd_, bytes.data(), bytes.size(), static_cast<off_t>(spool_->end_));
    if (written < 0) throw_errno("the temporary folder takes no more");
    const auto size = static_cast<std::uint64_t>(written);
    if (!extents_.empty() && extents_.back().offset + extents_.back().size == spool_->end_)
      extents_.back().size += size;
    else
      extents_.push_back({spool_->end_, size});
    spool_->end_ += size;
    size_ += size;
    bytes.remove_prefix(size);
  }
}

void Blob::append(const Blob& other, std::uint64_t offset) {
  other.read([this](std::string_view piece) { append(piece); }, offset);
}

void Blob::truncate(std::uint64_t size) {
  while (size_ > size) {
    auto& last = extents_.back();
    const auto cut = std::min(last.size, size_ - size);
    last.size -= cut;
    size_ -= cut;
    if (last.size == 0) extents_.pop_back();
  }
}

void Blob::read(const std::function<void(std::string_view)>& piece, std::uint64_t offset) const {
  std::string buffer(read_bytes, '\0');
  for (const auto& extent : extents_) {
    const auto skipped = std::min(offset, extent.size);
    offset -= skipped;
    for (auto at = skipped; at < extent.size;) {
      const auto wanted = std::min<std::uint64_t>(buffer.size(), extent.size - at);
      const auto got = ::pread(spool_->fd_, buffer.data(), wanted, static_cast<off_t>(extent.offset + at));
      if (got <= 0) throw_errno("what was uploaded cannot be read back");
      piece(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
      at += static_cast<std::uint64_t>(got);
    }
  }
}

std::string Blob::text() const {
  std::string out;
  read([&](std::string_view piece) { out += piece; });
  return out;
}

std::uint64_t size_of(const Content& content) {
  std::uint64_t bytes = 0;
  for (const auto& blob : content) bytes += blob->size();
  return bytes;
}

std::string text_of(const Content& content) {
  std::string out;
  for (const auto& blob : content) out += blob->text();
  return out;
}

std::string sha256_of(const std::vector<const Blob*>& blobs) {
  Digest digest(EVP_sha256());
  for (const auto* blob : blobs) blob->read([&](std::string_view piece) { digest.add(piece); });
  return digest.hex();
}

std::string sha256_of(const Content& content) {
  std::vector<const Blob*> blobs;
  for (const auto& blob : content) blobs.push_back(blob.get());
  return sha256_of(blobs);
}

std::string sha256_of(std::string_view bytes) {
  Digest digest(EVP_sha256());
  digest.add(bytes);
  return digest.hex();
}

std::string md5_of(const Blob& blob) {
  Digest digest(EVP_md5());
  blob.read([&](std::string_view piece) { digest.add(piece); });
  return digest.hex();
}

}  // namespace neptune::sandbox
