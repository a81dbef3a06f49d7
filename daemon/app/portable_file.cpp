#include "app/portable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "app/sha256.h"
#include "support/base64.h"
#include "support/new_file.h"
#include "support/sizes.h"
#include "support/try.h"

namespace neptune::app {

namespace json = boost::json;

namespace {

constexpr std::size_t buffered = 256u << 10;
constexpr std::size_t longest_line = 8u << 20;  // of a change, which has 2 MiB of payload at most

}  // namespace

class PortableWriter::Digest : public Sha256 {};

PortableWriter::PortableWriter(int fd, std::string name)
    : fd_(fd), name_(std::move(name)), digest_(std::make_unique<Digest>()) {}
PortableWriter::~PortableWriter() = default;

Result<void> PortableWriter::flush() {
  if (const int error = write_all(fd_, buffer_); error != 0)
    return fail("export_not_written", fmt::format("{} cannot be written: {}", name_, std::strerror(error)));
  buffer_.clear();
  return {};
}

Result<void> PortableWriter::write(const json::object& object) {
  const auto line = json::serialize(object) + "\n";
  digest_->add(line);
  buffer_ += line;
  lines_++;
  return buffer_.size() < buffered ? Result<void>{} : flush();
}

Result<void> PortableWriter::write_bytes(json::object line, std::uint64_t size, const ReadPiece& read) {
  line["size"] = size;
  std::uint64_t offset = 0;
  do {
    std::string piece(std::min<std::uint64_t>(size - offset, piece_bytes), '\0');
    NEPTUNE_TRY(read(piece, offset));
    line["data"] = encode_base64(piece);
    NEPTUNE_TRY(write(line));
    line.clear();
    offset += piece.size();
  } while (offset < size);
  return {};
}

Result<void> PortableWriter::begin(std::uint64_t queue, bool moved, const std::string& now) {
  return write({{"neptune_sync_export", portable_version},
                {"made_by", "neptune-syncd " NEPTUNE_VERSION},
                {"at", now},
                {"queue", std::to_string(queue)},
                {"moved", moved}});
}

Result<void> PortableWriter::add(const sources::QueueStore::Whole& change) {
  return write(json_of(change));
}

Result<void> PortableWriter::add(const CarriedLog& log) {
  return write(json_of(log));
}

Result<void> PortableWriter::add(const CarriedOperation& operation) {
  return write_bytes(json_of(operation), operation.bytes.size(),
                     [&operation](std::string& piece, std::uint64_t offset) -> Result<void> {
                       piece = operation.bytes.substr(offset, piece.size());
                       return {};
                     });
}

Result<void> PortableWriter::add(const CarriedFile& file, const ReadPiece& read) {
  return write_bytes(json_of(file), file.size, read);
}

Result<void> PortableWriter::end() {
  const json::object last{{"lines", lines_ - 1}, {"sha256", digest_->text()}};
  buffer_ += json::serialize(last) + "\n";
  NEPTUNE_TRY(flush());
  // A pipe or a terminal has no disk.
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
    return fail("export_not_written", fmt::format("{} cannot be put on disk: {}", name_, std::strerror(errno)));
  return {};
}

/// The lines of the file from its beginning on, of a bounded length.
class PortableReader::Lines {
 public:
  explicit Lines(const PortableReader& reader) : reader_(reader) {}

  /// With its end. Empty at the end of the file; one without an end is damage.
  Result<std::string_view> next() {
    for (auto looked = taken_;;) {
      const auto end = buffer_.find('\n', looked);
      if (end != std::string::npos) {
        const auto begin = std::exchange(taken_, end + 1);
        return std::string_view(buffer_).substr(begin, taken_ - begin);
      }
      buffer_.erase(0, std::exchange(taken_, 0));
      looked = buffer_.size();
      if (looked > longest_line) return reader_.damaged("it has a line that is longer than any is");
      const auto more = fill();
      if (!more) return std::unexpected(more.error());
      if (*more) continue;
      if (!buffer_.empty()) return reader_.damaged("its last line has no end");
      return std::string_view();
    }
  }

 private:
  Result<bool> fill() {
    const auto kept = buffer_.size();
    buffer_.resize(kept + buffered);
    ssize_t got = 0;
    do {
      got = ::pread(reader_.in_.get(), buffer_.data() + kept, buffered, offset_);
    } while (got < 0 && errno == EINTR);
    const int error = errno;
    buffer_.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0)
      return fail("export_unreadable",
                  fmt::format("{} cannot be read: {}", reader_.file_.string(), std::strerror(error)));
    offset_ += got;
    return got > 0;
  }

  const PortableReader& reader_;
  std::string buffer_;
  std::size_t taken_ = 0;  // of the buffer
  off_t offset_ = 0;
};

Result<PortableReader> PortableReader::open(const std::filesystem::path& file) {
  PortableReader reader;
  reader.file_ = file;
  reader.in_ = Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat data{};
  if (!reader.in_ || ::fstat(reader.in_.get(), &data) != 0)
    return fail("export_unreadable", fmt::format("{} cannot be read: {}", file.string(), std::strerror(errno)));
  if (!S_ISREG(data.st_mode))
    return fail("export_unreadable",
                fmt::format("{} is no regular file: it is read more than once, so copy it into one", file.string()));
  NEPTUNE_TRY(reader.check());
  return reader;
}

std::unexpected<Error> PortableReader::damaged(const std::string& why) const {
  return fail("export_damaged", fmt::format("{} is not a whole export of neptune-syncd: {}. Nothing was taken from it.",
                                            file_.string(), why));
}

namespace {

json::object object_in(std::string_view line) {
  return json::parse(line).as_object();
}

/// Hands nothing to anybody: the forms alone are looked at.
class Nobody final : public PortableTaker {
 public:
  Result<void> change(sources::Position, sources::Handed) override { return {}; }
  Result<void> log(CarriedLog) override { return {}; }
  Result<void> operation(CarriedOperation) override { return {}; }
  Result<void> file(CarriedFile) override { return {}; }
  Result<void> bytes(std::string_view) override { return {}; }
};

}  // namespace

Result<void> PortableReader::check() {
  // The last line is the checksum of those before it: each is added when the next one is there.
  std::string before;
  std::uint64_t lines = 0;
  Sha256 checksum;
  Lines in(*this);
  try {
    for (;; ++lines) {
      const auto line = in.next();
      if (!line) return std::unexpected(line.error());
      if (line->empty()) break;
      if (lines == 0) {
        const auto head = object_in(*line);
        version_ = head.at("neptune_sync_export").to_number<int>();
        if (version_ > portable_version)
          return fail("export_too_new",
                      fmt::format("{} was written by a newer neptune-syncd (version {}); import it with that one",
                                  file_.string(), version_));
        queue_ = json::value_to<std::string>(head.at("queue"));
        moved_ = head.at("moved").as_bool();
      } else {
        checksum.add(before);
      }
      before = *line;
    }
    if (lines < 2) return damaged("it ends before its last line");
    const auto last = object_in(before);
    lines_ = last.at(version_ == 1 ? "changes" : "lines").to_number<std::uint64_t>();
    if (lines_ != lines - 2)
      return damaged(fmt::format("it should hold {}, and holds {}", number_of(lines_, "line"), lines - 2));
    if (json::value_to<std::string>(last.at("sha256")) != checksum.text())
      return damaged("its checksum is another one");
  } catch (const std::exception&) {  // the JSON library's words, which say nothing to whoever imports
    if (lines == 0) return damaged("it does not begin as one does");
    return damaged(fmt::format("line {} is not as an export ends", lines));
  }
  Nobody nobody;
  return each(nobody);
}

/// Puts lines together to what they hold, and hands that on. What is not as it should be is thrown.
class PortableReader::Feeder {
 public:
  Feeder(PortableTaker& taker, const std::string& queue) : taker_(taker), queue_(queue) {}

  Result<void> feed(const json::object& line) {
    if (left_ > 0) return feed_bytes(line);
    if (line.contains("seq")) return feed_change(line);
    if (line.contains("log")) {
      if (of_next_change_) throw std::invalid_argument("a file of no change");
      end_log();
      log_ = log_of(line);
      operations_ = 0;
      return taker_.log(*log_);
    }
    if (line.contains("op")) return feed_operation(line);
    auto file = file_of(line);
    if (log_ && operations_ > 0) throw std::invalid_argument("a file after operations");
    if (!log_ && std::exchange(of_next_change_, true)) throw std::invalid_argument("two files of a change");
    left_ = file.size;
    if (log_ && log_->kind == sources::Kind::run_log && file.id <= 0) throw std::invalid_argument("no request's file");
    NEPTUNE_TRY(taker_.file(std::move(file)));
    return feed_bytes(line);
  }

  void end() {
    if (left_ > 0 || of_next_change_) throw std::invalid_argument("bytes are missing");
    end_log();
  }

 private:
  Result<void> feed_change(const json::object& line) {
    if (log_) throw std::invalid_argument("a change after a log");
    of_next_change_ = false;
    auto handed = change_of(line);
    const auto number = line.at("seq").to_number<sources::Position>();
    auto& key = handed.changes.front().idempotency_key;
    if (key.empty()) key = fmt::format("export:{}:{}", queue_, number);
    return taker_.change(number, std::move(handed));
  }

  Result<void> feed_operation(const json::object& line) {
    auto operation = operation_of(line);
    left_ = line.at("size").to_number<std::uint64_t>();
    const auto before = operations_ > 0 ? position_ : 0;
    if (!log_ || operation.position <= before || operation.position > log_->last || left_ > longest_operation)
      throw std::invalid_argument("an operation out of its place");
    if (log_->kind == sources::Kind::client_dir && operations_ > 0 && operation.position != before + 1)
      throw std::invalid_argument("a directory that has lost operations");
    position_ = operation.position;
    operations_++;
    operation_ = std::move(operation);
    return feed_bytes(line);
  }

  Result<void> feed_bytes(const json::object& line) {
    auto piece = bytes_of(line, "data");
    if (piece.size() > left_ || piece.size() > piece_bytes || (piece.empty() && left_ > 0))
      throw std::invalid_argument("bytes that are no piece");
    left_ -= piece.size();
    if (!operation_) return piece.empty() ? Result<void>{} : taker_.bytes(piece);
    operation_->bytes += piece;
    if (left_ > 0) return {};
    auto whole = std::move(*operation_);
    operation_.reset();
    return taker_.operation(std::move(whole));
  }

  void end_log() const {
    if (log_ && log_->kind == sources::Kind::client_dir && operations_ == 0)
      throw std::invalid_argument("a directory without operations");
  }

  PortableTaker& taker_;
  const std::string& queue_;
  std::optional<CarriedLog> log_;
  std::uint64_t operations_ = 0;  // of it
  sources::Position position_ = 0;
  std::optional<CarriedOperation> operation_;  // whose bytes come
  std::uint64_t left_ = 0;                     // bytes, of it or of a file
  bool of_next_change_ = false;                // a file came
};

Result<void> PortableReader::each(PortableTaker& taker) {
  Lines in(*this);
  Feeder feeder(taker, queue_);
  NEPTUNE_TRY(in.next());
  for (std::uint64_t number = 0; number <= lines_; ++number) {
    const auto line = number < lines_ ? in.next() : Result<std::string_view>();
    if (!line) return std::unexpected(line.error());
    try {
      if (number == lines_) {
        feeder.end();
      } else {
        NEPTUNE_TRY(feeder.feed(object_in(*line)));
      }
    } catch (const std::exception&) {
      return damaged(fmt::format("line {} is none of an export", number + 2));
    }
  }
  return {};
}

}  // namespace neptune::app
