#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "support/error.h"
#include "tests/sandbox/options.h"

namespace neptune::sandbox {

/// The server: built, listening, then run until it is told to stop.
class Sandbox {
 public:
  /// Reads the state file, listens, and writes the token file. Fails with what is wrong with the options.
  static Result<std::unique_ptr<Sandbox>> make(boost::asio::any_io_executor executor, Options options);
  ~Sandbox();

  const std::string& url() const;
  std::string api_token() const;

  /// Serves; returns after stop() once every connection has ended.
  boost::asio::awaitable<void> run();
  void stop();

 private:
  class Impl;
  explicit Sandbox(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::sandbox
