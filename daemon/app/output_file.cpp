#include "app/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "support/new_file.h"

namespace neptune::app {

namespace fs = std::filesystem;

namespace {

int give_name_and_keep_it(const std::string& part, const std::string& file, int directory) {
  if (const int error = rename_to_new(part.c_str(), file.c_str()); error != 0) return error;
  return ::fsync(directory) == 0 || errno == EINVAL ? 0 : errno;
}

/// Until the other end asks for the name, or is gone. Uses nothing that another thread of the parent could have held.
[[noreturn]] void keep(int asks, const std::string& part, const std::string& file, int directory) {
  // What ends the parent by the terminal must not end this before it has cleaned up.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT}) ::signal(number, SIG_IGN);
  char word = 0;
  ssize_t got = 0;
  while ((got = ::read(asks, &word, 1)) < 0 && errno == EINTR) {
  }
  if (got == 1) {
    const int error = give_name_and_keep_it(part, file, directory);
    if (error != 0) ::unlink(part.c_str());
    (void)!::write(asks, &error, sizeof error);
  } else {
    ::unlink(part.c_str());
  }
  ::_exit(0);
}

std::unexpected<Error> not_made(const std::string& file, int error) {
  return fail("export_not_written",
              fmt::format("{} cannot be made: {}. An export overwrites nothing.", file, std::strerror(error)));
}

}  // namespace

OutputFile::OutputFile(OutputFile&& other) noexcept
    : file_(std::move(other.file_)),
      fd_(std::move(other.fd_)),
      keeper_(std::move(other.keeper_)),
      pid_(std::exchange(other.pid_, -1)) {}

OutputFile::~OutputFile() {
  keeper_ = Descriptor();
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
}

int OutputFile::fd() const {
  return fd_ ? fd_.get() : STDOUT_FILENO;
}

Result<OutputFile> OutputFile::open(const std::string& file) {
  OutputFile output;
  if (file == "-") return output;
  output.file_ = fs::absolute(file).string();
  const auto part = output.file_ + ".part";
  struct stat data{};
  if (::lstat(output.file_.c_str(), &data) == 0) return not_made(file, EEXIST);
  const Descriptor directory(::open(fs::path(output.file_).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return not_made(file, errno);
  // What is in it is as private as the queue.
  output.fd_ = Descriptor(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!output.fd_) return not_made(errno == EEXIST ? part : file, errno);
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    const int error = errno;
    ::unlink(part.c_str());
    return not_made(file, error);
  }
  output.keeper_ = Descriptor(ends[0]);
  const Descriptor asks(ends[1]);
  output.pid_ = ::fork();
  if (output.pid_ == 0) {
    ::close(ends[0]);
    keep(asks.get(), part, output.file_, directory.get());
  }
  if (output.pid_ > 0) return output;
  const int error = errno;
  ::unlink(part.c_str());
  return not_made(file, error);
}

Result<void> OutputFile::give_name() {
  if (!keeper_) return {};
  int error = EPIPE;
  const char word = 'n';
  if (::send(keeper_.get(), &word, 1, MSG_NOSIGNAL) == 1) {
    ssize_t got = 0;
    while ((got = ::read(keeper_.get(), &error, sizeof error)) < 0 && errno == EINTR) {
    }
    if (got != sizeof error) error = EPIPE;
  }
  if (error == 0) return {};
  return fail("export_not_written", fmt::format("{} cannot get its name: {}. Nothing was taken out of anything.", file_,
                                                std::strerror(error)));
}

}  // namespace neptune::app
