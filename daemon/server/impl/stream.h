#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>

namespace neptune::server {

struct Moved {
  boost::system::error_code error;
  std::size_t bytes = 0;
};

/// A connected byte stream, plain or TLS, so that only one file knows which.
///
/// One read and one write may be in progress at a time. No deadline of its own: see Watchdog. Must not be destroyed
/// while an operation is in progress; `close` ends both, with an error.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual boost::asio::awaitable<Moved> read_some(boost::asio::mutable_buffer buffer) = 0;
  virtual boost::asio::awaitable<Moved> write_some(boost::asio::const_buffer buffer) = 0;
  virtual void close() = 0;

  /// Of an idle connection: nothing came from the other side, not even its end.
  virtual bool is_quiet() = 0;
};

std::unique_ptr<Stream> make_plain_stream(boost::asio::ip::tcp::socket socket);

/// What `Stream::is_quiet` asks, of a socket.
bool is_quiet(boost::asio::ip::tcp::socket& socket);

}  // namespace neptune::server
