#include "server/source_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "server/impl/text.h"
#include "support/disk.h"
#include "support/new_file.h"
#include "support/reading.h"
#include "support/utf8.h"

namespace neptune::server {

namespace {

std::unexpected<Error> invalid_path(const SourceFile& source) {
  return fail("file_path_invalid",
              fmt::format("'{}' is no path of a file to upload: it must be {}", shown_path(source),
                          source.beneath.empty() ? "absolute" : "a name within its folder, without '..'"));
}

std::unexpected<Error> not_regular(const SourceFile& source, std::string_view what) {
  return fail("file_not_regular", fmt::format("{} is {}; only regular files are uploaded", shown_path(source), what));
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISLNK(mode)) return "a link";
  if (S_ISFIFO(mode)) return "a pipe";
  return S_ISSOCK(mode) ? "a socket" : "a device";
}

std::unexpected<Error> not_opened(const SourceFile& source, int error) {
  const auto path = shown_path(source);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return fail("file_missing", fmt::format("the file {} is not there (any more); put it there and try again", path));
    case EACCES:
    case EPERM:
      return fail("file_not_readable",
                  fmt::format("the file {} may not be read by the daemon; give its user read access", path));
    case ELOOP:
    case ENXIO:
      return not_regular(source, "a link or a device");
    case ENAMETOOLONG:
    case EINVAL:
      return invalid_path(source);
    default:
      break;
  }
  if (passes(error))
    return fail("file_unreadable_now", fmt::format("the file {} cannot be read now ({})", path, std::strerror(error)),
                true);
  return fail("file_unreadable",
              fmt::format("the file {} cannot be read ({}); see to it, then try it again", path, std::strerror(error)));
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
  const auto ns = [](const timespec& at) { return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec; };
  return {about.st_ino, static_cast<std::uint64_t>(about.st_size), ns(about.st_mtim), ns(about.st_ctim)};
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
  if (!S_ISREG(about.st_mode)) return not_regular(source, kind_of(about.st_mode));
  if (!may_be_read_for(source.reader, fd.get(), about))
    return fail(
        "file_not_theirs",
        fmt::format("the file {} belongs to another user and is not readable by everybody, so it is not read on "
                    "behalf of uid {}; copy it to a file of their own",
                    shown_path(source), *source.reader));
  return std::make_shared<OpenFile>(std::move(fd), source, identity_of(about));
}

OpenFile::OpenFile(Descriptor fd, SourceFile source, FileIdentity identity)
    : fd_(std::move(fd)), source_(std::move(source)), identity_(identity) {}

Result<void> OpenFile::read(std::uint64_t offset, char* into, std::size_t size) const {
  while (size > 0) {
    const auto got = ::pread(fd_.get(), into, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return not_opened(source_, errno);
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
  if (::fstat(fd_.get(), &about) != 0) return not_opened(source_, errno);
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

Result<void> remove_file(const SourceFile& file, const std::optional<FileIdentity>& was) {
  auto place = locate(file);
  if (!place) return std::unexpected(std::move(place.error()));
  const auto owner = file.reader.value_or(::geteuid());
  struct stat folder{}, about{};
  if (place->folder.get() < 0) return invalid_path(file);
  if (::fstat(place->folder_fd(), &folder) != 0 ||
      ::fstatat(place->folder_fd(), place->name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0)
    return not_opened(file, errno);
  if (!S_ISREG(about.st_mode) || (was && identity_of(about) != *was)) return changed(file);
  if (folder.st_uid != owner || about.st_uid != owner)
    return fail("file_not_theirs", fmt::format("the file {} or its folder belongs to somebody else than uid {}, so it "
                                               "is not removed on their behalf; remove it by hand",
                                               shown_path(file), owner));
  if (::unlinkat(place->folder_fd(), place->name.c_str(), 0) == 0) return {};
  return fail("file_not_removed", fmt::format("the file {} could not be removed: {}; remove it by hand",
                                              shown_path(file), std::strerror(errno)));
}

namespace {

constexpr std::size_t copy_piece = 1u << 20;

std::unexpected<Error> not_copied(const std::filesystem::path& to, int error) {
  if (error == ENOSPC || error == EDQUOT)
    return fail("disk_full",
                fmt::format("the disk of {} is full, and the file was not copied there; free some space there",
                            to.parent_path().string()),
                true);
  return fail("file_not_copied",
              fmt::format("the file could not be copied to {}: {}", to.parent_path().string(), std::strerror(error)));
}

Result<void> has_room(const std::filesystem::path& to, std::uint64_t size, std::uint64_t keep_free) {
  const auto free = free_space(to.parent_path());
  if (!free) return not_copied(to, errno);
  if (*free >= size && *free - size >= keep_free) return {};
  return fail("low_disk",
              fmt::format("the file has {} bytes, and of the {} bytes free on the disk of {}, {} are to stay free; "
                          "upload it without a copy, or free some space there",
                          size, *free, to.parent_path().string(), keep_free),
              true);
}

Result<FileIdentity> copy_into(const OpenFile& from, int fd, const std::filesystem::path& to) {
  std::vector<char> piece(copy_piece);
  for (std::uint64_t offset = 0; offset < from.size(); offset += piece.size()) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(copy_piece, from.size() - offset));
    if (auto read = from.read(offset, piece.data(), size); !read) return std::unexpected(read.error());
    if (const int error = write_all(fd, {piece.data(), size}); error != 0) return not_copied(to, error);
  }
  if (auto same = from.check(); !same) return std::unexpected(same.error());
  struct stat about{};
  if (::fsync(fd) != 0 || ::fstat(fd, &about) != 0) return not_copied(to, errno);
  const Descriptor folder(::open(to.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return not_copied(to, errno);
  return identity_of(about);
}

}  // namespace

Result<FileIdentity> copy_file(const SourceFile& file, const std::filesystem::path& to, std::uint64_t keep_free) {
  const auto from = OpenFile::open(file);
  if (!from) return std::unexpected(from.error());
  if (auto room = has_room(to, (*from)->size(), keep_free); !room) return std::unexpected(room.error());
  const Descriptor fd(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd.get() < 0) return not_copied(to, errno);
  auto copied = copy_into(**from, fd.get(), to);
  if (!copied) ::unlink(to.c_str());
  return copied;
}

}  // namespace neptune::server
