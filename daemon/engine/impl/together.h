#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "support/error.h"

namespace neptune::engine {

/// What comes while something is being written is written together next, with one sync of the disk for all of it.
/// Concurrency: one executor, one thread; `write` is called for one group after the other. Who adds something must not
/// be cancelled before its outcome is known: he may be the one who writes for the others.
template <class Item>
class Together {
 public:
  using Write = std::function<boost::asio::awaitable<Result<void>>(std::vector<Item>)>;
  Together(boost::asio::any_io_executor executor, Write write)
      : executor_(std::move(executor)), write_(std::move(write)) {}

  /// The outcome of the group that the item was written with.
  boost::asio::awaitable<Result<void>> add(Item item) {
    const bool writes = !gathering_;
    if (writes) gathering_ = std::make_shared<Group>(executor_);
    const auto mine = gathering_;
    mine->items.push_back(std::move(item));
    while (writes && being_written_) {
      const auto before = being_written_;
      co_await until_written(before);
    }
    if (writes) {
      being_written_ = std::exchange(gathering_, nullptr);
      mine->outcome = co_await write_(std::move(mine->items));
      being_written_.reset();
      mine->written.cancel();
    }
    while (!mine->outcome) co_await until_written(mine);
    co_return *mine->outcome;
  }

 private:
  struct Group {
    explicit Group(const boost::asio::any_io_executor& executor)
        : written(executor, boost::asio::steady_timer::time_point::max()) {}
    std::vector<Item> items;
    std::optional<Result<void>> outcome;
    boost::asio::steady_timer written;  // cancelled when there is an outcome
  };

  static boost::asio::awaitable<void> until_written(std::shared_ptr<Group> group) {
    boost::system::error_code ignored;
    co_await group->written.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }

  boost::asio::any_io_executor executor_;
  Write write_;
  std::shared_ptr<Group> gathering_, being_written_;
};

}  // namespace neptune::engine
