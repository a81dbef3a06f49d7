#include "local_api/impl/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <variant>

#include "local_api/impl/event_stream.h"

namespace neptune::local_api {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

namespace {

constexpr auto nudge_interval = std::chrono::seconds(1);
constexpr std::size_t read_bytes = 4096;

using Parser = http::request_parser<http::string_body>;

/// What an error while a request was read says to its sender; nothing when there is nobody to tell.
std::optional<Answer> answer_to(boost::system::error_code error, const Options& options) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return error_answer(
        431, "headers_too_large",
        "The request's headers are larger than " + std::to_string(options.max_header_bytes) + " bytes.");
  if (error == http::error::body_limit)
    return error_answer(413, "body_too_large",
                        "The request's body is larger than " + std::to_string(options.max_body_bytes) + " bytes.");
  if (error == http::error::bad_version)
    return error_answer(505, "unsupported_version", "Speak HTTP/1.1 or HTTP/1.0 here.");
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error.category() == make_error_code(http::error::bad_method).category())
    return error_answer(400, "malformed_request", "This is not a request of HTTP/1.1: " + error.message() + ".");
  return std::nullopt;
}

/// Writes one answer; false when the connection cannot be used any more.
asio::awaitable<bool> send(Connection& connection, Answer answer, unsigned version, bool head, bool keep_alive) {
  connection.stream.expires_after(connection.door.options.write_timeout);
  http::response_header<> header;
  header.result(answer.status);
  header.version(version);
  header.set(http::field::server, "neptune-syncd/" + connection.door.options.version);
  header.set(http::field::content_type, answer.content_type);
  header.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : answer.headers) header.set(name, value);

  boost::system::error_code error;
  if (head) {
    http::response<http::empty_body> response(std::move(header));
    response.content_length(answer.body.size());
    response.keep_alive(keep_alive);
    co_await http::async_write(connection.stream, response, asio::redirect_error(asio::use_awaitable, error));
  } else {
    http::response<http::string_body> response(std::move(header), std::move(answer.body));
    response.prepare_payload();
    response.keep_alive(keep_alive);
    co_await http::async_write(connection.stream, response, asio::redirect_error(asio::use_awaitable, error));
  }
  co_return !error && keep_alive;
}

asio::awaitable<boost::system::error_code> wait_for_request(Connection& connection, beast::flat_buffer& buffer) {
  boost::system::error_code error;
  if (buffer.size() > 0) co_return error;
  connection.idle = true;
  connection.stream.expires_after(connection.door.options.idle_timeout);
  const auto space = buffer.prepare(read_bytes);
  const auto n = co_await connection.stream.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
  buffer.commit(n);
  connection.idle = false;
  co_return error;
}

asio::awaitable<boost::system::error_code> read_request(Connection& connection, beast::flat_buffer& buffer,
                                                        Parser& parser) {
  boost::system::error_code error;
  connection.stream.expires_after(connection.door.options.request_timeout);
  co_await http::async_read_header(connection.stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
  if (error || parser.is_done()) co_return error;
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const auto bytes = asio::buffer(go_on);
    co_await asio::async_write(connection.stream, bytes, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return error;
  }
  co_await http::async_read(connection.stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
  co_return error;
}

std::optional<Answer> check_body(const http::request<http::string_body>& request) {
  if (request.body().empty()) return std::nullopt;
  const std::string_view type = request[http::field::content_type];
  const auto name = type.substr(0, type.find(';'));
  if (beast::iequals(name, "application/json")) return std::nullopt;
  return error_answer(415, "unsupported_media_type",
                      "A body is to be JSON here, sent with Content-Type: application/json.", "content-type");
}

Answer not_an_operator(const Standing& standing, const std::string& group) {
  return error_answer(403, "not_permitted",
                      standing.name +
                          " may look, but not change anything here. That is for root, the daemon's own user "
                          "and the members of group " +
                          group + " (`usermod -aG " + group + " " + standing.name + "` adds one).");
}

/// Nothing when the peer may do what the route does; fills in who asks.
asio::awaitable<std::optional<Answer>> check_permission(Connection& connection, const Route& route, Call& call) {
  if (route.needs == Needs::read) co_return std::nullopt;
  auto& door = connection.door;
  const auto standing = co_await door.operators.standing(connection.peer);
  call.by = standing.name;
  if (standing.is_operator) co_return std::nullopt;
  if (route.needs == Needs::operate) co_return not_an_operator(standing, door.operators.group());
  const auto now = door.context.clock.now();
  if (now - door.last_nudge < nudge_interval && door.last_nudge != Instant{}) {
    auto answer = error_answer(429, "too_often", "This was asked for within the last second already; it is under way.");
    answer.headers.emplace_back("Retry-After", "1");
    co_return answer;
  }
  door.last_nudge = now;
  co_return std::nullopt;
}

asio::awaitable<Answer> ask(Connection& connection, const Route& route, Call call) {
  std::string failure;
  try {
    co_return co_await route.handler(connection.door.context, std::move(call));
  } catch (const boost::system::system_error& e) {
    if (e.code() == asio::error::operation_aborted) throw;
    failure = e.what();
  } catch (const std::exception& e) {
    failure = e.what();
  }
  spdlog::error("local_api route=\"{} {}\" failed error=\"{}\"", route.method, route.pattern, failure);
  co_return error_answer(500, "internal", "The daemon could not answer: " + failure + ". Its log says more.");
}

/// Answers one request that was read; true when the connection can take another.
asio::awaitable<bool> answer_request(Connection& connection, const http::request<http::string_body>& request) {
  const bool head = request.method() == http::verb::head;
  const bool keep_alive = request.keep_alive() && !connection.door.stopping;
  const std::string_view method = request.method_string(), target = request.target();

  auto found = find_route(method, target);
  std::optional<Answer> refusal;
  if (!found) refusal = std::move(found.error());
  if (!refusal) refusal = check_body(request);
  if (!refusal) refusal = co_await check_permission(connection, *found->route, found->call);
  if (!refusal && !found->route->handler) {
    const auto checked = check_event_parameters(found->call);
    if (checked) {
      const EventStreamForm form{request.version(), head, keep_alive};
      co_return co_await stream_events(connection, std::move(found->call), form);
    }
    refusal = checked.error();
  }
  if (refusal) co_return co_await send(connection, std::move(*refusal), request.version(), head, keep_alive);
  auto answer = co_await ask(connection, *found->route, std::move(found->call));
  co_return co_await send(connection, std::move(answer), request.version(), head, keep_alive);
}

}  // namespace

asio::awaitable<void> serve(std::unique_ptr<Connection> connection) {
  const auto& options = connection->door.options;
  beast::flat_buffer buffer(options.max_header_bytes + 2 * read_bytes);
  bool open = true;
  while (open && !connection->door.stopping) {
    if (co_await wait_for_request(*connection, buffer)) break;
    Parser parser;
    parser.header_limit(options.max_header_bytes);
    parser.body_limit(options.max_body_bytes);
    const auto error = co_await read_request(*connection, buffer, parser);
    if (!error) {
      open = co_await answer_request(*connection, parser.get());
      continue;
    }
    open = false;
    auto complaint = answer_to(error, options);
    if (complaint) co_await send(*connection, std::move(*complaint), 11, false, false);
  }
  boost::system::error_code ignored;
  connection->stream.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

}  // namespace neptune::local_api
