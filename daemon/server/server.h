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

#include "changes/ingest_code.h"
#include "changes/names.h"
#include "support/clock.h"
#include "support/error.h"

/// What a Neptune server offers, one class a server and token. Wire details: docs/protocol.md.
///
/// Operation: each call authenticates by itself (exchange, refresh, one renewal on 401), takes a connection from the
/// pool, and has a deadline. No call retries on its own beyond that: what to do next is the core's decision.
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

/// How a call ended that did not succeed, as the retry policy sees it.
struct Failure {
  enum class Kind : std::uint8_t {
    unreachable,      ///< no answer at all: DNS, connect, TLS, timeout, connection lost. The request may have arrived.
    busy,             ///< 408, 429, 502, 503, 504: the server as a whole wants a pause
    server_error,     ///< other 5xx, or an answer that makes no sense: this request may be at fault
    token_rejected,   ///< the API token is refused: final until it is replaced
    forbidden,        ///< 403 without a read-only errorType: no permission for this project
    read_only,        ///< a signal of docs/protocol.md "Read-only mode"; `scope_is_project` tells which scope
    ambiguous_limit,  ///< 422 without an errorType: ask the status call before believing either
    too_large,        ///< 413
    rejected,         ///< any other 4xx
    source,           ///< the body could not be read from its source; the server is not to blame
  };
  Kind kind;
  std::string
      code;  ///< the server's errorType, else "http_404", else ours ("tls_verification_failed", "connection_lost")
  std::string message;  ///< a sentence for people, with the server's own words where it gave some
  std::optional<std::chrono::milliseconds> retry_after;
  bool scope_is_project = false;
};
template <class T>
using Answer = std::expected<T, Failure>;

/// A request body of known length, streamed. `next` returns a view valid until the following call, empty at the end.
struct Body {
  std::string head;                                                        ///< sent first
  std::uint64_t stream_bytes = 0;                                          ///< exactly what `next` will deliver
  std::function<boost::asio::awaitable<Result<std::string_view>>()> next;  ///< empty: `head` is all
};

struct CodeCount {
  std::int32_t code;  ///< google.rpc.Code; 0 OK, 14 not processed yet
  std::int64_t count;
  IngestCode detail;
};

/// The check's word on one request. `pending` when it is not processed yet.
struct RequestStatus {
  bool pending = false;
  std::vector<CodeCount> counts;
  std::string message;
};

struct WorkspaceStatus {
  bool read_only = false;
  std::optional<std::int64_t> storage_limit, storage_available, active_projects;
  std::optional<std::int64_t> monitoring_seconds_available;
  std::string subscription;  ///< the server's word, empty when absent
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
