#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neptune::server::test {

/// A request as the peer saw it. Header names in lower case.
struct Received {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;
  std::string body;
  int connection = 0;  ///< counted from 1
};

struct Reply {
  std::string bytes;   ///< sent as they are
  bool close = false;  ///< end the connection after them
  bool hang = false;   ///< send nothing more and read nothing more
};

Reply http_reply(int status, std::string_view body = {}, const std::vector<std::string>& headers = {});

struct Identity {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

/// A server on a loopback port which plays back a script: real sockets, real TLS.
class ScriptedPeer {
 public:
  using Script = std::function<Reply(const Received&)>;
  /// Asked as soon as a request's head is there; when it replies, the body is never read.
  using Early = std::function<std::optional<Reply>(const Received&)>;

  ScriptedPeer(boost::asio::any_io_executor executor, Script script, std::optional<Identity> identity = {});
  ~ScriptedPeer();

  std::uint16_t port() const;
  std::string url() const;
  void reply_early(Early early);
  /// As a server does with connections that were idle for too long.
  void close_connections();

  const std::vector<Received>& requests() const;
  int connections() const;       ///< accepted so far
  int open_connections() const;  ///< now

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// Passes bytes on between its callers and a peer, and cuts each connection once `bytes` of the peer's answer went by.
class CuttingRelay {
 public:
  CuttingRelay(boost::asio::any_io_executor executor, std::uint16_t to, std::size_t bytes);
  ~CuttingRelay();
  std::uint16_t port() const;
  std::size_t passed() const;  ///< bytes of the peer that went by on all connections

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// A proxy that is asked for tunnels. Answers `answer`; where that is a success, all tunnels lead to the port `to`.
class TunnelProxy {
 public:
  TunnelProxy(boost::asio::any_io_executor executor, std::uint16_t to, std::string answer);
  ~TunnelProxy();
  std::uint16_t port() const;
  const std::vector<std::string>& questions() const;  ///< heads of the requests

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// A loopback port where nobody listens.
std::uint16_t closed_port(boost::asio::any_io_executor executor);

}  // namespace neptune::server::test
