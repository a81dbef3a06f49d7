#include "local_api/impl/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace neptune::local_api {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;

namespace {

constexpr std::size_t max_path = sizeof(sockaddr_un{}.sun_path) - 1;

std::string reason(int error) {
  return std::strerror(error);
}

/// What stands at the path of a socket that could not be bound there.
enum class Occupant { nobody, daemon, other_file };

Occupant who_is_at(const std::filesystem::path& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return Occupant::nobody;
  if (!S_ISSOCK(info.st_mode)) return Occupant::other_file;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Occupant::daemon;  // not known: leave it alone
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, max_path);
  const int rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::close(fd);
  return rc != 0 && (error == ECONNREFUSED || error == ENOENT) ? Occupant::nobody : Occupant::daemon;
}

Result<void> make_folder(const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  if (folder.empty() || ::mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return fail("socket_folder", "The folder " + folder.string() + " of the socket cannot be made: " + reason(errno) +
                                   ". Create it, or set `socket` to a path in a folder that exists.");
}

Result<void> bind_to(Listener::Acceptor& acceptor, const std::filesystem::path& path) {
  boost::system::error_code error;
  for (int attempt = 0; attempt < 2; ++attempt) {
    acceptor.bind(Protocol::endpoint(path.native()), error);
    if (!error) return {};
    if (error != asio::error::address_in_use) break;
    const auto occupant = who_is_at(path);
    if (occupant == Occupant::daemon)
      return fail("socket_in_use", "Another neptune-syncd already answers on " + path.string() +
                                       ". Stop it first, or give this one a `socket` and a `state_dir` of its own.");
    if (occupant == Occupant::other_file)
      return fail("socket_path_taken", path.string() +
                                           " is a file, but not a socket; it was left alone. Move it away, or set "
                                           "`socket` to another path.");
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return fail("socket_stale", "The socket file " + path.string() + " of a daemon that is gone cannot be removed: " +
                                      reason(errno) + ". Remove it, or start the daemon as the user who owns it.");
  }
  return fail("socket_bind", "The socket " + path.string() + " cannot be made: " + error.message() +
                                 ". See that the daemon's user may write to its folder.");
}

}  // namespace

Result<Listener> Listener::bind(asio::any_io_executor executor, std::filesystem::path path, unsigned mode) {
  if (path.empty() || path.native().size() > max_path)
    return fail("socket_path_length", "The socket's path '" + path.string() + "' must have between 1 and " +
                                          std::to_string(max_path) + " bytes; set a shorter `socket`.");
  if (const auto made = make_folder(path); !made) return std::unexpected(made.error());

  Acceptor acceptor(executor);
  boost::system::error_code error;
  acceptor.open(Protocol(), error);
  if (error) return fail("socket_open", "No Unix socket can be made: " + error.message() + ".", true);
  if (const auto bound = bind_to(acceptor, path); !bound) return std::unexpected(bound.error());

  Listener listener(std::move(acceptor));
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0) {
    listener.path_ = path;
    listener.device_ = info.st_dev;
    listener.inode_ = info.st_ino;
  }
  // Nobody can connect before listen(), so there is no moment with the wrong permissions.
  if (::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0)
    return fail("socket_mode", "The permissions of " + path.string() + " cannot be set: " + reason(errno) + ".");
  listener.acceptor_.listen(SOMAXCONN, error);
  if (error) return fail("socket_listen", "The socket " + path.string() + " cannot listen: " + error.message() + ".");
  return listener;
}

Result<Listener> Listener::adopt(asio::any_io_executor executor, int fd) {
  int domain = 0, type = 0, listening = 0;
  socklen_t size = sizeof(int);
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX ||
      ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
      ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0)
    return fail("inherited_socket", "File descriptor " + std::to_string(fd) +
                                        " from the service manager is not a listening Unix stream socket; see "
                                        "ListenStream= in neptune-syncd.socket.");
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  Acceptor acceptor(executor);
  boost::system::error_code error;
  acceptor.assign(Protocol(), fd, error);
  if (error) return fail("inherited_socket", "The inherited socket cannot be used: " + error.message() + ".");
  return Listener(std::move(acceptor));
}

void Listener::close() {
  if (!acceptor_.is_open()) return;
  struct stat info{};
  if (!path_.empty() && ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_)
    ::unlink(path_.c_str());
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

}  // namespace neptune::local_api
