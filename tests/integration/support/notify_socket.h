#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace neptune::testing {

/// The service manager's end of sd_notify: a datagram socket whose path goes into NOTIFY_SOCKET.
class NotifySocket {
 public:
  explicit NotifySocket(std::filesystem::path path);
  NotifySocket(const NotifySocket&) = delete;
  ~NotifySocket();

  std::string path() const { return path_.string(); }

  /// Waits for a message with this line in it; false when the time ran out first.
  bool wait(std::string_view line, std::chrono::milliseconds timeout);

  /// All lines so far, in order.
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::vector<std::string> lines_;
};

}  // namespace neptune::testing
