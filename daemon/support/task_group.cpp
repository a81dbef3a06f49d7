#include "support/task_group.h"

#include <spdlog/spdlog.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cassert>

namespace neptune {

namespace asio = boost::asio;

TaskGroup::TaskGroup(asio::any_io_executor executor) : executor_(executor), changed_(executor) {}

TaskGroup::~TaskGroup() {
  assert(tasks_.empty() && "a TaskGroup must be stopped before it is destroyed");
}

void TaskGroup::spawn(std::string name, asio::awaitable<void> task) {
  if (stopping_) return;
  tasks_.emplace_back(std::move(name));
  const auto self = std::prev(tasks_.end());
  asio::co_spawn(executor_, std::move(task),
                 asio::bind_cancellation_slot(self->signal.slot(), [this, self](std::exception_ptr error) {
                   if (error) {
                     try {
                       std::rethrow_exception(error);
                     } catch (const boost::system::system_error& e) {
                       if (e.code() != asio::error::operation_aborted)
                         spdlog::error("task={} ended error={:?}", self->name, e.what());
                     } catch (const std::exception& e) {
                       spdlog::error("task={} ended error={:?}", self->name, e.what());
                     }
                   }
                   tasks_.erase(self);
                   if (tasks_.empty()) changed_.cancel();
                 }));
}

void TaskGroup::cancel() {
  stopping_ = true;
  // A task that ends takes itself off the list, so step on before each signal.
  for (auto it = tasks_.begin(); it != tasks_.end();) (it++)->signal.emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> TaskGroup::stop() {
  cancel();
  while (!tasks_.empty()) co_await drain(std::chrono::hours(1));
}

asio::awaitable<bool> TaskGroup::drain(std::chrono::steady_clock::duration bound) {
  if (tasks_.empty()) co_return true;
  changed_.expires_after(bound);
  boost::system::error_code ignored;
  co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  co_return tasks_.empty();
}

}  // namespace neptune
