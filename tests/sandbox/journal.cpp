#include "tests/sandbox/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace neptune::sandbox {

namespace {

constexpr std::size_t head_bytes = 5;

std::uint32_t length_of(const char* head) {
  std::uint32_t length = 0;
  for (int i = 0; i < 4; ++i) length |= static_cast<std::uint32_t>(static_cast<unsigned char>(head[1 + i])) << (8 * i);
  return length;
}

/// The bytes of whole records.
std::uint64_t read_all(std::ifstream& in, std::uint64_t size,
                       const std::function<void(Journal::Kind, std::string_view)>& replay) {
  std::uint64_t good = 0;
  char head[head_bytes];
  std::string content;
  while (in.read(head, head_bytes)) {
    const auto length = length_of(head);
    if (length > size - good - head_bytes) break;
    content.resize(length);
    if (!in.read(content.data(), length)) break;
    replay(static_cast<Journal::Kind>(head[0]), content);
    good += head_bytes + length;
  }
  return good;
}

}  // namespace

Result<Journal> Journal::open(const std::string& path, const std::function<void(Kind, std::string_view)>& replay) {
  if (std::ifstream in(path, std::ios::binary); in) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    const auto good = read_all(in, size, replay);
    if (size != good) std::filesystem::resize_file(path, good, error);
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail("state_file_not_writable", "cannot write the state file " + path + ": " + std::strerror(errno));
  Journal journal;
  journal.file_.reset(::fdopen(fd, "a"));
  return journal;
}

void Journal::write(Kind kind, std::string_view first, std::string_view second) {
  if (!file_) return;
  const auto length = static_cast<std::uint32_t>(first.size() + second.size());
  char head[head_bytes]{static_cast<char>(kind)};
  for (int i = 0; i < 4; ++i) head[1 + i] = static_cast<char>(length >> (8 * i));
  std::fwrite(head, 1, head_bytes, file_.get());
  for (const auto part : {first, second})
    if (!part.empty()) std::fwrite(part.data(), 1, part.size(), file_.get());
  std::fflush(file_.get());
}

}  // namespace neptune::sandbox
