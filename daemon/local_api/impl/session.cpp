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
constexpr std::uint64_t progress_bytes = 64 << 10;
constexpr std::size_t drain_bytes = 64 << 10;        // at a time
constexpr std::uint64_t most_drained = 64ull << 20;  // as much as neptune-sync ever sends

using Parser = http::request_parser<http::string_body>;

/// What an error while a request was read says to its sender; nothing when there is nobody to tell.
std::optional<Answer> answer_to(boost::system::error_code error, const Options& options, std::uint64_t body_limit) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return error_answer(
        431, "headers_too_large",
        "The request's headers are larger than " + std::to_string(options.max_header_bytes) + " bytes.");
  if (error == http::error::body_limit)
    return error_answer(
        413, "body_too_large",
        "The request's body is larger than " + std::to_string(body_limit) + " bytes; send less of it at a time.");
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
  connection.rest();
  connection.stream.expires_after(connection.door.options.idle_timeout);
  const auto space = buffer.prepare(read_bytes);
  const auto n = co_await connection.stream.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
  buffer.commit(n);
  connection.idle = false;
  co_return error;
}

/// How a request was read: whole, or not, and then perhaps with an answer that says why.
struct Read {
  bool whole = false;
  std::optional<Answer> complaint{};

  static Read failed(boost::system::error_code error, const Options& options, std::uint64_t body_limit) {
    return {false, answer_to(error, options, body_limit)};
  }
};

std::uint64_t body_limit_of(const http::request<http::string_body>& request, const Options& options) {
  const auto found = find_route(request.method_string(), request.target());
  return found && found->route->takes == Takes::changes ? options.max_changes_bytes : options.max_body_bytes;
}

Answer no_room_for_body() {
  auto answer = error_answer(503, "too_many_bodies",
                             "neptune-syncd is reading as many large bodies as it takes at a time, and nothing of this "
                             "one was taken. Try again in a moment.");
  answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

/// Room for all of a large body, or none; of one that does not say its length, which is known by its first bytes to be
/// large (`read`), for the largest there may be.
bool has_room(const Parser& parser, BodyBudget::Share& share, const Options& options, std::uint64_t limit,
              std::uint64_t read) {
  const auto announced = parser.content_length();
  const std::uint64_t size = announced ? *announced : read;
  if (size <= options.max_body_bytes) return true;
  return share.grow_to(announced ? size : std::max(size, std::min(limit, share.most())));
}

/// The time allowed begins anew with each 64 KiB, of a large body with each sixteenth of what it has reserved: it may
/// take long, but not drip, and keep the room from others.
asio::awaitable<Read> read_body(Connection& connection, beast::flat_buffer& buffer, Parser& parser,
                                BodyBudget::Share& share, std::uint64_t limit) {
  const auto& options = connection.door.options;
  std::uint64_t timed_at = 0;
  boost::system::error_code error;
  while (!parser.is_done()) {
    co_await http::async_read_some(connection.stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return Read::failed(error, options, limit);
    const std::uint64_t size = parser.get().body().size();
    if (!has_room(parser, share, options, limit, size)) co_return Read{false, no_room_for_body()};
    if (size < timed_at + std::max(progress_bytes, share.size() / 16)) continue;
    timed_at = size;
    connection.stream.expires_after(options.request_timeout);
  }
  co_return Read{true, std::nullopt};
}

asio::awaitable<Read> read_request(Connection& connection, beast::flat_buffer& buffer, Parser& parser,
                                   BodyBudget::Share& share) {
  const auto& options = connection.door.options;
  boost::system::error_code error;
  parser.body_limit(boost::none);  // it depends on the route
  connection.stream.expires_after(options.request_timeout);
  co_await http::async_read_header(connection.stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return Read::failed(error, options, 0);
  const auto limit = body_limit_of(parser.get(), options);
  if (parser.content_length().value_or(0) > limit) co_return Read::failed(http::error::body_limit, options, limit);
  if (parser.is_done()) co_return Read{true, std::nullopt};
  if (!has_room(parser, share, options, limit, 0)) co_return Read{false, no_room_for_body()};
  parser.body_limit(limit);
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const auto bytes = asio::buffer(go_on);
    co_await asio::async_write(connection.stream, bytes, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return Read::failed(error, options, limit);
  }
  auto read = co_await read_body(connection, buffer, parser, share, limit);
  co_return read;
}

std::string body_type_of(const http::request<http::string_body>& request) {
  const std::string_view type = request[http::field::content_type];
  auto name = type.substr(0, type.find(';'));
  while (name.ends_with(' ')) name.remove_suffix(1);
  return std::string(name);
}

/// What the parameter "charset" says, of any case; empty: it is not there.
std::string_view charset_of(std::string_view type) {
  constexpr std::string_view name = "charset=";
  for (auto next = type.find(';'); next != std::string_view::npos; next = type.find(';')) {
    type.remove_prefix(next + 1);
    type.remove_prefix(std::min(type.find_first_not_of(" \t"), type.size()));
    if (!beast::iequals(type.substr(0, name.size()), name)) continue;
    auto value = type.substr(name.size());
    value = value.substr(0, value.find(';'));
    while (value.ends_with(' ')) value.remove_suffix(1);
    if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

/// A body is read as it is, and as UTF-8.
std::optional<Answer> check_encoding(const http::request<http::string_body>& request) {
  if (request.body().empty()) return std::nullopt;
  const std::string coding(request[http::field::content_encoding]);
  if (!coding.empty() && !beast::iequals(coding, "identity"))
    return error_answer(
        415, "unsupported_media_type",
        "The body has the Content-Encoding '" + coding + "', and is taken only as it is: send it without one.",
        "content-encoding");
  const std::string charset(charset_of(request[http::field::content_type]));
  if (charset.empty() || beast::iequals(charset, "utf-8") || beast::iequals(charset, "utf8") ||
      beast::iequals(charset, "us-ascii"))
    return std::nullopt;
  return error_answer(415, "unsupported_media_type",
                      "The body's charset is said to be '" + charset + "', and only UTF-8 is taken: send it in that.",
                      "content-type");
}

std::optional<Answer> check_body(const std::string& type, bool empty, Takes takes) {
  if (empty || beast::iequals(type, "application/json")) return std::nullopt;
  if (takes == Takes::little)
    return error_answer(415, "unsupported_media_type",
                        "A body is to be JSON here, sent with Content-Type: application/json.", "content-type");
  if (type.empty() || beast::iequals(type, "application/x-ndjson")) return std::nullopt;
  return error_answer(415, "unsupported_media_type",
                      "Changes are sent with Content-Type: application/json (one object, or an array) or "
                      "application/x-ndjson (one object a line), or without one; this says '" +
                          type + "'.",
                      "content-type");
}

Answer not_an_operator(const Standing& standing, const std::string& group) {
  return error_answer(403, "not_permitted",
                      "This is not for " + user_in_words(standing.name) +
                          ", who may look here, and hand in metadata, but for root, the daemon's own user and the "
                          "members of group " +
                          group + " (`usermod -aG " + group + " " + standing.name + "` adds one).");
}

/// Large bodies cost more; whoever asks, so that a job gone wild as root does not keep out the others either.
std::optional<Answer> check_allowance(Connection& connection, const Call& call) {
  const auto cost = static_cast<double>(1 + call.body.size() / progress_bytes);
  const auto wait = connection.door.allowances.take(connection.peer.uid, cost);
  if (!wait) return std::nullopt;
  auto answer =
      error_answer(429, "too_often",
                   "More is handed in than neptune-syncd takes of one user, here of " + call.by +
                       ", and nothing of this was taken. Put many changes into one request, or try again in a moment.");
  answer.headers.emplace_back("Retry-After", std::to_string(std::chrono::ceil<std::chrono::seconds>(*wait).count()));
  return answer;
}

/// Nothing when the peer may do what the route does; fills in who asks.
asio::awaitable<std::optional<Answer>> check_permission(Connection& connection, const Route& route, Call& call) {
  if (route.needs == Needs::read) co_return std::nullopt;
  auto& door = connection.door;
  const auto standing = co_await door.operators.standing(connection.peer);
  call.by = standing.name;
  call.standing = standing;
  if (route.needs == Needs::submit) co_return check_allowance(connection, call);
  if (standing.is_operator || route.needs == Needs::ask) co_return std::nullopt;
  if (route.needs == Needs::operate) co_return not_an_operator(standing, door.operators.group());
  const auto now = door.context.clock.now();
  if (now - door.last_nudge < nudge_interval && door.last_nudge != Instant{}) {
    auto answer = error_answer(
        429, "too_often",
        "A flush, a probe or a diagnosis was asked for within the last second already. Ask again in a second.");
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
  spdlog::error("local_api route=\"{} {}\" failed error={:?}", route.method, route.pattern, failure);
  co_return error_answer(500, "internal", "The daemon could not answer: " + failure + ". Its log says more.");
}

std::expected<void, Answer> may_stream(const Connection& connection, const Call& call) {
  const auto most = connection.door.options.max_streams_per_user;
  const auto is_mine = [&connection](const Connection* other) {
    return other->streams_events && other->peer.uid == connection.peer.uid;
  };
  if (std::cmp_greater_equal(std::ranges::count_if(connection.door.connections, is_mine), most))
    return std::unexpected(error_answer(503, "too_many_connections",
                                        "You have as many event streams open as neptune-syncd takes of one user (" +
                                            std::to_string(most) + "). Close some, or try again."));
  return check_event_parameters(call);
}

/// Answers one request that was read; true when the connection can take another.
asio::awaitable<bool> answer_request(Connection& connection, http::request<http::string_body>& request) {
  const bool head = request.method() == http::verb::head;
  const bool keep_alive = request.keep_alive() && !connection.door.stopping;
  const std::string_view method = request.method_string(), target = request.target();

  auto found = find_route(method, target);
  std::optional<Answer> refusal;
  if (!found) refusal = std::move(found.error());
  if (!refusal) {
    found->call.uid = connection.peer.uid;
    found->call.accept = request[http::field::accept];
    found->call.body_type = body_type_of(request);
    refusal = check_encoding(request);
    found->call.body = std::move(request.body());
  }
  if (!refusal) {
    refusal = check_body(found->call.body_type, found->call.body.empty(), found->route->takes);
  }
  if (!refusal) refusal = co_await check_permission(connection, *found->route, found->call);
  if (!refusal && !found->route->handler) {
    const auto checked = may_stream(connection, found->call);
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

enum class Next { request, end, drain };

asio::awaitable<Next> serve_one(Connection& connection, beast::flat_buffer& buffer) {
  Parser parser;
  parser.header_limit(connection.door.options.max_header_bytes);
  BodyBudget::Share share(connection.door.bodies, connection.peer.uid);
  auto read = co_await read_request(connection, buffer, parser, share);
  if (read.whole) {
    const bool more = co_await answer_request(connection, parser.get());
    co_return more ? Next::request : Next::end;
  }
  if (!read.complaint) co_return Next::end;
  co_await send(connection, std::move(*read.complaint), 11, false, false);
  co_return Next::drain;
}

/// Reads on, for nothing, after an answer that came before its request's end: who is still sending would be cut off,
/// and many clients do not look for an answer then.
asio::awaitable<void> drain(Connection& connection) {
  boost::system::error_code error;
  connection.stream.socket().shutdown(asio::socket_base::shutdown_send, error);
  connection.idle = connection.draining = true;  // it has its answer
  connection.stream.expires_after(connection.door.options.request_timeout);
  std::string rest(drain_bytes, '\0');
  for (std::uint64_t drained = 0; !error && drained < most_drained && !connection.door.stopping;) {
    const auto space = asio::buffer(rest);
    drained += co_await connection.stream.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
  }
}

}  // namespace

asio::awaitable<void> serve(std::unique_ptr<Connection> connection) {
  beast::flat_buffer buffer(connection->door.options.max_header_bytes + 2 * read_bytes);
  auto next = Next::request;
  while (next == Next::request && !connection->door.stopping) {
    if (co_await wait_for_request(*connection, buffer)) break;
    next = co_await serve_one(*connection, buffer);
  }
  if (next == Next::drain) co_await drain(*connection);
  boost::system::error_code ignored;
  connection->stream.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

}  // namespace neptune::local_api
