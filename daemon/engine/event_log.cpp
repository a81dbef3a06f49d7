#include "engine/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace neptune::engine {

namespace asio = boost::asio;

void EventLog::add(std::string type, std::string message, EventAbout about) {
  api::Event event;
  event.id = ++last_id_;
  event.at = format_time(clock_.wall());
  event.type = std::move(type);
  event.message = std::move(message);
  event.scope = std::move(about.scope);
  event.stream = std::move(about.stream);
  event.count = about.count;
  event.upload = std::move(about.upload);
  events_.push_back(std::move(event));
  if (events_.size() > kept) events_.pop_front();
  news_.cancel();
}

asio::awaitable<std::vector<api::Event>> EventLog::after(std::uint64_t after) {
  // A reader from before a restart asks for ids that do not exist yet: it gets all there is.
  if (after > last_id_) after = 0;
  while (last_id_ <= after) {
    boost::system::error_code ignored;
    co_await news_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none)
      throw boost::system::system_error(asio::error::operation_aborted);
  }
  std::vector<api::Event> found;
  const auto first = events_.front().id;
  if (after + 1 < first && after != 0) {
    api::Event gap;
    gap.id = first - 1;
    gap.at = format_time(clock_.wall());
    gap.type = "gap";
    gap.message = fmt::format("events {} to {} are no longer kept", after + 1, first - 1);
    found.push_back(std::move(gap));
  }
  const auto begin = events_.begin() + static_cast<std::ptrdiff_t>(after + 1 > first ? after + 1 - first : 0);
  const auto count = std::min<std::ptrdiff_t>(events_.end() - begin, answered_at_once);
  found.insert(found.end(), begin, begin + count);
  co_return found;
}

}  // namespace neptune::engine
