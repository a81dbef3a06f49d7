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
  classes_[{type, about.loss}].push_back(event.id);
  event.type = std::move(type);
  event.message = std::move(message);
  event.scope = std::move(about.scope);
  event.stream = std::move(about.stream);
  event.count = about.count;
  event.upload = std::move(about.upload);
  events_.emplace_hint(events_.end(), event.id, std::move(event));
  if (events_.size() > kept) drop_one();
  news_.cancel();
}

void EventLog::drop_one() {
  const auto size = [](const auto& each) { return each.second.size(); };
  auto& ids = std::ranges::max_element(classes_, {}, size)->second;
  events_.erase(ids.front());
  ids.pop_front();
}

api::Event EventLog::gap(std::uint64_t first, std::uint64_t last) const {
  api::Event gap;
  gap.id = last;
  gap.at = format_time(clock_.wall());
  gap.type = "gap";
  gap.message = first == last ? fmt::format("event {} is no longer kept", first)
                              : fmt::format("events {} to {} are no longer kept", first, last);
  return gap;
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
  std::size_t answered = 0;
  auto next = after == 0 ? events_.begin()->first : after + 1;
  for (auto it = events_.lower_bound(next); it != events_.end() && answered < answered_at_once; ++it, ++answered) {
    if (it->first > next) found.push_back(gap(next, it->first - 1));
    found.push_back(it->second);
    next = it->first + 1;
  }
  co_return found;
}

}  // namespace neptune::engine
