#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "server/impl/stream.h"
#include "server/server.h"
#include "support/error.h"

namespace neptune::server {

/// How this daemon speaks TLS: 1.2 or later, certificates and host names verified unless told otherwise.
class Tls {
 public:
  /// Fails when `ca_file` (PEM, may be empty) cannot be read or holds no certificate.
  static Result<std::shared_ptr<Tls>> make(const std::string& ca_file, bool insecure);
  virtual ~Tls() = default;

  /// Reads the system's certificates, which takes some 50 ms: better at the start than at the first handshake.
  virtual void warm_up() = 0;

  /// Shakes hands over a connected socket with the server called `host`.
  virtual boost::asio::awaitable<Answer<std::unique_ptr<Stream>>> handshake(boost::asio::ip::tcp::socket socket,
                                                                            std::string host, std::uint16_t port,
                                                                            std::chrono::milliseconds limit) = 0;
};

}  // namespace neptune::server
