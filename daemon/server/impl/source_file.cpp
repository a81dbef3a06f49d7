#include "server/impl/source_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "server/impl/text.h"

namespace neptune::server {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::unexpected<Error> invalid_path(const SourceFile& source) {
  return fail("file_path_invalid",
              fmt::format("'{}' is no path of a file to upload: it must be {}", shown_path(source),
                          source.beneath.empty() ? "absolute" : "a name within its folder, without '..'"));
}

std::unexpected<Error> not_opened(const SourceFile& source, int error) {
  const auto path = shown_path(source);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return fail("file_missing", fmt::format("the file {} is not there any more; put it back and try again", path));
    case EACCES:
    case EPERM:
      return fail("file_not_readable",
                  fmt::format("the file {} may not be read by the daemon; give its user read access", path));
    case ELOOP:
    case ENXIO:
      return fail("file_not_regular", fmt::format("{} is a link or a device; only regular files are uploaded", path));
    case ENAMETOOLONG:
    case EINVAL:
      return invalid_path(source);
    default:
      return fail("file_unreadable_now",
                  fmt::format("the file {} cannot be read now ({}); it is tried again", path, std::strerror(error)),
                  true);
  }
}

std::unexpected<Error> changed(const SourceFile& source) {
  return fail("file_changed", fmt::format("the file {} was changed while it was to be uploaded; upload it again when "
                                          "it is complete",
                                          shown_path(source)));
}

bool is_valid(const SourceFile& source) {
  if (source.path.empty() || source.path.find('\0') != std::string::npos) return false;
  if (source.beneath.empty()) return source.path.front() == '/';
  if (source.beneath.front() != '/' || source.beneath.find('\0') != std::string::npos) return false;
  for (std::size_t from = 0; from <= source.path.size();) {
    const auto end = std::min(source.path.find('/', from), source.path.size());
    const auto part = std::string_view(source.path).substr(from, end - from);
    if (part.empty() || part == "." || part == "..") return false;
    from = end + 1;
  }
  return true;
}

/// Where a file lies, as openat takes it.
struct Place {
  Descriptor folder;
  std::string name;
  int folder_fd() const { return folder.get() < 0 ? AT_FDCWD : folder.get(); }
};

/// Walks down to the file's folder; below `beneath` it follows no link, so that nobody leads out of it.
Result<Place> locate(const SourceFile& source) {
  if (!is_valid(source)) return invalid_path(source);
  Place place;
  if (source.beneath.empty()) {
    place.name = source.path;
    return place;
  }
  place.folder = Descriptor(::open(source.beneath.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (place.folder.get() < 0) return not_opened(source, errno);
  std::string_view rest = source.path;
  for (auto slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    const std::string step(rest.substr(0, slash));
    Descriptor next(::openat(place.folder.get(), step.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (next.get() < 0) return not_opened(source, errno);
    place.folder = std::move(next);
    rest.remove_prefix(slash + 1);
  }
  place.name = rest;
  return place;
}

FileIdentity identity_of(const struct stat& about) {
  return {about.st_dev, about.st_ino, static_cast<std::uint64_t>(about.st_size),
          std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec};
}

}  // namespace

std::string shown_path(const SourceFile& source) {
  auto path = source.beneath.empty() ? source.path : source.beneath + "/" + source.path;
  // A name on disk is bytes of any kind, and a message is UTF-8.
  if (!is_utf8(path))
    for (auto& c : path)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return excerpt(path, 300);
}

Result<std::shared_ptr<OpenFile>> OpenFile::open(const SourceFile& source) {
  auto place = locate(source);
  if (!place) return std::unexpected(std::move(place.error()));
  constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  Descriptor fd(::openat(place->folder_fd(), place->name.c_str(), flags));
  if (fd.get() < 0) return not_opened(source, errno);
  struct stat about{};
  if (::fstat(fd.get(), &about) != 0) return not_opened(source, errno);
  if (!S_ISREG(about.st_mode)) return not_opened(source, ELOOP);
  return std::make_shared<OpenFile>(fd.release(), source, identity_of(about));
}

OpenFile::OpenFile(int fd, SourceFile source, FileIdentity identity)
    : fd_(fd), source_(std::move(source)), identity_(identity) {}

OpenFile::~OpenFile() {
  ::close(fd_);
}

Result<void> OpenFile::read(std::uint64_t offset, char* into, std::size_t size) const {
  while (size > 0) {
    const auto got = ::pread(fd_, into, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return not_opened(source_, errno == EACCES || errno == EPERM ? EIO : errno);
    if (got == 0) return changed(source_);
    const auto bytes = static_cast<std::size_t>(got);
    offset += bytes;
    into += bytes;
    size -= bytes;
  }
  return {};
}

Result<void> OpenFile::check() const {
  struct stat about{};
  if (::fstat(fd_, &about) != 0) return not_opened(source_, errno);
  if (identity_of(about) != identity_) return changed(source_);
  auto place = locate(source_);
  if (!place) return std::unexpected(std::move(place.error()));
  if (::fstatat(place->folder_fd(), place->name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0)
    return not_opened(source_, errno);
  if (identity_of(about) != identity_) return changed(source_);
  return {};
}

Result<FileIdentity> identify(const SourceFile& file) {
  const auto opened = OpenFile::open(file);
  if (!opened) return std::unexpected(opened.error());
  return (*opened)->identity();
}

}  // namespace neptune::server
