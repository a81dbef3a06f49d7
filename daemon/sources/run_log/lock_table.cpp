#include "sources/run_log/lock_table.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>

namespace neptune::sources {

namespace {

// SQLite's "dead man switch": byte 128 of the -shm file, shared by everybody who has the database open in WAL mode.
constexpr std::uint64_t open_in_wal_mode_byte = 128;

std::string_view next_word(std::string_view& line) {
  const auto begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const auto word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  return word;
}

template <class T>
std::optional<T> parse_number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "fd:01:1234": the device's major and minor number in hexadecimal, and the inode.
std::optional<FileId> parse_file(std::string_view text) {
  const auto first = text.find(':');
  const auto second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto device_major = parse_number<unsigned>(text.substr(0, first), 16);
  const auto device_minor = parse_number<unsigned>(text.substr(first + 1, second - first - 1), 16);
  const auto inode = parse_number<std::uint64_t>(text.substr(second + 1));
  if (!device_major || !device_minor || !inode) return std::nullopt;
  return FileId{makedev(*device_major, *device_minor), *inode};
}

struct Line {
  FileId file;
  std::int32_t pid;
  std::uint64_t first, last;
};

// "1: POSIX  ADVISORY  READ 4242 fd:01:1234 128 128". A waiter's line has "->" after the number.
std::optional<Line> parse_line(std::string_view line) {
  std::array<std::string_view, 8> words;
  for (auto& word : words) word = next_word(line);
  if (words[1] != "POSIX") return std::nullopt;
  const auto pid = parse_number<std::int32_t>(words[4]);
  const auto file = parse_file(words[5]);
  const auto first = parse_number<std::uint64_t>(words[6]);
  const auto last =
      words[7] == "EOF" ? std::numeric_limits<std::uint64_t>::max() : parse_number<std::uint64_t>(words[7]).value_or(0);
  if (!pid || *pid <= 0 || !file || !first) return std::nullopt;
  return Line{*file, *pid, *first, last};
}

}  // namespace

LockTable LockTable::parse(std::string_view text, std::uint64_t byte, std::int32_t own_pid) {
  LockTable table;
  while (!text.empty()) {
    const auto line = parse_line(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), std::min(text.find('\n'), text.size()) + 1));
    if (!line || line->pid == own_pid || byte < line->first || byte > line->last) continue;
    auto& pids = table.holders_[line->file];
    const auto at = std::ranges::lower_bound(pids, line->pid);
    if (at == pids.end() || *at != line->pid) pids.insert(at, line->pid);
  }
  return table;
}

Result<LockTable> LockTable::read() {
  std::ifstream file("/proc/locks");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file)
    return fail("proc_locks_unreadable",
                "/proc/locks cannot be read, so that nobody can tell who has a run log open; mount /proc without "
                "subset=pid and take ProcSubset=pid out of the service");
  return parse(text, open_in_wal_mode_byte, getpid());
}

const std::vector<std::int32_t>& LockTable::holders(const FileId& file) const {
  static const std::vector<std::int32_t> none;
  const auto found = holders_.find(file);
  return found == holders_.end() ? none : found->second;
}

const std::vector<std::int32_t>& LockTable::holders(const FileId& file, std::uint64_t lock_device) const {
  const auto& by_own = holders(file);
  return by_own.empty() ? holders({lock_device, file.inode}) : by_own;
}

}  // namespace neptune::sources
