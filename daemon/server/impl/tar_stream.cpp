#include "server/impl/tar_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace neptune::server {

namespace {

constexpr std::size_t block = 512;
constexpr std::size_t longest_name = 100;  // of a ustar header
constexpr std::size_t stored_block = 65'535;
constexpr std::size_t gzip_head = 10, gzip_block_head = 5, gzip_tail = 8;

std::uint64_t padding(std::uint64_t size) {
  return (block - size % block) % block;
}

void put(std::string& header, std::size_t at, std::string_view text) {
  header.replace(at, text.size(), text);
}

std::string header_of(std::string_view name, std::uint64_t size, std::int64_t mtime, char type) {
  std::string header(block, '\0');
  put(header, 0, name.substr(0, longest_name));
  put(header, 100, "0000644");
  put(header, 108, "0000000");
  put(header, 116, "0000000");
  put(header, 124, fmt::format("{:011o}", size));
  put(header, 136, fmt::format("{:011o}", std::clamp<std::int64_t>(mtime, 0, 077777777777)));
  put(header, 148, "        ");
  header[156] = type;
  put(header, 257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(header, 148, fmt::format("{:06o}", sum));
  header[154] = '\0';
  return header;
}

/// "27 path=...\n", its own length counted.
std::string pax_record(std::string_view name) {
  const auto rest = fmt::format(" path={}\n", name);
  auto length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) length = std::to_string(length).size() + rest.size();
  return std::to_string(length) + rest;
}

std::string headers_of(const ArchiveMember& member) {
  const auto mtime = member.identity.mtime_ns / 1'000'000'000;
  std::string out;
  if (member.name.size() > longest_name) {
    auto record = pax_record(member.name);
    out = header_of("././@PaxHeader", record.size(), mtime, 'x');
    record.resize(record.size() + padding(record.size()), '\0');
    out += record;
  }
  return out + header_of(member.name, member.identity.size, mtime, '0');
}

void append_le(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

}  // namespace

TarStream::TarStream(std::vector<ArchiveMember> members) : members_(std::move(members)) {
  for (const auto& member : members_)
    tar_size_ += headers_of(member).size() + member.identity.size + padding(member.identity.size);
  tar_size_ += 2 * block;
}

std::uint64_t TarStream::size() const {
  const auto blocks = (tar_size_ + stored_block - 1) / stored_block;
  return gzip_head + tar_size_ + blocks * gzip_block_head + gzip_tail;
}

Result<std::string_view> TarStream::next() {
  piece_.clear();
  if (told_ == tar_size_) return std::string_view{};
  if (told_ == 0) piece_ = std::string_view("\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\xFF", gzip_head);
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(stored_block, tar_size_ - told_));
  const bool last = told_ + size == tar_size_;
  piece_ += last ? '\x01' : '\x00';
  append_le(piece_, static_cast<std::uint32_t>(size), 2);
  append_le(piece_, ~static_cast<std::uint32_t>(size), 2);
  const auto from = piece_.size();
  if (auto filled = fill(piece_, size); !filled) return std::unexpected(std::move(filled.error()));
  crc_.process_bytes(piece_.data() + from, size);
  told_ += size;
  if (last) {
    append_le(piece_, static_cast<std::uint32_t>(crc_.checksum()), 4);
    append_le(piece_, static_cast<std::uint32_t>(tar_size_), 4);
  }
  return std::string_view(piece_);
}

Result<void> TarStream::fill(std::string& out, std::size_t size) {
  while (size > 0) {
    if (!pending_.empty()) {
      const auto taken = std::min(size, pending_.size());
      out.append(pending_, 0, taken);
      pending_.erase(0, taken);
      size -= taken;
    } else if (file_ && offset_ < file_->size()) {
      const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(size, file_->size() - offset_));
      const auto at = out.size();
      out.resize(at + taken);
      if (auto read = file_->read(offset_, out.data() + at, taken); !read) return read;
      offset_ += taken;
      content_bytes_ += taken;
      size -= taken;
    } else if (auto opened = open_next(); !opened) {
      return opened;
    }
  }
  return {};
}

/// Ends the file before, too.
Result<void> TarStream::open_next() {
  if (file_) {
    if (auto checked = file_->check(); !checked) return checked;
    pending_.append(padding(file_->size()), '\0');
    file_.reset();
    if (!pending_.empty()) return {};
  }
  if (next_member_ == members_.size()) {
    if (std::exchange(ended_, true)) return fail("file_changed", "the files of an archive changed while it was sent");
    pending_.append(2 * block, '\0');
    return {};
  }
  const auto& member = members_[next_member_++];
  auto opened = OpenFile::open(member.file);
  if (!opened) return std::unexpected(std::move(opened.error()));
  if ((*opened)->identity() != member.identity)
    return fail("file_changed", fmt::format("the file {} was changed while it was to be uploaded; upload it again when "
                                            "it is complete",
                                            shown_path(member.file)));
  file_ = std::move(*opened);
  offset_ = 0;
  pending_ = headers_of(member);
  return {};
}

}  // namespace neptune::server
