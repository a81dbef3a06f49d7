#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "server/impl/auth.h"
#include "server/impl/classify.h"
#include "server/impl/http.h"

namespace neptune::server {

class Transport;

/// One authenticated call to the Neptune server.
struct Call {
  std::string method;  ///< "GET"
  std::string target;  ///< path and query below the server's base URL: "/api/backend/v1/..."
  std::vector<Header> headers;
  Body body;
  Intent intent = Intent::read;             ///< what a 402 or 422 without an errorType means
  std::size_t max_answer_bytes = 1u << 20;  ///< of the answer's body
  bool once = false;                        ///< see Request::once
};

/// What every call to the server goes through: transport, authentication, and the meaning of answers.
///
/// Operation: `call` sends with a fresh access token and returns 2xx answers; everything else is a Failure. After a 401
/// it renews the token and sends again, twice at most. A body that was streamed cannot be sent again by itself: the
/// token is renewed as far as that is possible, and the call ends as `busy` with the code "token_renewed" and a
/// retry_after of 0, for the caller to send again at once.
/// Concurrency: one executor, one thread.
class Session {
 public:
  Session(boost::asio::any_io_executor executor, const Clock& clock, std::shared_ptr<Transport> transport,
          ApiToken token, bool insecure);

  /// `self` stays alive for the length of the call.
  static boost::asio::awaitable<Answer<Response>> call(std::shared_ptr<Session> self, Call call);

  /// Calls in progress end with the token they began with.
  void set_token(ApiToken token);

  /// Whether the server takes the API token now, whatever was known of it; asked through `way`. Where it does, the
  /// calls that follow go by that.
  static boost::asio::awaitable<Answer<void>> try_token(std::shared_ptr<Session> self, std::shared_ptr<Transport> way);

  const Url& base() const { return auth_->base(); }
  const std::string& url() const { return url_; }
  const std::shared_ptr<Transport>& transport() const { return transport_; }

 private:
  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  std::shared_ptr<Transport> transport_;
  bool insecure_;
  std::shared_ptr<Auth> auth_;
  std::string url_;
};

/// The body does not say what an answer to this call must.
Failure invalid_answer(std::string_view call);

}  // namespace neptune::server
