#include "sources/client_dir/producer.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t clock_slack_ms = 2000;      // the boot time is in whole seconds, and clocks are set now and then
constexpr std::uint64_t kernel_flag = 0x00200000;  // PF_KTHREAD
constexpr std::uint64_t first_pid_namespace = 0xEFFFFFFC;

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The n-th word, from 0.
std::string_view word(std::string_view text, int n) {
  for (; n > 0; --n) {
    const auto space = text.find(' ');
    if (space == std::string_view::npos) return {};
    text.remove_prefix(space + 1);
  }
  return text.substr(0, text.find(' '));
}

template <class T>
T number(std::string_view digits) {
  T value{};
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::int64_t booted_ms() {
  std::ifstream in("/proc/stat");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("btime ")) return number<std::int64_t>(std::string_view(line).substr(6)) * 1000;
  return 0;
}

using File = std::pair<std::uint64_t, std::uint64_t>;

std::set<File> files_in(const fs::path& directory) {
  std::set<File> files;
  std::error_code ignored;
  for (fs::directory_iterator entry(directory, ignored), end; entry != end; entry.increment(ignored)) {
    struct stat data{};
    if (::lstat(entry->path().c_str(), &data) == 0 && S_ISREG(data.st_mode)) files.emplace(data.st_dev, data.st_ino);
  }
  return files;
}

bool holds(const fs::path& descriptors, const std::set<File>& files) {
  std::error_code ignored;
  for (fs::directory_iterator entry(descriptors, ignored), end; entry != end; entry.increment(ignored)) {
    // Only what is called as the client calls its files is asked for: a stat may wait for a server that is away.
    std::array<char, 4096> target{};
    const auto length = ::readlink(entry->path().c_str(), target.data(), target.size());
    if (length <= 0) continue;
    const auto name = fs::path(std::string(target.data(), static_cast<std::size_t>(length))).filename().native();
    if (!name.starts_with("data-") && !name.starts_with("last_")) continue;
    struct stat data{};
    if (::stat(entry->path().c_str(), &data) == 0 && files.contains({data.st_dev, data.st_ino})) return true;
  }
  return false;
}

}  // namespace

ProcessFacts parse_process(std::string_view stat, std::int64_t booted, std::int64_t ticks_a_second) {
  ProcessFacts facts;
  // The second field is a name in parentheses, which may hold anything.
  const auto name_end = stat.rfind(") ");
  if (name_end == std::string_view::npos) return facts;
  const auto rest = stat.substr(name_end + 2);  // from the third field on
  facts.there = true;
  const auto state = word(rest, 0);
  facts.ended = state == "Z" || state == "X";
  facts.kernel = (number<std::uint64_t>(word(rest, 6)) & kernel_flag) != 0;
  const auto ticks = number<std::int64_t>(word(rest, 19));
  if (booted > 0 && ticks_a_second > 0) facts.started_ms = booted + ticks * 1000 / ticks_a_second;
  return facts;
}

ProcessFacts look_at_process(std::int32_t pid) {
  const auto directory = fs::path("/proc/" + std::to_string(pid));
  auto facts = parse_process(text_of(directory / "stat"), booted_ms(), ::sysconf(_SC_CLK_TCK));
  // It may be hidden from us.
  if (!facts.there) facts.there = ::kill(pid, 0) == 0 || errno == EPERM;
  return facts;
}

Producer judge_producer(const ProcessFacts& process, std::int64_t created_ms) {
  if (!process.there || process.ended || process.kernel) return Producer::gone;
  const bool later = process.started_ms > 0 && created_ms > 0 && process.started_ms > created_ms + clock_slack_ms;
  return later ? Producer::gone : Producer::alive;
}

bool sees_all_processes() {
  struct stat data{};
  return ::stat("/proc/self/ns/pid", &data) == 0 && data.st_ino == first_pid_namespace;
}

bool held_open_by_anybody(const fs::path& directory) {
  const auto files = files_in(directory);
  const auto own = std::to_string(::getpid());
  std::error_code ignored;
  for (fs::directory_iterator entry("/proc", ignored), end; entry != end; entry.increment(ignored)) {
    const auto name = entry->path().filename().native();
    if (name.empty() || name[0] < '0' || name[0] > '9' || name == own) continue;
    if (holds(entry->path() / "fd", files)) return true;
  }
  return false;
}

}  // namespace neptune::sources
