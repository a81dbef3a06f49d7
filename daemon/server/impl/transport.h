#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "server/impl/http.h"
#include "server/impl/proxy.h"

namespace neptune::server {

class Pool;
class Tls;

/// HTTP/1.1 to any origin: pooled connections, TLS, proxies, deadlines. Knows nothing of Neptune.
///
/// Operation: `send` waits for its turn (Settings::max_connections an origin), takes a connection that was kept alive
/// or makes one, and returns the answer, whatever its status; redirects are not followed. A connection that was kept
/// alive and turns out to be closed before any byte of the answer came is replaced quietly, once, where the request can
/// be sent again (`Request::body_begun`, `Request::once`).
/// `Body::may_begin` is asked once the connection stands, each time the request is sent.
/// Cancellation (terminal) ends a call by an exception, operation_aborted; its connection is closed.
/// Concurrency: one executor, one thread.
class Transport {
 public:
  struct Settings {
    std::shared_ptr<Tls> tls;
    ProxyRules proxies;
    std::string user_agent;
    std::chrono::milliseconds timeout{60000};  ///< without progress, for each step
    std::chrono::milliseconds idle_limit{30000};
    std::size_t max_connections = 8;
  };

  Transport(boost::asio::any_io_executor executor, Settings settings);
  ~Transport();

  /// `request` must outlive the call; `self` keeps the transport for as long.
  static boost::asio::awaitable<Answer<Response>> send(std::shared_ptr<Transport> self, Request& request);

  void close_idle();

  /// The same way with connections of its own, and `timeout` where that is shorter.
  std::shared_ptr<Transport> apart(std::chrono::milliseconds timeout) const;

 private:
  std::shared_ptr<Pool> pool_for(const Url& url);
  std::string head_of(const Request& request, const Proxy* proxy) const;

  boost::asio::any_io_executor executor_;
  Settings settings_;
  std::map<std::string, std::shared_ptr<Pool>> pools_;  // by origin
};

}  // namespace neptune::server
