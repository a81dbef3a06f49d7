#include "server/impl/exchange.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <utility>

#include "server/impl/cancel.h"
#include "server/impl/watchdog.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

constexpr std::uint32_t longest_header = 64 * 1024;
constexpr std::size_t read_size = 16 * 1024;
constexpr std::size_t joined_size = 16 * 1024;  // up to here, head and body leave in one write
constexpr int most_interim_answers = 8;

using Parser = http::response_parser<http::string_body>;

/// What the sending and the receiving half share. The half that makes going on pointless closes the stream, which ends
/// the other; neither is left waiting.
struct Talk {
  Talk(boost::asio::any_io_executor executor, Stream& to, Request& what, std::string head_text,
       std::chrono::milliseconds limit)
      : stream(to), request(what), head(std::move(head_text)), dog(executor, limit, [&to] { to.close(); }) {}

  Stream& stream;
  Request& request;
  std::string head;
  Watchdog dog;

  bool sent_any = false;
  bool sent_all = false;
  std::optional<Failure> source;

  std::unique_ptr<Parser> parser;
  bool received_any = false;
  bool complete = false;
  bool extra_bytes = false;
  error_code nonsense;  // what the parser made of the answer
  error_code lost;      // how the connection ended, as far as reading saw it
};

// ---- sending

asio::awaitable<bool> write_all(Talk* talk, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto moved = co_await talk->stream.write_some(asio::buffer(bytes.data(), bytes.size()));
    if (moved.bytes > 0) {
      talk->sent_any = true;
      talk->dog.progress();
    }
    if (moved.error) co_return false;
    bytes.remove_prefix(moved.bytes);
  }
  co_return true;
}

Failure source_failure(const Error& error) {
  return {Failure::Kind::source, error.code, error.message, std::nullopt};
}

Failure wrong_length(bool too_long) {
  return {Failure::Kind::source, too_long ? "body_too_long" : "body_too_short",
          fmt::format("the data to send turned out {} than its index says; it is read again at the next try",
                      too_long ? "longer" : "shorter"),
          std::nullopt};
}

// A piece of the body; empty at its end, none when it failed.
asio::awaitable<std::optional<std::string_view>> next_piece(Talk* talk) {
  talk->request.body_begun = true;
  talk->dog.pause();
  const auto piece = co_await talk->request.body.next();
  talk->dog.resume();
  if (piece) co_return *piece;
  talk->source = source_failure(piece.error());
  co_return std::nullopt;
}

asio::awaitable<bool> stream_body(Talk* talk) {
  std::string last;
  for (auto left = talk->request.body.stream_bytes; left > 0;) {
    const auto piece = co_await next_piece(talk);
    if (!piece) co_return false;
    if (piece->empty() || piece->size() > left) {
      talk->source = wrong_length(!piece->empty());
      co_return false;
    }
    left -= piece->size();
    if (left == 0) {
      last = *piece;
      break;
    }
    const bool written = co_await write_all(talk, *piece);
    if (!written) co_return false;
  }
  const auto end = co_await next_piece(talk);
  if (!end) co_return false;
  if (!end->empty()) {
    talk->source = wrong_length(true);
    co_return false;
  }
  co_return co_await write_all(talk, last);
}

asio::awaitable<void> send(Talk* talk) {
  const auto& body = talk->request.body;
  const bool joined = body.head.size() <= joined_size;
  if (joined) talk->head += body.head;
  bool good = co_await write_all(talk, talk->head);
  if (good && !joined) good = co_await write_all(talk, body.head);
  if (good && body.stream_bytes > 0) good = co_await stream_body(talk);
  talk->sent_all = good;
  // A connection that takes no more may still hold the server's reason, so only our own trouble ends the reading.
  if (talk->source) talk->stream.close();
}

// ---- receiving

bool is_interim(const Parser& parser) {
  const auto status = parser.get().result_int();
  return status >= 100 && status < 200;
}

std::unique_ptr<Parser> make_parser(const Request& request) {
  auto parser = std::make_unique<Parser>();
  parser->header_limit(longest_header);
  parser->body_limit(request.max_answer_bytes);
  parser->eager(true);
  return parser;
}

// Gives the parser what was read. False when the answer is complete or makes no sense.
bool digest(Talk& talk, beast::flat_buffer& buffer, int& interim_answers) {
  while (buffer.size() > 0) {
    error_code error;
    const auto used = talk.parser->put(buffer.data(), error);
    buffer.consume(used);
    if (error == http::error::need_more) return true;
    if (error) {
      talk.nonsense = error;
      return false;
    }
    if (talk.parser->is_done()) {
      if (!is_interim(*talk.parser)) {
        talk.complete = true;
        talk.extra_bytes = buffer.size() > 0;
        return false;
      }
      if (++interim_answers > most_interim_answers) {
        talk.nonsense = http::error::bad_status;
        return false;
      }
      talk.parser = make_parser(talk.request);
    } else if (used == 0) {
      return true;
    }
  }
  return true;
}

// An answer without a length ends with the connection.
void digest_end(Talk& talk, const error_code& error) {
  talk.lost = error;
  if (error != asio::error::eof || !talk.parser->is_header_done()) return;
  error_code incomplete;
  talk.parser->put_eof(incomplete);
  if (!incomplete && talk.parser->is_done()) talk.complete = true;
}

asio::awaitable<void> read_answer(Talk* talk) {
  beast::flat_buffer buffer(longest_header + read_size);
  int interim_answers = 0;
  talk->parser = make_parser(talk->request);
  for (;;) {
    const auto moved = co_await talk->stream.read_some(buffer.prepare(read_size));
    if (moved.bytes > 0) {
      talk->received_any = true;
      talk->dog.progress();
      buffer.commit(moved.bytes);
      if (!digest(*talk, buffer, interim_answers)) co_return;
    }
    if (moved.error) {
      digest_end(*talk, moved.error);
      co_return;
    }
  }
}

/// However the reading ends: sending on is pointless, unless all is sent anyway.
struct StopSending {
  Talk* talk;
  ~StopSending() {
    if (!talk->sent_all || !talk->complete) talk->stream.close();
  }
};

asio::awaitable<void> receive(Talk* talk) {
  const StopSending guard{talk};
  co_await read_answer(talk);
}

// ---- the outcome

Response take_response(Talk& talk) {
  auto message = talk.parser->release();
  Response response;
  response.status = static_cast<int>(message.result_int());
  for (const auto& field : message)
    response.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  response.body = std::move(message.body());
  return response;
}

Failure no_answer(const Talk& talk, std::chrono::milliseconds limit) {
  const auto peer = fmt::format("{} port {}", talk.request.url.host, talk.request.url.port);
  if (talk.dog.has_bitten())
    return {Failure::Kind::unreachable, talk.sent_all ? "answer_timed_out" : "timed_out",
            fmt::format("{} {} for {} s", peer, talk.sent_all ? "did not answer" : "took no more data", seconds(limit)),
            std::nullopt};
  if (talk.nonsense == http::error::body_limit || talk.nonsense == http::error::header_limit)
    return {Failure::Kind::server_error, "answer_too_large",
            fmt::format("the answer of {} is larger than any answer to this call should be", peer), std::nullopt};
  if (talk.nonsense)
    return {Failure::Kind::server_error, "invalid_answer",
            fmt::format("the answer of {} is not HTTP ({}); check the server's address and the proxy", peer,
                        talk.nonsense.message()),
            std::nullopt};
  return {Failure::Kind::unreachable, "connection_lost",
          fmt::format("the connection to {} was lost {} ({})", peer,
                      talk.received_any ? "in the middle of an answer" : "before an answer came", talk.lost.message()),
          std::nullopt};
}

Exchanged conclude(Talk& talk, std::chrono::milliseconds limit) {
  Exchanged out;
  out.sent_any = talk.sent_any;
  if (talk.source) {
    out.answer = std::unexpected(std::move(*talk.source));
    return out;
  }
  if (!talk.complete) {
    out.answer = std::unexpected(no_answer(talk, limit));
    out.stale = !talk.received_any && !talk.dog.has_bitten();
    return out;
  }
  out.reusable = talk.sent_all && talk.parser->keep_alive() && !talk.extra_bytes;
  auto response = take_response(talk);
  if (!talk.sent_all && response.status < 300) {
    out.answer = std::unexpected(Failure{Failure::Kind::server_error, "answered_early",
                                         fmt::format("{} port {} answered HTTP {} before it had the whole request",
                                                     talk.request.url.host, talk.request.url.port, response.status),
                                         std::nullopt});
    return out;
  }
  out.answer = std::move(response);
  return out;
}

void rethrow_unless_aborted(const std::exception_ptr& thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const boost::system::system_error& error) {
    if (error.code() != asio::error::operation_aborted) throw;
  }
}

}  // namespace

asio::awaitable<Exchanged> exchange(Stream& stream, Request& request, std::string head,
                                    std::chrono::milliseconds limit) {
  const auto executor = co_await asio::this_coro::executor;
  Talk talk(executor, stream, request, std::move(head), limit);
  auto sending = asio::co_spawn(executor, send(&talk), asio::deferred);
  auto receiving = asio::co_spawn(executor, receive(&talk), asio::deferred);
  auto both = asio::experimental::make_parallel_group(std::move(sending), std::move(receiving));
  const auto [order, send_threw, receive_threw] =
      co_await both.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  co_await throw_if_cancelled();
  rethrow_unless_aborted(send_threw);
  rethrow_unless_aborted(receive_threw);
  co_return conclude(talk, limit);
}

}  // namespace neptune::server
