#include "support/new_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/try.h"

namespace neptune {

namespace {

constexpr std::size_t buffered = 256u << 10;

std::unexpected<Error> not_written(const std::filesystem::path& file) {
  const int error = errno;
  return fail(error == ENOSPC || error == EDQUOT ? "disk_full" : "file_not_written",
              fmt::format("{} cannot be written: {}", file.string(), std::strerror(error)));
}

}  // namespace

Result<NewFile> NewFile::make(const std::filesystem::path& file) {
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) return not_written(file);
  Descriptor fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return not_written(file);
  return NewFile(file, std::move(fd));
}

Result<void> NewFile::write(std::string_view bytes) {
  buffer_ += bytes;
  return buffer_.size() < buffered ? Result<void>{} : flush();
}

Result<void> NewFile::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const auto n = ::write(fd_.get(), left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return not_written(file_);
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  buffer_.clear();
  return {};
}

Result<void> NewFile::finish() {
  NEPTUNE_TRY(flush());
  if (::fsync(fd_.get()) != 0) return not_written(file_);
  fd_ = Descriptor();
  return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened && (::fsync(opened.get()) == 0 || errno == EINVAL)) return {};
  return not_written(folder);
}

}  // namespace neptune
