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

int give_name_and_keep_it(const char* part, const char* file, int directory) {
  if (const int error = rename_to_new(part, file); error != 0) return error;
  return ::fsync(directory) == 0 || errno == EINVAL ? 0 : errno;
}

/// A message of an errno, with a file or without.
struct Told {
  explicit Told(int* error) : word{error, sizeof *error} {
    message.msg_iov = &word;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;

  iovec word;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
};

void tell(int asks, int error, int file = -1) {
  Told told(&error);
  if (file >= 0) {
    auto* header = CMSG_FIRSTHDR(&told.message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof file);
    std::memcpy(CMSG_DATA(header), &file, sizeof file);
  } else {
    told.message.msg_controllen = 0;
  }
  while (::sendmsg(asks, &told.message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

/// 0, or the errno that the other end told, EPIPE when it is gone.
int hear(int keeper, Descriptor& file) {
  int error = 0;
  Told told(&error);
  ssize_t got = 0;
  while ((got = ::recvmsg(keeper, &told.message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (got != sizeof error) return EPIPE;
  if (const auto* header = CMSG_FIRSTHDR(&told.message); header && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    file = Descriptor(fd);
  }
  return error;
}

/// Makes the file and hands it over, and has it until the other end asks for the name, or is gone: whenever that is
/// killed, there is nothing that nobody removes. Uses nothing that another thread of the parent could have held.
[[noreturn]] void keep(int asks, const char* part, const char* file, int directory) {
  // What ends the parent by the terminal must not end this before it has cleaned up.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT}) ::signal(number, SIG_IGN);
  // What is in it is as private as the queue.
  const int made = ::open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  tell(asks, made < 0 ? errno : 0, made);
  if (made < 0) ::_exit(0);
  ::close(made);
  char word = 0;
  ssize_t got = 0;
  while ((got = ::read(asks, &word, 1)) < 0 && errno == EINTR) {
  }
  int error = EPIPE;
  if (got == 1) error = give_name_and_keep_it(part, file, directory);
  if (error != 0) ::unlink(part);
  tell(asks, error);
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
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return not_made(file, errno);
  output.keeper_ = Descriptor(ends[0]);
  Descriptor asks(ends[1]);
  output.pid_ = ::fork();
  if (output.pid_ < 0) return not_made(file, errno);
  if (output.pid_ == 0) {
    ::close(ends[0]);
    keep(asks.get(), part.c_str(), output.file_.c_str(), directory.get());
  }
  asks = Descriptor();  // so that its end is heard
  if (const int error = hear(output.keeper_.get(), output.fd_); error != 0)
    return not_made(error == EEXIST ? part : file, error);
  return output;
}

Result<void> OutputFile::give_name() {
  if (!keeper_) return {};
  const char word = 'n';
  Descriptor none;
  const int error = ::send(keeper_.get(), &word, 1, MSG_NOSIGNAL) == 1 ? hear(keeper_.get(), none) : EPIPE;
  if (error == 0) return {};
  return fail("export_not_written", fmt::format("{} cannot get its name: {}. Nothing was taken out of anything.", file_,
                                                std::strerror(error)));
}

}  // namespace neptune::app
