#include "server/impl/connect.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>
#include <vector>

#include "server/impl/cancel.h"
#include "server/impl/watchdog.h"

namespace neptune::server {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using Endpoints = std::vector<tcp::endpoint>;

namespace {

std::unexpected<Failure> unreachable(std::string code, std::string message) {
  return std::unexpected(Failure{Failure::Kind::unreachable, std::move(code), std::move(message), std::nullopt});
}

std::string describe(const Url& url) {
  return fmt::format("{} port {}", url.host, url.port);
}

// getaddrinfo cannot be interrupted: on a deadline or a cancellation its answer is left to itself, so all it touches is
// here, owned by its handler.
struct Lookup {
  explicit Lookup(const asio::any_io_executor& executor) : resolver(executor), done(executor) {}
  tcp::resolver resolver;
  asio::steady_timer done;
  bool answered = false;
  boost::system::error_code error;
  Endpoints endpoints;
};

struct LetGo {
  std::shared_ptr<Lookup> lookup;
  ~LetGo() { lookup->resolver.cancel(); }
};

asio::awaitable<Answer<Endpoints>> resolve(Url url, milliseconds limit) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(url.host, error);
  if (!error) co_return Endpoints{tcp::endpoint(address, url.port)};

  const auto executor = co_await asio::this_coro::executor;
  LetGo guard{std::make_shared<Lookup>(executor)};
  auto& lookup = *guard.lookup;
  lookup.done.expires_after(limit);
  lookup.resolver.async_resolve(
      url.host, std::to_string(url.port),
      [held = guard.lookup](const boost::system::error_code& failed, const tcp::resolver::results_type& results) {
        held->answered = true;
        held->error = failed;
        for (const auto& each : results) held->endpoints.push_back(each.endpoint());
        held->done.cancel();
      });
  co_await lookup.done.async_wait(asio::redirect_error(asio::use_awaitable, error));
  co_await throw_if_cancelled();
  if (!lookup.answered) {
    co_return unreachable("dns_timed_out", fmt::format("looking up the host name {} took more than {} s; check the DNS "
                                                       "servers of this machine",
                                                       url.host, seconds(limit)));
  }
  if (lookup.error || lookup.endpoints.empty()) {
    co_return unreachable("dns_failed", fmt::format("the host name {} cannot be found ({}); check the server's address "
                                                    "and the DNS servers of this machine",
                                                    url.host, lookup.error.message()));
  }
  co_return std::move(lookup.endpoints);
}

Failure connect_failure(const Url& url, const boost::system::error_code& error, bool timed_out, milliseconds limit) {
  const auto peer = describe(url);
  if (timed_out)
    return {Failure::Kind::unreachable, "timed_out",
            fmt::format("no connection to {} within {} s; check the network and the firewall", peer, seconds(limit)),
            std::nullopt};
  if (error == asio::error::connection_refused)
    return {Failure::Kind::unreachable, "connection_refused",
            fmt::format("{} refuses connections; check that the server runs there", peer), std::nullopt};
  return {Failure::Kind::unreachable, "connect_failed",
          fmt::format("cannot connect to {} ({}); check the network", peer, error.message()), std::nullopt};
}

asio::awaitable<Answer<tcp::socket>> dial(Url url, milliseconds limit) {
  auto endpoints = co_await resolve(url, limit);
  if (!endpoints) co_return std::unexpected(std::move(endpoints.error()));
  const auto executor = co_await asio::this_coro::executor;
  // A name with an address that leads nowhere must not use up the time of those that work.
  const auto share = limit / static_cast<int>(endpoints->size());
  std::optional<Failure> failure;
  for (const auto& endpoint : *endpoints) {
    tcp::socket socket(executor);
    boost::system::error_code error;
    bool timed_out = false;
    {
      Watchdog dog(executor, share, [&socket] {
        boost::system::error_code ignored;
        socket.close(ignored);
      });
      co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
      timed_out = dog.has_bitten();
    }
    co_await throw_if_cancelled();
    if (!error && !timed_out) {
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      socket.set_option(asio::socket_base::keep_alive(true), ignored);
      co_return std::move(socket);
    }
    failure = connect_failure(url, error, timed_out, share);
  }
  co_return std::unexpected(std::move(*failure));
}

Answer<void> read_tunnel_answer(const Proxy& proxy, std::string_view head) {
  const auto peer = describe(proxy.url);
  if (!head.starts_with("HTTP/1.") || head.size() < 12)
    return unreachable("proxy_refused", fmt::format("the proxy {} did not answer in HTTP; check its address", peer));
  const auto status = head.substr(9, 3);
  if (status == "407")
    return unreachable(
        "proxy_authentication_required",
        fmt::format("the proxy {} wants a user name and a password it accepts; put them into its URL", peer));
  if (!status.starts_with('2')) {
    return unreachable("proxy_refused", fmt::format("the proxy {} did not open a tunnel (HTTP {})", peer, status));
  }
  return {};
}

constexpr std::size_t longest_tunnel_answer = 16 * 1024;

struct TunnelTalk {
  boost::system::error_code error;
  std::string head;
  bool complete = false;
};

bool is_digit_status(std::string_view head) {
  for (const char c : head.substr(std::min<std::size_t>(head.size(), 9), 3))
    if (c < '0' || c > '9') return false;
  return true;
}

// Byte by byte, so as not to read past the head: what follows belongs to the tunnel.
asio::awaitable<TunnelTalk> ask_for_tunnel(tcp::socket* socket, std::string question, Watchdog* dog) {
  TunnelTalk talk;
  for (std::size_t sent = 0; sent < question.size();) {
    sent += co_await socket->async_write_some(asio::buffer(question) + sent,
                                              asio::redirect_error(asio::use_awaitable, talk.error));
    if (talk.error) co_return talk;
    dog->progress();
  }
  while (talk.head.size() < longest_tunnel_answer) {
    char byte = 0;
    co_await socket->async_read_some(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, talk.error));
    if (talk.error) co_return talk;
    dog->progress();
    talk.head.push_back(byte);
    if (talk.head.ends_with("\r\n\r\n")) {
      talk.complete = true;
      break;
    }
  }
  co_return talk;
}

asio::awaitable<Answer<tcp::socket>> tunnel(tcp::socket socket, Proxy proxy, Url url, milliseconds limit) {
  auto question = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", url.authority());
  if (!proxy.authorization.empty()) question += "Proxy-Authorization: " + proxy.authorization + "\r\n";
  question += "\r\n";
  TunnelTalk talk;
  bool timed_out = false;
  {
    Watchdog dog(socket.get_executor(), limit, [&socket] {
      boost::system::error_code ignored;
      socket.close(ignored);
    });
    talk = co_await ask_for_tunnel(&socket, std::move(question), &dog);
    timed_out = dog.has_bitten();
  }
  co_await throw_if_cancelled();
  if (timed_out) {
    co_return unreachable("timed_out", fmt::format("the proxy {} did not open a tunnel within {} s",
                                                   describe(proxy.url), seconds(limit)));
  }
  if (talk.error) {
    co_return unreachable("connection_lost",
                          fmt::format("the proxy {} closed the connection when asked for a tunnel ({})",
                                      describe(proxy.url), talk.error.message()));
  }
  const auto opened = read_tunnel_answer(proxy, talk.complete && is_digit_status(talk.head) ? talk.head : "");
  if (!opened) co_return std::unexpected(opened.error());
  co_return std::move(socket);
}

}  // namespace

asio::awaitable<Answer<std::unique_ptr<Stream>>> connect(Route route) {
  auto socket = co_await dial(route.proxy ? route.proxy->url : route.url, route.limit);
  if (!socket) {
    auto& failure = socket.error();
    if (route.proxy) failure.message = "the proxy cannot be reached: " + failure.message;
    co_return std::unexpected(std::move(failure));
  }
  if (!route.url.tls) co_return make_plain_stream(std::move(*socket));
  if (route.proxy) {
    auto through = co_await tunnel(std::move(*socket), *route.proxy, route.url, route.limit);
    if (!through) co_return std::unexpected(std::move(through.error()));
    socket = std::move(through);
  }
  co_return co_await route.tls->handshake(std::move(*socket), route.url.host, route.url.port, route.limit);
}

}  // namespace neptune::server
