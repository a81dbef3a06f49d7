#include "sources/change_queue/queue_mark.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

fs::path mark_of(fs::path queue) {
  return queue.replace_extension(".mark");
}

/// FNV-1a: against what a fault leaves there, not against people.
std::uint64_t sum_of(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const char byte : text) sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return sum;
}

/// Always as long, so that each is written over the one before.
std::string text_of(const QueueMark& mark) {
  const auto numbers = fmt::format("queue {:020} last {:020} count {:020}", mark.queue, mark.last, mark.count);
  return fmt::format("{} sum {:020}\n", numbers, sum_of(numbers));
}

/// The number after this word.
template <class Number>
Number number_in(std::string_view text, std::string_view word) {
  Number number = 0;
  const auto at = text.find(word);
  if (at != std::string_view::npos) std::from_chars(text.data() + at + word.size(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::optional<QueueMark> read_mark(const fs::path& queue) {
  std::ifstream file(mark_of(queue), std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const QueueMark mark{number_in<std::uint64_t>(text, "queue "), number_in<Position>(text, "last "),
                       number_in<std::uint64_t>(text, "count ")};
  if (text != text_of(mark)) return std::nullopt;
  return mark;
}

QueueMarkFile::QueueMarkFile(const fs::path& queue) : file_(mark_of(queue)) {}

void QueueMarkFile::write(const QueueMark& mark) {
  if (!fd_) fd_ = Descriptor(::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  const auto text = text_of(mark);
  if (fd_ && ::pwrite(fd_.get(), text.data(), text.size(), 0) < 0) fd_ = {};
}

}  // namespace neptune::sources
