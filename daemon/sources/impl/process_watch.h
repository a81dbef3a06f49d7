#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "support/task_group.h"

namespace neptune::sources {

/// Tells when processes end, by pidfds. Of a process that cannot be watched (it ended just now, or is not ours to see)
/// nothing is told. Concurrency: one executor, one thread.
class ProcessWatch {
 public:
  /// `ended` is told on the executor. The group's tasks must have ended before this is destroyed.
  ProcessWatch(boost::asio::any_io_executor executor, TaskGroup& group, std::function<void(std::int32_t)> ended)
      : executor_(executor), group_(group), ended_(std::move(ended)) {}

  /// These, and no others any more.
  void follow(const std::set<std::int32_t>& pids);
  void clear() { processes_.clear(); }

 private:
  boost::asio::awaitable<void> wait_for(std::int32_t pid);

  boost::asio::any_io_executor executor_;
  TaskGroup& group_;
  std::function<void(std::int32_t)> ended_;
  std::map<std::int32_t, boost::asio::posix::stream_descriptor> processes_;
};

}  // namespace neptune::sources
