#include "sources/client_dir/dir_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>

namespace neptune::sources {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::size_t longest_version = 20;
constexpr std::size_t longest_metadata = 64u << 10;
constexpr std::int64_t known_structure = 3;
constexpr std::string_view data_head = "data-", data_tail = ".log";

const char* name_of(VersionFile file) {
  return file == VersionFile::put ? "last_put_version" : "last_ack_version";
}

std::optional<Position> number_in(std::string_view text) {
  Position value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// All of a small file; errno tells why not. More than `limit` is EFBIG.
std::optional<std::string> read_small(const Descriptor& file, std::size_t limit) {
  std::string text(limit + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const auto got = ::pread(file.get(), text.data() + size, text.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > limit) {
    errno = EFBIG;
    return std::nullopt;
  }
  text.resize(size);
  return text;
}

std::unexpected<Error> damaged(const fs::path& file, std::string_view why) {
  return fail("client_dir_damaged",
              fmt::format("{} {}; nothing of the directory is touched: mend it, or move the directory away",
                          file.string(), why));
}

/// "2026-11-23T16:51:28.547685+00:00"; 0 when it is not one.
std::int64_t unix_ms(const std::string& text) {
  std::tm parts{};
  int used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                  &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &used) != 6)
    return 0;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  std::int64_t ms = std::int64_t{::timegm(&parts)} * 1000;
  auto rest = std::string_view(text).substr(static_cast<std::size_t>(used));
  if (rest.starts_with('.')) {
    const auto end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    const auto digits = std::string(rest.substr(1, std::min<std::size_t>(end - 1, 3))) + "000";
    ms += number_in(std::string_view(digits).substr(0, 3)).value_or(0);
    rest.remove_prefix(end);
  }
  int hours = 0, minutes = 0;
  const std::string zone(rest);
  if (zone.empty() || zone == "Z") return ms;
  if (std::sscanf(zone.c_str() + 1, "%2d:%2d", &hours, &minutes) != 2 || (zone[0] != '+' && zone[0] != '-')) return 0;
  const std::int64_t offset = (std::int64_t{hours} * 60 + minutes) * 60'000;
  return zone[0] == '+' ? ms - offset : ms + offset;
}

std::string text_member(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// A pipe that nobody reads is ENXIO.
const char* why_not(int error) {
  return error == ELOOP || error == ENXIO ? "it is no regular file" : strerror(error);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

}  // namespace

Descriptor open_directory(const fs::path& directory) {
  return Descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

Descriptor open_below(const Descriptor& directory, const std::string& name, int flags, unsigned mode) {
  Descriptor file(::openat(directory.get(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode));
  struct stat data{};
  if (file && (::fstat(file.get(), &data) != 0 || !S_ISREG(data.st_mode))) {
    file = Descriptor();
    errno = ELOOP;
  }
  return file;
}

Error unreadable(const fs::path& path, int error) {
  return {"client_dir_unreadable",
          fmt::format("{} cannot be read ({}); let the daemon's user read it, or run the daemon as its owner",
                      path.string(), why_not(error))};
}

std::string data_file_name(Position first) {
  return fmt::format("{}{}{}", data_head, first, data_tail);
}

Result<std::vector<Position>> data_files(const Descriptor& directory, const fs::path& path) {
  // fdopendir takes a descriptor of its own, with a position of its own.
  const int fd = ::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, CloseDirectory> listing(fd < 0 ? nullptr : fdopendir(fd));
  if (!listing) return std::unexpected(unreadable(path, errno));
  std::vector<Position> files;
  while (const dirent* entry = readdir(listing.get())) {
    std::string_view name = entry->d_name;
    if (!name.starts_with(data_head) || !name.ends_with(data_tail)) continue;
    name.remove_prefix(data_head.size());
    name.remove_suffix(data_tail.size());
    if (const auto first = number_in(name); first && data_file_name(*first) == entry->d_name) files.push_back(*first);
  }
  std::ranges::sort(files);
  return files;
}

Result<Position> read_version(const Descriptor& directory, const fs::path& path, VersionFile which) {
  const auto name = name_of(which);
  const auto file = open_below(directory, name, O_RDONLY);
  if (!file && errno == ENOENT) return 0;
  if (!file) return std::unexpected(unreadable(path / name, errno));
  const auto text = read_small(file, 4 * longest_version);
  if (!text) return std::unexpected(unreadable(path / name, errno));
  const auto digits = trimmed(*text);
  if (digits.empty()) return 0;
  const auto version = number_in(digits);
  if (!version) return damaged(path / name, "holds no version of an operation");
  return *version;
}

Result<void> write_ack(const Descriptor& directory, const fs::path& path, Position version) {
  const auto name = name_of(VersionFile::ack);
  const auto failed = [&path, name]() {
    const int error = errno;
    return fail(error == ENOSPC || error == EDQUOT ? "disk_full" : "client_dir_unwritable",
                fmt::format("{} cannot be written ({})", (path / name).string(), why_not(error)), true);
  };
  // The mode that open() gives in Python.
  const auto file = open_below(directory, name, O_WRONLY | O_CREAT, 0666);
  if (!file) return failed();
  const auto text = std::to_string(version);
  // Versions grow, and so does their text: at no moment is there a smaller one or none.
  if (::pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return failed();
  if (::ftruncate(file.get(), static_cast<off_t>(text.size())) != 0 || ::fdatasync(file.get()) != 0) return failed();
  return {};
}

Result<std::string> metadata_text(const Descriptor& directory, const fs::path& path) {
  const auto file = path / "metadata.json";
  const auto opened = open_below(directory, "metadata.json", O_RDONLY);
  if (!opened && errno == ENOENT)
    return fail("client_dir_without_metadata",
                fmt::format("{} has no metadata.json, so nobody knows what its operations belong to; remove it, or put "
                            "the file back",
                            path.string()));
  if (!opened) return std::unexpected(unreadable(file, errno));
  auto text = read_small(opened, longest_metadata);
  if (!text && errno == EFBIG) return damaged(file, "is much larger than the client writes it");
  if (!text) return std::unexpected(unreadable(file, errno));
  return std::move(*text);
}

Result<ClientMetadata> read_metadata(const Descriptor& directory, const fs::path& path) {
  const auto file = path / "metadata.json";
  const auto text = metadata_text(directory, path);
  if (!text) return std::unexpected(text.error());
  json::error_code error;
  const auto value = json::parse(*text, error);
  if (error || !value.is_object()) return damaged(file, "is not the JSON object that the client writes");
  const auto& object = value.get_object();
  const auto* structure = object.if_contains("structureVersion");
  if (!structure || !structure->is_int64()) return damaged(file, "says no structureVersion");
  if (structure->get_int64() != known_structure)
    return fail(
        "client_dir_version",
        fmt::format("{} has the format version {}; this daemon knows {} only: upgrade it, or sync the directory "
                    "with the client's own command",
                    path.string(), structure->get_int64(), known_structure));
  ClientMetadata metadata;
  metadata.container_type = text_member(object, "containerType");
  metadata.created_at = text_member(object, "createdAt");
  metadata.created_ms = unix_ms(metadata.created_at);
  return metadata;
}

}  // namespace neptune::sources
