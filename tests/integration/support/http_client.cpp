#include "tests/integration/support/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cctype>
#include <limits>
#include <stdexcept>

namespace neptune::testing {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;

namespace {

/// Runs `io` until `done` is set by a handler, at most until the deadline.
class Waiter {
 public:
  Waiter(asio::io_context& io, std::chrono::milliseconds timeout)
      : io_(io), deadline_(std::chrono::steady_clock::now() + timeout) {}

  template <class Start>
  void operator()(const char* step, Start start) {
    error_code result;
    bool done = false;
    start([&](error_code error, auto&&...) {
      result = error;
      done = true;
    });
    io_.restart();
    while (!done)
      if (io_.run_one_until(deadline_) == 0) break;
    if (!done) {
      // The handler refers to this frame: end everything before leaving it.
      io_.stop();
      throw boost::system::system_error(asio::error::timed_out, step);
    }
    if (result) throw boost::system::system_error(result, step);
  }

 private:
  asio::io_context& io_;
  std::chrono::steady_clock::time_point deadline_;
};

template <class Stream>
HttpAnswer exchange(Stream& stream, Waiter& wait, const std::string& host, const HttpRequest& request) {
  bhttp::request<bhttp::string_body> message{bhttp::string_to_verb(request.method), request.target, 11};
  message.set(bhttp::field::host, host);
  message.set(bhttp::field::connection, "close");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = request.body;
  if (!request.body.empty() || request.method != "GET") message.prepare_payload();
  // A server may answer and close before it read the whole body: then the answer counts, not the broken pipe.
  error_code write_error;
  wait("write", [&](auto handler) {
    bhttp::async_write(stream, message, [&write_error, handler](error_code error, std::size_t) mutable {
      write_error = error;
      handler(error_code{});
    });
  });
  beast::flat_buffer buffer;
  bhttp::response_parser<bhttp::string_body> parser;
  parser.body_limit(std::numeric_limits<std::uint64_t>::max());
  try {
    wait("read", [&](auto handler) { bhttp::async_read(stream, buffer, parser, handler); });
  } catch (const boost::system::system_error&) {
    if (write_error) throw boost::system::system_error(write_error, "write");
    throw;
  }

  HttpAnswer answer{parser.get().result_int(), {}, std::move(parser.get().body())};
  for (const auto& field : parser.get()) {
    std::string name(field.name_string());
    for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    answer.headers[name] = std::string(field.value());
  }
  return answer;
}

}  // namespace

HttpAnswer http(const std::string& url, const HttpRequest& request, std::chrono::milliseconds timeout) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed) throw std::invalid_argument("not a URL: " + url);
  const std::string host = parsed->host_address();
  const bool tls = parsed->scheme() == "https";
  const std::string port = parsed->has_port() ? std::string(parsed->port()) : (tls ? "443" : "80");

  asio::io_context io;
  Waiter wait(io, timeout);
  const auto endpoints = asio::ip::tcp::resolver(io).resolve(host, port);
  if (!tls) {
    asio::ip::tcp::socket socket(io);
    wait("connect", [&](auto handler) { asio::async_connect(socket, endpoints, handler); });
    return exchange(socket, wait, host + ":" + port, request);
  }
  asio::ssl::context context(asio::ssl::context::tls_client);
  asio::ssl::stream<asio::ip::tcp::socket> stream(io, context);
  wait("connect", [&](auto handler) { asio::async_connect(stream.next_layer(), endpoints, handler); });
  wait("handshake", [&](auto handler) { stream.async_handshake(asio::ssl::stream_base::client, handler); });
  return exchange(stream, wait, host + ":" + port, request);
}

HttpAnswer http_unix(const std::string& socket_path, const HttpRequest& request, std::chrono::milliseconds timeout) {
  asio::io_context io;
  Waiter wait(io, timeout);
  asio::local::stream_protocol::socket socket(io);
  wait("connect", [&](auto handler) { socket.async_connect({socket_path}, handler); });
  return exchange(socket, wait, "localhost", request);
}

}  // namespace neptune::testing
