#include "support/new_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "support/try.h"

namespace neptune {

namespace {

constexpr std::size_t buffered = 256u << 10;

std::unexpected<Error> not_written(const std::filesystem::path& file, int error = errno) {
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
  if (const int error = write_all(fd_.get(), buffer_); error != 0) return not_written(file_, error);
  buffer_.clear();
  return {};
}

Result<void> NewFile::finish() {
  NEPTUNE_TRY(flush());
  if (::fsync(fd_.get()) != 0) return not_written(file_);
  fd_ = Descriptor();
  return {};
}

int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int rename_to_new(const char* from, const char* to) {
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system that does not know that.
  struct stat data{};
  if (::lstat(to, &data) == 0) return EEXIST;
  return ::rename(from, to) == 0 ? 0 : errno;
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened && (::fsync(opened.get()) == 0 || errno == EINVAL)) return {};
  return not_written(folder);
}

}  // namespace neptune
