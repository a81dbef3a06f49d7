#include "sources/client_dir/client_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "sources/client_dir/object_scan.h"
#include "support/try.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t read_bytes = 256u << 10;
constexpr Position mark_every = 512;

Error changed(const fs::path& path) {
  return {"client_dir_changed", fmt::format("{} changed while it was read; it is read again", path.string()), true};
}

}  // namespace

/// One data file, object by object.
class ClientLog::Reader {
 public:
  static Result<Reader> open(const ClientLog& log, Position file, std::uint64_t offset) {
    const auto name = data_file_name(file);
    Reader reader;
    reader.file_ = open_below(log.directory_, name, O_RDONLY);
    if (!reader.file_ && errno == ENOENT) return std::unexpected(changed(log.path_));
    reader.path_ = log.path_ / name;
    if (!reader.file_) return std::unexpected(unreadable(reader.path_, errno));
    reader.offset_ = offset;
    return reader;
  }

  /// The next object, or why there is none: `incomplete` and `nothing` are the end of the file.
  Result<ScanEnd> next() {
    for (;;) {
      const auto result = scan_object(buffer_, begin_);
      object_ = result.object;
      fault_ = offset_ + result.fault;
      if (result.end == ScanEnd::object) {
        begin_ = result.object.end;
        return result.end;
      }
      if (result.end == ScanEnd::bad) return result.end;
      if (buffer_.size() - begin_ > longest_object) {
        fault_ = offset_ + begin_;
        return ScanEnd::bad;
      }
      auto more = fill();
      if (!more) return std::unexpected(std::move(more.error()));
      if (!*more) return result.end;
    }
  }

  const ScannedObject& object() const { return object_; }
  std::string_view obj() const {
    return std::string_view(buffer_).substr(object_.obj_begin, object_.obj_end - object_.obj_begin);
  }
  std::uint64_t offset() const { return offset_ + begin_; }  ///< where the next object is looked for
  std::uint64_t fault() const { return fault_; }

 private:
  Result<bool> fill() {
    buffer_.erase(0, begin_);
    offset_ += begin_;
    begin_ = 0;
    const auto kept = buffer_.size();
    buffer_.resize(kept + std::max(read_bytes, kept));
    ssize_t got = 0;
    do {
      got = ::pread(file_.get(), buffer_.data() + kept, buffer_.size() - kept, static_cast<off_t>(offset_ + kept));
    } while (got < 0 && errno == EINTR);
    const int error = errno;
    buffer_.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return std::unexpected(unreadable(path_, error));
    return got > 0;
  }

  Descriptor file_;
  fs::path path_;
  std::string buffer_;
  std::uint64_t offset_ = 0;  // of the buffer in the file
  std::size_t begin_ = 0;     // in the buffer
  ScannedObject object_;
  std::uint64_t fault_ = 0;
};

ClientLog::ClientLog(fs::path directory) : path_(std::move(directory)) {}

void ClientLog::moved_to(fs::path directory) {
  const std::scoped_lock lock(mutex_);
  path_ = std::move(directory);
}

void ClientLog::release() {
  const std::scoped_lock lock(mutex_);
  directory_ = Descriptor();
}

Result<void> ClientLog::open() {
  if (directory_) return {};
  directory_ = open_directory(path_);
  if (directory_) return {};
  if (errno == ENOENT) return std::unexpected(changed(path_));
  return std::unexpected(unreadable(path_, errno));
}

Error ClientLog::damaged(Position file, std::uint64_t offset, const std::string& why) const {
  return {"client_dir_damaged",
          fmt::format("{} {} at byte {}; nothing of the directory is touched: mend it, or move it away",
                      (path_ / data_file_name(file)).string(), why, offset)};
}

/// What was looked at is not what is there now: all of it is looked at anew.
Error ClientLog::overwritten() {
  begun_ = false;
  return changed(path_);
}

Result<void> ClientLog::begin(Position acked, const std::vector<Position>& files) {
  const auto after = std::ranges::upper_bound(files, acked + 1);
  if (after == files.begin())
    return fail("client_dir_damaged",
                fmt::format("{} has lost its operations {} to {}: its first file begins with {}; nothing of it is "
                            "touched: put the files back, or move the directory away",
                            path_.string(), acked + 1, files.front() - 1, files.front()));
  const auto first = *std::prev(after);
  end_ = {first, 0, 0, first - 1};
  marks_.clear();
  marks_[end_.version] = end_;
  begun_ = true;
  return {};
}

/// Reads on; true when the bound ended it.
Result<bool> ClientLog::advance(const std::vector<Position>& files, std::uint64_t bound) {
  const auto until = end_.total + bound;
  for (;;) {
    auto reader = Reader::open(*this, end_.file, end_.offset);
    if (!reader) return std::unexpected(std::move(reader.error()));
    for (;;) {
      auto found = reader->next();
      if (!found) return std::unexpected(std::move(found.error()));
      if (*found == ScanEnd::bad)
        return std::unexpected(damaged(end_.file, reader->fault(), "holds what is no operation of the client's"));
      const auto next_file = std::ranges::upper_bound(files, end_.file);
      if (*found != ScanEnd::object) {
        if (next_file == files.end()) return false;
        if (*found == ScanEnd::incomplete)
          return std::unexpected(
              damaged(end_.file, end_.offset, "ends within an operation although another file follows,"));
        if (*next_file != end_.version + 1)
          return std::unexpected(
              damaged(*next_file, 0, fmt::format("follows operation {}, and so others are missing,", end_.version)));
        end_ = {*next_file, 0, end_.total, end_.version};
        marks_[end_.version] = end_;
        break;
      }
      if (reader->object().version != end_.version + 1)
        return std::unexpected(
            damaged(end_.file, end_.offset,
                    fmt::format("has operation {} after operation {}", reader->object().version, end_.version)));
      const auto size = reader->offset() - end_.offset;
      end_.offset += size;
      end_.total += size;
      end_.version++;
      if (end_.version % mark_every == 0) marks_[end_.version] = end_;
      if (end_.total >= until) return true;
    }
  }
}

/// The place of what comes after `version`, which was passed by a look.
Result<ClientLog::Place> ClientLog::find(Position version) {
  auto mark = marks_.upper_bound(version);
  if (mark == marks_.begin()) return std::unexpected(overwritten());
  auto place = std::prev(mark)->second;
  if (place.version == version) return place;
  auto reader = Reader::open(*this, place.file, place.offset);
  if (!reader) return std::unexpected(std::move(reader.error()));
  while (place.version < version) {
    auto found = reader->next();
    if (!found) return std::unexpected(std::move(found.error()));
    if (*found != ScanEnd::object) return std::unexpected(overwritten());
    const auto size = reader->offset() - place.offset;
    place.offset += size;
    place.total += size;
    place.version = reader->object().version;
  }
  return place;
}

Result<ClientLog::State> ClientLog::look(Position after, std::uint64_t bound) {
  const std::scoped_lock lock(mutex_);
  NEPTUNE_TRY(open());
  // The acknowledged version first: the client counts up meanwhile.
  const auto acked = read_version(directory_, path_, VersionFile::ack);
  if (!acked) return std::unexpected(acked.error());
  const auto put = read_version(directory_, path_, VersionFile::put);
  if (!put) return std::unexpected(put.error());
  if (*acked > *put)
    return fail("client_dir_damaged",
                fmt::format("{} says that operation {} is done (last_ack_version), and the last that was logged is {} "
                            "(last_put_version); nothing of it is touched: mend the files, or move the directory away",
                            path_.string(), *acked, *put));
  const auto files = data_files(directory_, path_);
  if (!files) return std::unexpected(files.error());
  // What somebody else acknowledged he may have removed too.
  if (begun_ && !std::ranges::binary_search(*files, end_.file)) begun_ = false;
  if (!begun_ && !files->empty()) NEPTUNE_TRY(begin(*acked, *files));
  bool more = false;
  if (begun_) {
    auto advanced = advance(*files, bound);
    if (!advanced) return std::unexpected(std::move(advanced.error()));
    more = *advanced;
  }
  return state_of(*acked, *put, after, more);
}

Result<ClientLog::State> ClientLog::state_of(Position acked, Position put, Position after, bool more) {
  State state;
  state.acked = acked;
  state.put = put;
  state.more = more;
  state.last = begun_ ? std::max(end_.version, acked) : acked;
  const auto from = std::max(after, acked);
  if (state.last <= from) return state;
  state.count = static_cast<std::uint64_t>(state.last - from);
  const auto place = find(from);
  if (!place) return std::unexpected(place.error());
  state.bytes = end_.total - place->total;
  auto reader = Reader::open(*this, place->file, place->offset);
  if (!reader) return std::unexpected(std::move(reader.error()));
  const auto first = reader->next();
  if (first && *first == ScanEnd::object) state.oldest_at = reader->object().at;
  return state;
}

Result<std::vector<LoggedOperation>> ClientLog::read(Position first, Position last, std::uint64_t operations,
                                                     std::uint64_t bytes,
                                                     bool (*stands_alone)(const LoggedOperation&)) {
  const std::scoped_lock lock(mutex_);
  NEPTUNE_TRY(open());
  auto place = find(first - 1);
  if (!place) return std::unexpected(std::move(place.error()));
  std::vector<LoggedOperation> out;
  std::uint64_t taken = 0;
  while (place->version < last && place->version < end_.version) {
    // Before an operation with which a file begins, the place may be the end of the file before.
    const auto mark = marks_.find(place->version);
    if (mark != marks_.end()) *place = mark->second;
    auto reader = Reader::open(*this, place->file, place->offset);
    if (!reader) return std::unexpected(std::move(reader.error()));
    for (;;) {
      auto found = reader->next();
      if (!found) return std::unexpected(std::move(found.error()));
      if (*found != ScanEnd::object) break;
      LoggedOperation next{reader->object().version, reader->object().at, strict_json(reader->obj())};
      taken += next.json.size();
      const bool alone = stands_alone(next);
      if (!out.empty() && (alone || taken > bytes)) return out;
      place->version = next.version;
      out.push_back(std::move(next));
      if (alone || out.size() == operations || place->version >= last || place->version >= end_.version) return out;
    }
    if (!marks_.contains(place->version)) return std::unexpected(overwritten());
  }
  if (out.empty()) return std::unexpected(overwritten());
  return out;
}

Result<ClientLog::Origin> ClientLog::origin() {
  const std::scoped_lock lock(mutex_);
  NEPTUNE_TRY(open());
  struct stat about{};
  if (::fstat(directory_.get(), &about) != 0) return std::unexpected(unreadable(path_, errno));
  Origin origin{path_, about.st_uid};
  const auto files = data_files(directory_, path_);
  if (!files) return std::unexpected(files.error());
  // What anybody but root wrote is read as theirs, whoever made the directory.
  std::optional<std::uint32_t> writer;
  for (const auto file : *files) {
    if (::fstatat(directory_.get(), data_file_name(file).c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (about.st_uid == 0) continue;
    if (writer && *writer != about.st_uid)
      return fail("client_dir_owners",
                  fmt::format("the logs in {} are of different users (uid {} and {}), so that nobody can tell whose "
                              "files may be read for them; give them to one user",
                              path_.string(), *writer, about.st_uid));
    writer = origin.uid = about.st_uid;
  }
  return origin;
}

Result<void> ClientLog::acknowledge(Position upto) {
  const std::scoped_lock lock(mutex_);
  NEPTUNE_TRY(open());
  const auto acked = read_version(directory_, path_, VersionFile::ack);
  if (!acked) return std::unexpected(acked.error());
  if (upto > *acked) NEPTUNE_TRY(write_ack(directory_, path_, upto));
  const auto done = std::max(upto, *acked);
  const auto files = data_files(directory_, path_);
  if (!files) return std::unexpected(files.error());
  for (std::size_t i = 0; i + 1 < files->size() && (*files)[i + 1] <= done; ++i)
    ::unlinkat(directory_.get(), data_file_name((*files)[i]).c_str(), 0);  // what stays goes with the directory
  if (const auto mark = marks_.upper_bound(done); mark != marks_.begin()) marks_.erase(marks_.begin(), std::prev(mark));
  return {};
}

}  // namespace neptune::sources
