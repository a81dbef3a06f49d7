#include "local_api/impl/process_facts.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace neptune::local_api {

namespace {

/// The fields of /proc/self/stat behind the name, which may hold anything: the first is number 3 of proc(5).
std::istringstream stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');
  return std::istringstream(name_end == std::string::npos ? std::string() : line.substr(name_end + 1));
}

double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string key; file >> key; file.ignore(1 << 20, '\n')) {
    double seconds = 0;
    if (key == "btime" && file >> seconds) return seconds;
  }
  return 0;
}

}  // namespace

ProcessFacts process_facts() {
  ProcessFacts facts;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  auto fields = stat_fields();
  std::string word;
  for (int field = 3; fields >> word; ++field) {
    const auto number = [&word] { return static_cast<double>(std::strtoull(word.c_str(), nullptr, 10)); };
    if (field == 14 || field == 15) facts.cpu_seconds += number() / ticks;
    if (field == 20) facts.threads = std::strtoull(word.c_str(), nullptr, 10);
    if (field == 22) facts.start_time_seconds = boot_time() + number() / ticks;
    if (field == 23) facts.virtual_bytes = std::strtoull(word.c_str(), nullptr, 10);
    if (field == 24)
      facts.resident_bytes =
          std::strtoull(word.c_str(), nullptr, 10) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error))
    ++facts.open_fds;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) facts.max_fds = limit.rlim_cur;
  return facts;
}

}  // namespace neptune::local_api
