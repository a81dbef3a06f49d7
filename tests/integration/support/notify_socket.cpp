#include "tests/integration/support/notify_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace neptune::testing {

NotifySocket::NotifySocket(std::filesystem::path path) : path_(std::move(path)) {
  std::filesystem::remove(path_);
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto text = path_.string();
  if (fd_ < 0 || text.size() >= sizeof(address.sun_path))
    throw std::system_error(ENAMETOOLONG, std::generic_category(), text);
  std::memcpy(address.sun_path, text.c_str(), text.size());
  if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw std::system_error(errno, std::generic_category(), text);
}

NotifySocket::~NotifySocket() {
  ::close(fd_);
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

bool NotifySocket::wait(std::string_view line, std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    if (std::ranges::find(lines_, line) != lines_.end()) return true;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd readable{fd_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) <= 0) return false;
    char message[4096];
    const auto size = ::recv(fd_, message, sizeof(message), 0);
    if (size <= 0) return false;
    std::string_view rest(message, static_cast<std::size_t>(size));
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size());
      lines_.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

}  // namespace neptune::testing
