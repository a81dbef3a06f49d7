#include "server/impl/transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/impl/connect.h"
#include "server/impl/exchange.h"
#include "server/impl/pool.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;

namespace {

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  // A line end in a value would let it write headers of its own.
  for (const char c : value) out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c);
  out += "\r\n";
}

bool has_body(const Request& request) {
  return !request.body.head.empty() || request.body.stream_bytes > 0 || request.method == "POST" ||
         request.method == "PUT" || request.method == "PATCH";
}

bool may_repeat(const Request& request, const Exchanged& done) {
  return done.stale && !request.body_begun && !(request.once && done.sent_any);
}

Failure proxy_wants_credentials(const Proxy& proxy) {
  return {Failure::Kind::unreachable, "proxy_authentication_required",
          fmt::format("the proxy {} port {} wants a user name and a password it accepts; put them into its URL",
                      proxy.url.host, proxy.url.port),
          std::nullopt};
}

}  // namespace

Transport::Transport(asio::any_io_executor executor, Settings settings)
    : executor_(std::move(executor)), settings_(std::move(settings)) {}

Transport::~Transport() = default;

asio::awaitable<Answer<Response>> Transport::send(std::shared_ptr<Transport> self, Request& request) {
  const auto* const proxy = self->settings_.proxies.choose(request.url);
  request.sent_any = false;
  auto lease = co_await Pool::lease(self->pool_for(request.url));
  auto stream = lease.take_idle();
  for (;;) {
    const bool reused = stream != nullptr;
    if (!reused) {
      Route route{.url = request.url, .proxy = {}, .tls = self->settings_.tls, .limit = self->settings_.timeout};
      if (proxy) route.proxy = *proxy;
      auto connected = co_await connect(std::move(route));
      if (!connected) co_return std::unexpected(std::move(connected.error()));
      stream = std::move(*connected);
    }
    if (request.body.may_begin && !request.body.may_begin()) {
      lease.keep(std::move(stream));
      co_return std::unexpected(called_off());
    }
    auto done = co_await exchange(*stream, request, self->head_of(request, proxy), self->settings_.timeout);
    request.sent_any = done.sent_any;
    if (reused && may_repeat(request, done)) {
      stream.reset();
      continue;
    }
    if (done.reusable) lease.keep(std::move(stream));
    if (proxy && !request.url.tls && done.answer && done.answer->status == 407)
      co_return std::unexpected(proxy_wants_credentials(*proxy));
    co_return std::move(done.answer);
  }
}

std::shared_ptr<Transport> Transport::apart(std::chrono::milliseconds timeout) const {
  auto settings = settings_;
  settings.timeout = std::min(settings.timeout, timeout);
  return std::make_shared<Transport>(executor_, std::move(settings));
}

std::shared_ptr<Pool> Transport::pool_for(const Url& url) {
  auto& pool = pools_[url.origin()];
  if (!pool) pool = std::make_shared<Pool>(executor_, settings_.max_connections, settings_.idle_limit);
  return pool;
}

std::string Transport::head_of(const Request& request, const Proxy* proxy) const {
  const auto path = request.url.target.empty() ? std::string("/") : request.url.target;
  // A proxy is asked for the whole URL; inside a tunnel there is none.
  const bool absolute = proxy && !request.url.tls;
  auto out =
      fmt::format("{} {}{} HTTP/1.1\r\n", request.method, absolute ? "http://" + request.url.host_header() : "", path);
  append_header(out, "Host", request.url.host_header());
  if (!settings_.user_agent.empty()) append_header(out, "User-Agent", settings_.user_agent);
  if (absolute && !proxy->authorization.empty()) append_header(out, "Proxy-Authorization", proxy->authorization);
  for (const auto& header : request.headers) append_header(out, header.name, header.value);
  if (has_body(request))
    append_header(out, "Content-Length", std::to_string(request.body.head.size() + request.body.stream_bytes));
  out += "\r\n";
  return out;
}

void Transport::close_idle() {
  for (auto& [origin, pool] : pools_) pool->close_idle();
}

}  // namespace neptune::server
