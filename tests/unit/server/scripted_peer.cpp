#include "tests/unit/server/scripted_peer.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <type_traits>
#include <utility>

#include "server/impl/text.h"

namespace neptune::server::test {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

Reply http_reply(int status, std::string_view body, const std::vector<std::string>& headers) {
  auto bytes = fmt::format("HTTP/1.1 {} Text\r\n", status);
  for (const auto& header : headers) bytes += header + "\r\n";
  if (status != 204) bytes += fmt::format("Content-Length: {}\r\n", body.size());
  bytes += "\r\n";
  bytes += body;
  return {std::move(bytes), false, false};
}

struct ScriptedPeer::State {
  State(const asio::any_io_executor& executor, Script given)
      : acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), script(std::move(given)) {
    port = acceptor.local_endpoint().port();
  }
  tcp::acceptor acceptor;
  std::uint16_t port;
  Script script;
  Early early;
  std::optional<asio::ssl::context> tls;
  std::vector<Received> requests;
  int connections = 0;
  std::map<int, std::function<void()>> open;  // how to close each connection
};

namespace {

struct Registered {
  std::shared_ptr<ScriptedPeer::State> state;
  int connection;
  ~Registered() { state->open.erase(connection); }
};

Received convert(const http::request<http::string_body>& request, int connection) {
  Received out{std::string(request.method_string()), std::string(request.target()), {}, request.body(), connection};
  for (const auto& field : request) out.headers[lower(std::string(field.name_string()))] = std::string(field.value());
  return out;
}

template <class S>
asio::awaitable<void> wait_for_ever(S* stream) {
  // Returns when somebody closes the connection.
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
  while (stream->lowest_layer().is_open()) {
    timer.expires_after(std::chrono::milliseconds(5));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

template <class S>
asio::awaitable<void> converse(S* stream, std::shared_ptr<ScriptedPeer::State> state, int connection) {
  beast::flat_buffer buffer;
  for (;;) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(64u << 20);
    co_await http::async_read_header(*stream, buffer, parser, asio::use_awaitable);
    Reply reply;
    bool early = false;
    if (state->early) {
      if (auto now = state->early(convert(parser.get(), connection))) {
        state->requests.push_back(convert(parser.get(), connection));
        reply = std::move(*now);
        early = true;
      }
    }
    if (!early) {
      co_await http::async_read(*stream, buffer, parser, asio::use_awaitable);
      state->requests.push_back(convert(parser.get(), connection));
      reply = state->script(state->requests.back());
    }
    if (!reply.bytes.empty()) co_await asio::async_write(*stream, asio::buffer(reply.bytes), asio::use_awaitable);
    if (reply.hang || (early && !reply.close)) {
      co_await wait_for_ever(stream);
      co_return;
    }
    if (reply.close) co_return;
  }
}

template <class S>
asio::awaitable<void> serve(S stream, std::shared_ptr<ScriptedPeer::State> state, int connection) {
  const Registered registered{state, connection};
  state->open[connection] = [&stream] {
    error_code ignored;
    stream.lowest_layer().close(ignored);
  };
  try {
    if constexpr (!std::is_same_v<S, tcp::socket>)
      co_await stream.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
    co_await converse(&stream, state, connection);
  } catch (const boost::system::system_error&) {
    // The caller went away; the test looks at its side of it.
  }
}

asio::awaitable<void> accept(std::shared_ptr<ScriptedPeer::State> state) {
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    error_code error;
    auto socket = co_await state->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    const int connection = ++state->connections;
    if (state->tls) {
      asio::ssl::stream<tcp::socket> stream(std::move(socket), *state->tls);
      asio::co_spawn(executor, serve(std::move(stream), state, connection), asio::detached);
    } else {
      asio::co_spawn(executor, serve(std::move(socket), state, connection), asio::detached);
    }
  }
}

}  // namespace

ScriptedPeer::ScriptedPeer(asio::any_io_executor executor, Script script, std::optional<Identity> identity)
    : state_(std::make_shared<State>(executor, std::move(script))) {
  if (identity) {
    state_->tls.emplace(asio::ssl::context::tls_server);
    state_->tls->use_certificate_chain(asio::buffer(identity->certificate));
    state_->tls->use_private_key(asio::buffer(identity->key), asio::ssl::context::pem);
  }
  asio::co_spawn(executor, accept(state_), asio::detached);
}

ScriptedPeer::~ScriptedPeer() {
  state_->acceptor.close();
  close_connections();
}

std::uint16_t ScriptedPeer::port() const {
  return state_->port;
}

std::string ScriptedPeer::url() const {
  return fmt::format("{}://127.0.0.1:{}", state_->tls ? "https" : "http", state_->port);
}

void ScriptedPeer::reply_early(Early early) {
  state_->early = std::move(early);
}

void ScriptedPeer::close_connections() {
  for (const auto& [connection, close] : state_->open) close();
}

const std::vector<Received>& ScriptedPeer::requests() const {
  return state_->requests;
}

int ScriptedPeer::connections() const {
  return state_->connections;
}

int ScriptedPeer::open_connections() const {
  return static_cast<int>(state_->open.size());
}

struct CuttingRelay::State {
  State(const asio::any_io_executor& executor, std::uint16_t target, std::size_t bytes)
      : acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), to(target), limit(bytes) {
    port = acceptor.local_endpoint().port();
  }
  tcp::acceptor acceptor;
  std::uint16_t port;
  std::uint16_t to;
  std::size_t limit;
  std::size_t passed = 0;
};

namespace {

struct Pair {
  explicit Pair(tcp::socket accepted) : caller(std::move(accepted)), peer(caller.get_executor()) {}
  tcp::socket caller;
  tcp::socket peer;
  void close() {
    error_code ignored;
    caller.close(ignored);
    peer.close(ignored);
  }
};

asio::awaitable<void> forward(std::shared_ptr<Pair> pair) {
  std::string buffer(16384, '\0');
  error_code error;
  while (!error) {
    const auto got =
        co_await pair->caller.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    co_await asio::async_write(pair->peer, asio::buffer(buffer.data(), got),
                               asio::redirect_error(asio::use_awaitable, error));
  }
  pair->close();
}

asio::awaitable<void> backward(std::shared_ptr<Pair> pair, std::shared_ptr<CuttingRelay::State> state) {
  std::string buffer(16384, '\0');
  error_code error;
  for (auto left = state->limit; left > 0 && !error;) {
    const auto got = co_await pair->peer.async_read_some(asio::buffer(buffer.data(), std::min(left, buffer.size())),
                                                         asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
    co_await asio::async_write(pair->caller, asio::buffer(buffer.data(), got),
                               asio::redirect_error(asio::use_awaitable, error));
    left -= got;
    state->passed += got;
  }
  pair->close();
}

asio::awaitable<void> relay(std::shared_ptr<CuttingRelay::State> state) {
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    error_code error;
    auto socket = co_await state->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    auto pair = std::make_shared<Pair>(std::move(socket));
    const tcp::endpoint target(asio::ip::address_v4::loopback(), state->to);
    co_await pair->peer.async_connect(target, asio::redirect_error(asio::use_awaitable, error));
    if (error) continue;
    asio::co_spawn(executor, forward(pair), asio::detached);
    asio::co_spawn(executor, backward(pair, state), asio::detached);
  }
}

}  // namespace

CuttingRelay::CuttingRelay(asio::any_io_executor executor, std::uint16_t to, std::size_t bytes)
    : state_(std::make_shared<State>(executor, to, bytes)) {
  asio::co_spawn(executor, relay(state_), asio::detached);
}

CuttingRelay::~CuttingRelay() {
  state_->acceptor.close();
}

std::uint16_t CuttingRelay::port() const {
  return state_->port;
}

std::size_t CuttingRelay::passed() const {
  return state_->passed;
}

struct TunnelProxy::State {
  State(const asio::any_io_executor& executor, std::uint16_t target, std::string text)
      : acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        relay(std::make_shared<CuttingRelay::State>(executor, target, std::size_t(-1))),
        answer(std::move(text)) {
    port = acceptor.local_endpoint().port();
  }
  tcp::acceptor acceptor;
  std::shared_ptr<CuttingRelay::State> relay;
  std::string answer;
  std::uint16_t port;
  std::vector<std::string> questions;
};

namespace {

asio::awaitable<void> open_tunnel(std::shared_ptr<Pair> pair, std::shared_ptr<TunnelProxy::State> state) {
  std::string head;
  char byte = 0;
  error_code error;
  while (!error && !head.ends_with("\r\n\r\n")) {
    co_await pair->caller.async_read_some(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, error));
    head.push_back(byte);
  }
  state->questions.push_back(head);
  co_await asio::async_write(pair->caller, asio::buffer(state->answer),
                             asio::redirect_error(asio::use_awaitable, error));
  if (error || state->answer.find(" 200 ") == std::string::npos) {
    pair->close();
    co_return;
  }
  const tcp::endpoint target(asio::ip::address_v4::loopback(), state->relay->to);
  co_await pair->peer.async_connect(target, asio::redirect_error(asio::use_awaitable, error));
  const auto executor = co_await asio::this_coro::executor;
  asio::co_spawn(executor, forward(pair), asio::detached);
  asio::co_spawn(executor, backward(pair, state->relay), asio::detached);
}

asio::awaitable<void> accept_tunnels(std::shared_ptr<TunnelProxy::State> state) {
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    error_code error;
    auto socket = co_await state->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    auto pair = std::make_shared<Pair>(std::move(socket));
    asio::co_spawn(executor, open_tunnel(std::move(pair), state), asio::detached);
  }
}

}  // namespace

TunnelProxy::TunnelProxy(asio::any_io_executor executor, std::uint16_t to, std::string answer)
    : state_(std::make_shared<State>(executor, to, std::move(answer))) {
  asio::co_spawn(executor, accept_tunnels(state_), asio::detached);
}

TunnelProxy::~TunnelProxy() {
  state_->acceptor.close();
}

std::uint16_t TunnelProxy::port() const {
  return state_->port;
}

const std::vector<std::string>& TunnelProxy::questions() const {
  return state_->questions;
}

std::uint16_t closed_port(asio::any_io_executor executor) {
  tcp::acceptor acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  return acceptor.local_endpoint().port();
}

}  // namespace neptune::server::test
