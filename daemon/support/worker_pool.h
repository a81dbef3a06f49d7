#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace neptune {

/// A few threads for what blocks (SQLite, files), so that the loop never does.
///
/// `co_await pool.run(f)` runs `f` on one of the threads and comes back on the caller's executor with its result or its
/// exception. A call that has begun is always waited for: what `f` refers to in the caller's frame stays alive. A
/// cancellation that comes meanwhile takes effect at the caller's next `co_await`.
/// Callers that need order among their calls await one before they start the next.
class WorkerPool {
 public:
  explicit WorkerPool(std::size_t threads) : threads_(threads) {}
  ~WorkerPool() { threads_.join(); }

  template <class F>
  boost::asio::awaitable<std::invoke_result_t<F&>> run(F f) {
    using R = std::invoke_result_t<F&>;
    namespace asio = boost::asio;
    auto home = co_await asio::this_coro::executor;
    std::exception_ptr error;
    if constexpr (std::is_void_v<R>) {
      co_await hop(home, [&] { f(); }, error);
      if (error) std::rethrow_exception(error);
    } else {
      std::optional<R> result;
      co_await hop(home, [&] { result.emplace(f()); }, error);
      if (error) std::rethrow_exception(error);
      co_return std::move(*result);
    }
  }

 private:
  template <class F>
  boost::asio::awaitable<void> hop(boost::asio::any_io_executor home, F f, std::exception_ptr& error) {
    namespace asio = boost::asio;
    // Takes no cancellation slot: the work must not be abandoned half-way.
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [this, home, &f, &error](auto handler) {
          asio::post(threads_, [home, &f, &error, handler = std::move(handler)]() mutable {
            try {
              f();
            } catch (...) {
              error = std::current_exception();
            }
            asio::post(home, std::move(handler));
          });
        },
        asio::use_awaitable);
  }

  boost::asio::thread_pool threads_;
};

}  // namespace neptune
