#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

namespace neptune {

/// Owns coroutines, so that none is ever orphaned.
///
/// Operation: `spawn` starts a coroutine; `stop` asks all of them to end (terminal cancellation) and returns when the
/// last has. The owner must `co_await stop()` before the group is destroyed; the destructor checks it.
/// Concurrency: one executor, one thread; nothing here is thread safe.
/// An exception that leaves a coroutine is logged with the task's name (except the cancellation itself), and ends that
/// coroutine only.
class TaskGroup {
 public:
  explicit TaskGroup(boost::asio::any_io_executor executor);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  /// Starts `task` under a name that logs use. After `stop` was called the task is destroyed unstarted.
  void spawn(std::string name, boost::asio::awaitable<void> task);

  /// Asks every task to end, without waiting for it.
  void cancel();

  /// Cancels, and waits until the last task has ended.
  boost::asio::awaitable<void> stop();

  /// Waits until no task is left, at most `bound`; true when none is.
  boost::asio::awaitable<bool> drain(std::chrono::steady_clock::duration bound);

  std::size_t size() const { return tasks_.size(); }

 private:
  struct Task {
    explicit Task(std::string task_name) : name(std::move(task_name)) {}
    std::string name;
    boost::asio::cancellation_signal signal;
  };

  boost::asio::any_io_executor executor_;
  std::list<Task> tasks_;
  boost::asio::steady_timer changed_;  // cancelled whenever the last task ends
  bool stopping_ = false;
};

}  // namespace neptune
