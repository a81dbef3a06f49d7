#include "tests/sandbox/tar_reader.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

namespace neptune::sandbox {

namespace {

constexpr std::size_t block_bytes = 512;
constexpr std::uint64_t longest_header = 64u << 10;

using Member = std::function<void(const std::string&, std::string_view, bool)>;

struct Damaged {
  const char* what;
};

std::uint64_t octal(std::string_view field) {
  std::uint64_t value = 0;
  for (const char c : field) {
    if (c == ' ' || c == '\0') break;
    if (c < '0' || c > '7') throw Damaged{"a number in the archive cannot be read"};
    value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::string text(std::string_view field) {
  return std::string(field.substr(0, field.find('\0')));
}

/// The value of `key` in a pax header: lines of "length key=value".
std::optional<std::string> pax_value(std::string_view records, std::string_view key) {
  while (!records.empty()) {
    const auto length =
        static_cast<std::size_t>(std::strtoull(std::string(records.substr(0, 20)).c_str(), nullptr, 10));
    if (length < 5 || length > records.size()) throw Damaged{"a pax header cannot be read"};
    auto record = records.substr(0, length - 1);
    record.remove_prefix(std::min(record.find(' ') + 1, record.size()));
    if (record.starts_with(std::string(key) + "=")) return std::string(record.substr(key.size() + 1));
    records.remove_prefix(length);
  }
  return std::nullopt;
}

/// Takes the archive's bytes as they come out of gzip.
class TarReader {
 public:
  explicit TarReader(const Member& member) : member_(member) {}

  void feed(std::string_view bytes) {
    while (!bytes.empty() && !ended_) {
      if (left_ > 0) {
        content(bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size())), bytes);
      } else if (padding_ > 0) {
        const auto skipped = std::min<std::uint64_t>(padding_, bytes.size());
        padding_ -= skipped;
        bytes.remove_prefix(skipped);
      } else {
        const auto wanted = std::min(block_bytes - header_.size(), bytes.size());
        header_.append(bytes.substr(0, wanted));
        bytes.remove_prefix(wanted);
        if (header_.size() == block_bytes) read_header();
      }
    }
  }
  bool complete() const { return ended_; }

 private:
  void content(std::string_view piece, std::string_view& bytes) {
    left_ -= piece.size();
    if (type_ == 'x')
      pax_.append(piece);
    else if (is_file())
      member_(name_, piece, begins_);
    begins_ = false;
    bytes.remove_prefix(piece.size());
  }

  bool is_file() const { return type_ == '0' || type_ == '\0'; }

  void read_header() {
    const std::string header = std::move(header_);
    header_.clear();
    if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; })) {
      ended_ = true;
      return;
    }
    check_sum(header);
    type_ = header[156];
    left_ = octal(std::string_view(header).substr(124, 12));
    const auto prefix = text(std::string_view(header).substr(345, 155));
    name_ = (prefix.empty() ? "" : prefix + "/") + text(std::string_view(header).substr(0, 100));
    if (type_ == 'x') {
      if (left_ > longest_header) throw Damaged{"a pax header is too long"};
      pax_.clear();
    } else {
      if (const auto path = pax_value(pax_, "path")) name_ = *path;
      if (const auto size = pax_value(pax_, "size")) left_ = std::strtoull(size->c_str(), nullptr, 10);
      pax_.clear();
    }
    begins_ = true;
    if (left_ == 0 && is_file()) member_(name_, {}, true);
    padding_ = (block_bytes - left_ % block_bytes) % block_bytes;
  }

  static void check_sum(const std::string& header) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < header.size(); ++i)
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
    if (sum != octal(std::string_view(header).substr(148, 8))) throw Damaged{"a checksum in the archive is wrong"};
  }

  const Member& member_;
  std::string header_, name_, pax_;
  char type_ = '0';
  std::uint64_t left_ = 0;     // of the content
  std::uint64_t padding_ = 0;  // after it
  bool begins_ = false, ended_ = false;
};

}  // namespace

Result<void> read_tar_gz(const Blob& archive, const Member& member) {
  z_stream inflater{};
  if (inflateInit2(&inflater, 15 + 16) != Z_OK) return fail("archive_damaged", "zlib does not start");
  TarReader reader(member);
  std::string out(64u << 10, '\0');
  int state = Z_OK;
  try {
    archive.read([&](std::string_view piece) {
      std::string input(piece);
      inflater.next_in = reinterpret_cast<Bytef*>(input.data());
      inflater.avail_in = static_cast<uInt>(input.size());
      while (inflater.avail_in > 0 && state != Z_STREAM_END) {
        inflater.next_out = reinterpret_cast<Bytef*>(out.data());
        inflater.avail_out = static_cast<uInt>(out.size());
        state = inflate(&inflater, Z_NO_FLUSH);
        if (state != Z_OK && state != Z_STREAM_END) throw Damaged{"the archive is not gzip"};
        reader.feed(std::string_view(out).substr(0, out.size() - inflater.avail_out));
      }
    });
    if (state != Z_STREAM_END || !reader.complete()) throw Damaged{"the archive ends too early"};
  } catch (const Damaged& damage) {
    inflateEnd(&inflater);
    return fail("archive_damaged", damage.what);
  }
  inflateEnd(&inflater);
  return {};
}

}  // namespace neptune::sandbox
