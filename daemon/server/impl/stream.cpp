#include "server/impl/stream.h"

#include <sys/socket.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <utility>

namespace neptune::server {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

class PlainStream final : public Stream {
 public:
  explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}

  asio::awaitable<Moved> read_some(asio::mutable_buffer buffer) override {
    Moved moved;
    moved.bytes = co_await socket_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, moved.error));
    co_return moved;
  }

  asio::awaitable<Moved> write_some(asio::const_buffer buffer) override {
    Moved moved;
    moved.bytes = co_await socket_.async_write_some(buffer, asio::redirect_error(asio::use_awaitable, moved.error));
    co_return moved;
  }

  void close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  bool is_quiet() override { return server::is_quiet(socket_); }

 private:
  tcp::socket socket_;
};

}  // namespace

std::unique_ptr<Stream> make_plain_stream(tcp::socket socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

bool is_quiet(tcp::socket& socket) {
  if (!socket.is_open()) return false;
  char byte;
  const auto got = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace neptune::server
