#include "local_api/impl/event_stream.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/write.hpp>
#include <limits>

#include "client/lib/json.h"

namespace neptune::local_api {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

namespace {

constexpr std::size_t piece_bytes = 32 << 10;

/// Wakes a reader when there are events, and when the other side has gone.
class Bell {
 public:
  explicit Bell(Connection& connection) : connection_(connection), timer_(connection.stream.get_executor()) {
    connection_.door.bells.insert(&timer_);
    shared_->timer = &timer_;
    // Reports a full close only: a reader may shut down its sending half and go on reading.
    connection_.stream.socket().async_wait(asio::socket_base::wait_error,
                                           [shared = shared_](boost::system::error_code) {
                                             shared->gone = true;
                                             if (shared->timer) shared->timer->cancel();
                                           });
  }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  ~Bell() {
    shared_->timer = nullptr;
    connection_.door.bells.erase(&timer_);
  }

  bool reader_gone() const { return shared_->gone; }

  asio::awaitable<void> wait() {
    timer_.expires_at(asio::steady_timer::time_point::max());
    boost::system::error_code rung;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, rung));
  }

 private:
  struct Shared {
    bool gone = false;
    asio::steady_timer* timer = nullptr;
  };

  Connection& connection_;
  asio::steady_timer timer_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

asio::awaitable<bool> send_head(Connection& connection, EventStreamForm form) {
  http::response<http::empty_body> head(http::status::ok, form.version);
  head.set(http::field::server, "neptune-syncd/" + connection.door.options.version);
  head.set(http::field::content_type, "application/x-ndjson");
  head.set(http::field::cache_control, "no-store");
  head.keep_alive(form.keep_alive);
  if (form.version >= 11) head.chunked(true);
  http::response_serializer<http::empty_body> serializer(head);
  connection.stream.expires_after(connection.door.options.write_timeout);
  boost::system::error_code error;
  co_await http::async_write_header(connection.stream, serializer, asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

asio::awaitable<bool> send_piece(Connection& connection, std::string text, bool chunked) {
  boost::system::error_code error;
  connection.stream.expires_after(connection.door.options.write_timeout);
  const asio::const_buffer bytes(text.data(), text.size());
  if (chunked) {
    const auto chunk = http::make_chunk(bytes);
    co_await asio::async_write(connection.stream, chunk, asio::redirect_error(asio::use_awaitable, error));
  } else {
    co_await asio::async_write(connection.stream, bytes, asio::redirect_error(asio::use_awaitable, error));
  }
  co_return !error;
}

asio::awaitable<bool> send_end(Connection& connection, bool chunked) {
  if (!chunked) co_return true;
  boost::system::error_code error;
  connection.stream.expires_after(connection.door.options.write_timeout);
  const auto last = http::make_chunk_last();
  co_await asio::async_write(connection.stream, last, asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

asio::awaitable<bool> send_lines(Connection& connection, std::vector<api::Event> events, bool chunked) {
  std::string piece;
  for (const auto& event : events) {
    piece += api::to_json(event);
    piece += '\n';
    if (piece.size() < piece_bytes) continue;
    if (!co_await send_piece(connection, std::move(piece), chunked)) co_return false;
    piece.clear();
  }
  if (piece.empty()) co_return true;
  co_return co_await send_piece(connection, std::move(piece), chunked);
}

struct Wanted {
  std::uint64_t after = 0;
  bool follow = true;
  bool stale = false;  // the id is of an earlier daemon
};

std::expected<Wanted, Answer> wanted_of(const Call& call, std::uint64_t newest) {
  const auto follow = flag(call, "follow", true);
  if (!follow) return std::unexpected(follow.error());
  const auto since = number(call, "since", *follow ? newest : 0, 0, std::numeric_limits<std::uint64_t>::max());
  if (!since) return std::unexpected(since.error());
  if (*since > newest) return Wanted{0, *follow, true};
  return Wanted{*since, *follow, false};
}

api::Event stale_gap(WallTime now) {
  api::Event gap;
  gap.at = format_time(now);
  gap.type = "gap";
  gap.message = "The daemon was restarted since that event; what follows is all it has kept.";
  return gap;
}

}  // namespace

std::expected<void, Answer> check_event_parameters(const Call& call) {
  const auto wanted = wanted_of(call, 0);
  if (!wanted) return std::unexpected(wanted.error());
  return {};
}

asio::awaitable<bool> stream_events(Connection& connection, Call call, EventStreamForm form) {
  auto& door = connection.door;
  auto& control = door.context.control;
  const auto wanted = wanted_of(call, control.last_event_id());
  if (!wanted) co_return false;
  const bool chunked = form.version >= 11;
  const bool reusable = form.keep_alive && chunked;

  connection.streams_events = true;
  const auto ended = [](Connection* c) { c->streams_events = false; };
  const std::unique_ptr<Connection, decltype(ended)> streams(&connection, ended);
  Bell bell(connection);
  if (!co_await send_head(connection, form)) co_return false;
  if (form.head) co_return form.keep_alive;
  if (wanted->stale) {
    std::vector<api::Event> gap{stale_gap(door.context.clock.wall())};
    if (!co_await send_lines(connection, std::move(gap), chunked)) co_return false;
  }

  bool last_round = !wanted->follow || control.status().state == "draining";
  std::uint64_t after = wanted->after;
  for (;;) {
    if (bell.reader_gone()) co_return false;
    if (control.last_event_id() > after) {
      auto events = co_await control.events_after(after);
      const auto newest = events.empty() ? 0 : events.back().id;
      if (!events.empty() && events.back().type == "draining") last_round = true;
      // Always forward, so that an engine that numbers a "gap" oddly can't make this spin.
      after = newest > after ? newest : control.last_event_id();
      if (!co_await send_lines(connection, std::move(events), chunked)) co_return false;
    } else if (last_round || door.stopping) {
      break;
    } else {
      connection.stream.expires_never();
      co_await bell.wait();
    }
  }
  co_return co_await send_end(connection, chunked) && reusable;
}

}  // namespace neptune::local_api
