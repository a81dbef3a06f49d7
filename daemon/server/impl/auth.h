#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/impl/api_token.h"
#include "server/impl/http.h"
#include "support/clock.h"

namespace neptune::server {

class Transport;

/// What `Authorization: Bearer` carries, and which renewal it came from.
struct AccessToken {
  std::string text;
  std::uint64_t generation = 0;
};

/// Turns an API token into access tokens (docs/protocol.md, "Credentials and tokens").
///
/// Operation: client config → OpenID discovery → exchange, then a refresh 30 s before each expiry (half the lifetime
/// where that is shorter), and an exchange where a refresh is refused. One renewal at a time: callers that come
/// meanwhile get its outcome, a failure too. Were the caller that leads it cancelled, the next one starts over.
/// An access token refused with 401 is renewed by a refresh, then by an exchange; refused again, or 401 on an exchange,
/// the API token is rejected: for five minutes every call fails at once, without a word to the server.
/// Failures: `unreachable`; `busy` for every other answer of the authentication that is of no use, so that no request
/// is blamed for it; `token_rejected`.
/// Concurrency: one executor, one thread.
class Auth {
 public:
  static constexpr std::chrono::minutes rejection_pause{5};

  /// `secure_only`: endpoints that discovery names must be https (the server's own address is).
  Auth(boost::asio::any_io_executor executor, const Clock& clock, std::shared_ptr<Transport> transport, ApiToken token,
       bool secure_only);
  Auth(const Auth&) = delete;
  Auth& operator=(const Auth&) = delete;

  const Url& base() const { return api_token_.base; }

  /// The same API token, of which nothing is known yet, by another way.
  std::shared_ptr<Auth> afresh(std::shared_ptr<Transport> way) const {
    return std::make_shared<Auth>(executor_, clock_, std::move(way), api_token_, secure_only_);
  }

  /// A token to send now. `self` stays alive for as long.
  static boost::asio::awaitable<Answer<AccessToken>> token(std::shared_ptr<Auth> self);

  /// The server answered 401 to a call with the token of that generation: the next `token()` is another one.
  void refused(std::uint64_t generation);
  /// The server took the token of that generation.
  void accepted(std::uint64_t generation);
  /// The server was seen to take the API token by another way.
  void forget_rejection() { rejected_until_.reset(); }

 private:
  struct Flight;
  struct Landing;
  struct Endpoints {
    Url token;
    std::string client_id;
  };
  struct Grant {
    std::string access;
    std::string refresh;
    Instant refresh_at;
    std::chrono::seconds lifetime;
  };

  bool usable() const { return grant_ && !refused_ && clock_.now() < grant_->refresh_at; }
  boost::asio::awaitable<Answer<void>> renew();
  boost::asio::awaitable<Answer<void>> discover();
  boost::asio::awaitable<Answer<void>> exchange_api_token();
  boost::asio::awaitable<Answer<void>> refresh();
  boost::asio::awaitable<Answer<Response>> get(Url url, std::string accept_token);
  Answer<void> accept(std::string access, std::string refresh, std::string_view what);
  Failure reject(std::string message);

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  std::shared_ptr<Transport> transport_;
  ApiToken api_token_;
  bool secure_only_;

  std::shared_ptr<Flight> flight_;
  std::optional<Endpoints> endpoints_;
  std::optional<Grant> grant_;
  std::uint64_t generation_ = 0;
  bool refused_ = false;  // the current grant was answered with 401
  int refusals_ = 0;      // in a row, one a generation, with nothing accepted in between
  std::optional<Instant> rejected_until_;
  std::string rejection_;
};

}  // namespace neptune::server
