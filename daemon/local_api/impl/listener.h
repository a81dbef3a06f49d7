#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>

#include "support/error.h"

namespace neptune::local_api {

/// A listening Unix socket, made at a path or inherited. Removes its file on `close`, if it made it and it is still the
/// one.
class Listener {
 public:
  using Acceptor = boost::asio::local::stream_protocol::acceptor;

  static Result<Listener> bind(boost::asio::any_io_executor executor, std::filesystem::path path, unsigned mode);
  static Result<Listener> adopt(boost::asio::any_io_executor executor, int fd);

  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener() { close(); }

  Acceptor& acceptor() { return acceptor_; }
  void close();

 private:
  explicit Listener(Acceptor acceptor) : acceptor_(std::move(acceptor)) {}

  Acceptor acceptor_;
  std::filesystem::path path_;  // empty: not ours to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace neptune::local_api
