#include "sources/impl/process_watch.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string>

namespace neptune::sources {

namespace asio = boost::asio;

void ProcessWatch::follow(const std::set<std::int32_t>& pids) {
  std::erase_if(processes_, [&pids](auto& process) { return !pids.contains(process.first); });
  for (const auto pid : pids) {
    if (processes_.contains(pid)) continue;
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0) continue;
    processes_.emplace(pid, asio::posix::stream_descriptor(executor_, fd));
    group_.spawn("process " + std::to_string(pid), wait_for(pid));
  }
}

asio::awaitable<void> ProcessWatch::wait_for(std::int32_t pid) {
  auto& process = processes_.at(pid);
  boost::system::error_code error;
  co_await process.async_wait(asio::posix::stream_descriptor::wait_read,
                              asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;  // nobody asks any more
  processes_.erase(pid);
  ended_(pid);
}

}  // namespace neptune::sources
