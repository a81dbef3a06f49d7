#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/failure.h"
#include "changes/names.h"
#include "support/clock.h"
#include "support/error.h"

/// What a Neptune server offers, one class a server and token. Wire details: docs/protocol.md.
///
/// Operation: each call authenticates by itself (exchange, refresh, renewal on 401), takes a connection from the pool,
/// and has a deadline. No call retries on its own beyond that: what to do next is the core's decision.
///
/// A streamed body cannot be sent twice. Its token is made fresh before it is sent; should the server answer 401 all
/// the same, the token is renewed and the call ends as Failure::busy with the code "token_renewed" and a retry_after of
/// 0: send again at once. A rejected API token is remembered for five minutes: calls fail at once, without a word to
/// the server, until `set_token`.
///
/// Cancellation (terminal) ends a call by an exception, system_error of operation_aborted. A call may outlive the
/// Server.
///
/// Concurrency: one executor, one thread.
namespace neptune::server {

struct Options {
  std::string api_token;                             ///< the token's text; never logged
  std::string ca_file;                               ///< extra CA certificates (PEM); empty: the system's only
  bool insecure = false;                             ///< do not verify certificates
  std::string proxy;                                 ///< http://host:port; empty: HTTPS_PROXY / HTTP_PROXY / NO_PROXY
  std::chrono::milliseconds request_timeout{60000};  ///< without progress
  std::string user_agent;
  std::size_t max_connections = 8;
};

using neptune::Answer;
using neptune::CodeCount;
using neptune::Failure;
using neptune::RequestStatus;
using neptune::WorkspaceStatus;

/// A request body of known length, streamed. `next` returns a view valid until the following call, empty at the end; it
/// is called until it says so. A body of another length never arrives whole: Failure::source.
struct Body {
  std::string head;                                                        ///< sent first
  std::uint64_t stream_bytes = 0;                                          ///< exactly what `next` will deliver
  std::function<boost::asio::awaitable<Result<std::string_view>>()> next;  ///< empty: `head` is all
};

class Server {
 public:
  /// Fails when the token, the CA file or the proxy cannot be understood.
  static Result<std::unique_ptr<Server>> make(boost::asio::any_io_executor executor, const Clock& clock,
                                              Options options);
  ~Server();

  /// Base URL, without credentials: what people are shown.
  const std::string& url() const;

  /// Hands in one RunOperation; the id to check it by.
  boost::asio::awaitable<Answer<std::string>> submit(Body body);

  /// One status an id, same order. At most limits::check_ids.
  boost::asio::awaitable<Answer<std::vector<RequestStatus>>> check(ProjectName project, std::vector<std::string> ids);

  /// The workspace's mode. `Failure::rejected`/`forbidden` when the server does not offer the call.
  boost::asio::awaitable<Answer<WorkspaceStatus>> workspace_status(std::string workspace);

  /// The token file was replaced.
  Result<void> set_token(std::string api_token);

  /// Closes idle connections. Calls in progress must have been cancelled by their callers.
  void close();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::server
