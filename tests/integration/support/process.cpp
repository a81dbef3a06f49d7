#include "tests/integration/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace neptune::testing {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string read_from(const fs::path& file, std::uintmax_t from) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(from));
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

std::uintmax_t size_or_zero(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error ? 0 : size;
}

int left_ms(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

std::optional<std::string> find_line(std::string_view text, std::string_view prefix) {
  while (true) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const auto line = text.substr(0, end);
    if (line.starts_with(prefix)) return std::string(line);
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string> environment(const Process::Options& options) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) all[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& name : options.unset_env) all.erase(name);
  for (const auto& [name, value] : options.env) all[name] = value;
  std::vector<std::string> out;
  for (const auto& [name, value] : all) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (auto& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

int open_for_append(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) throw_errno("cannot open " + file.string());
  return fd;
}

}  // namespace

fs::path binary(std::string_view name) {
  const fs::path build = NEPTUNE_BUILD_DIR;
  if (name == "neptune-syncd") return build / "daemon" / name;
  if (name == "neptune-sync") return build / "client/cli" / name;
  if (name == "neptune-sandbox") return build / "tests/sandbox" / name;
  return build / "tests/integration/support" / name;
}

Process::Process(Options options) {
  const auto name = options.name.empty() ? options.binary.filename().string() : options.name;
  out_path_ = options.output_dir / (name + ".out");
  err_path_ = options.output_dir / (name + ".err");
  out_start_ = size_or_zero(out_path_);
  err_start_ = size_or_zero(err_path_);

  // All that allocates happens before the fork.
  std::vector<std::string> arg_strings{options.binary.string()};
  arg_strings.insert(arg_strings.end(), options.args.begin(), options.args.end());
  auto env_strings = environment(options);
  const auto argv = pointers(arg_strings);
  const auto envp = pointers(env_strings);
  const int out_fd = open_for_append(out_path_);
  const int err_fd = open_for_append(err_path_);
  const pid_t parent = ::getpid();

  pid_ = ::fork();
  if (pid_ < 0) throw_errno("cannot fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    if (!options.working_dir.empty() && ::chdir(options.working_dir.c_str()) != 0) ::_exit(127);
    ::dup2(out_fd, STDOUT_FILENO);
    ::dup2(err_fd, STDERR_FILENO);
    const int null_fd = ::open("/dev/null", O_RDONLY);
    ::dup2(null_fd, STDIN_FILENO);
    ::execve(options.binary.c_str(), argv.data(), envp.data());
    const char text[] = "exec failed: is the binary built?\n";
    (void)!::write(STDERR_FILENO, text, sizeof text - 1);
    ::_exit(127);
  }
  ::close(out_fd);
  ::close(err_fd);
  pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (pidfd_ < 0) throw_errno("pidfd_open");
}

Process::Process(Process&& other) noexcept {
  *this = std::move(other);
}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  kill();
  close_pidfd();
  out_path_ = std::move(other.out_path_);
  err_path_ = std::move(other.err_path_);
  out_start_ = other.out_start_;
  err_start_ = other.err_start_;
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::exchange(other.pidfd_, -1);
  status_ = other.status_;
  return *this;
}

Process::~Process() {
  if (pid_ > 0 && !status_ && !running() && *status_ != 0)
    std::fprintf(stderr, "%s ended by itself, with %d:\n%s\n", err_path_.stem().c_str(), *status_, err().c_str());
  kill();
  close_pidfd();
}

void Process::close_pidfd() {
  if (pidfd_ >= 0) ::close(std::exchange(pidfd_, -1));
}

bool Process::running() {
  return pid_ > 0 && !wait(std::chrono::milliseconds(0));
}

void Process::signal(int number) {
  if (running()) ::kill(pid_, number);
}

void Process::kill() {
  if (pid_ <= 0 || status_) return;
  ::kill(pid_, SIGKILL);
  wait(std::chrono::seconds(30));
}

std::optional<int> Process::wait(std::chrono::milliseconds timeout) {
  if (status_ || pid_ <= 0) return status_;
  const auto deadline = Clock::now() + timeout;
  pollfd ended{pidfd_, POLLIN, 0};
  while (::poll(&ended, 1, left_ms(deadline)) < 0)
    if (errno != EINTR) throw_errno("poll");
  if ((ended.revents & POLLIN) == 0) return std::nullopt;
  int status = 0;
  if (::waitpid(pid_, &status, 0) != pid_) throw_errno("waitpid");
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_;
}

std::optional<int> Process::terminate(std::chrono::milliseconds timeout) {
  signal(SIGTERM);
  return wait(timeout);
}

std::optional<std::string> Process::wait_for_line(std::string_view prefix, std::chrono::milliseconds timeout) {
  return wait_for_line_in(out_path_, out_start_, prefix, timeout);
}

std::optional<std::string> Process::wait_for_error_line(std::string_view prefix, std::chrono::milliseconds timeout) {
  return wait_for_line_in(err_path_, err_start_, prefix, timeout);
}

std::optional<std::string> Process::wait_for_line_in(const fs::path& file, std::uintmax_t from, std::string_view prefix,
                                                     std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (watch < 0) throw_errno("inotify_init1");
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } closer{watch};
  if (::inotify_add_watch(watch, file.c_str(), IN_MODIFY) < 0) throw_errno("cannot watch " + file.string());
  while (true) {
    // Ended first, text second: what it wrote before its end is in the text.
    const bool ended = !running();
    if (auto line = find_line(read_from(file, from), prefix)) return line;
    if (ended || left_ms(deadline) == 0) return std::nullopt;
    pollfd events[2]{{watch, POLLIN, 0}, {pidfd_, POLLIN, 0}};
    if (::poll(events, 2, left_ms(deadline)) < 0 && errno != EINTR) throw_errno("poll");
    char drained[4096];
    (void)!::read(watch, drained, sizeof drained);
  }
}

std::string Process::out() const {
  return read_from(out_path_, out_start_);
}
std::string Process::err() const {
  return read_from(err_path_, err_start_);
}

}  // namespace neptune::testing
