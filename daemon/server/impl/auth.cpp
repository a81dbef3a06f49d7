#include "server/impl/auth.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "server/impl/cancel.h"
#include "server/impl/classify.h"
#include "server/impl/json.h"
#include "server/impl/jwt.h"
#include "server/impl/text.h"
#include "server/impl/transport.h"

namespace neptune::server {

namespace asio = boost::asio;
using Seconds = std::chrono::seconds;

namespace {

constexpr Seconds refresh_margin{30};
constexpr Seconds unknown_lifetime{60};  // of a token that has expired already, if our clock were right
constexpr Seconds longest_lifetime = std::chrono::hours(24 * 365);  // what an Instant surely can hold
constexpr int most_refusals = 3;                                    // as issued, after a refresh, after an exchange
constexpr std::size_t longest_token = 32 * 1024;

bool is_success(const Response& response) {
  return response.status >= 200 && response.status < 300;
}

Failure nonsense(std::string_view what) {
  return {Failure::Kind::busy, "invalid_auth_answer",
          fmt::format("the server's {} makes no sense; check that the API token names a Neptune server", what),
          std::nullopt};
}

// The request that failed is not the caller's, and must not be counted against it.
Failure blame_nobody(Failure failure, std::string_view what) {
  if (failure.kind == Failure::Kind::unreachable) return failure;
  failure.kind = Failure::Kind::busy;
  failure.scope_is_project = false;
  failure.status = 0;
  failure.message = fmt::format("{} failed: {}", what, failure.message);
  return failure;
}

bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= longest_token && is_header_value(text) && text.find(' ') == text.npos;
}

}  // namespace

/// One renewal, and those who wait for it.
struct Auth::Flight {
  explicit Flight(const asio::any_io_executor& executor)
      : landed(executor, std::chrono::steady_clock::time_point::max()) {}
  asio::steady_timer landed;
  bool over = false;
  std::optional<Answer<void>> outcome;  // none: its leader was cancelled
};

struct Auth::Landing {
  Auth& auth;
  std::shared_ptr<Flight> flight;
  ~Landing() {
    auth.flight_.reset();
    flight->over = true;
    flight->landed.cancel();
  }
};

Auth::Auth(asio::any_io_executor executor, const Clock& clock, std::shared_ptr<Transport> transport, ApiToken token,
           bool secure_only)
    : executor_(std::move(executor)),
      clock_(clock),
      transport_(std::move(transport)),
      api_token_(std::move(token)),
      secure_only_(secure_only) {}

asio::awaitable<Answer<AccessToken>> Auth::token(std::shared_ptr<Auth> self) {
  auto& auth = *self;
  for (;;) {
    if (auth.rejected_until_ && auth.clock_.now() < *auth.rejected_until_)
      co_return std::unexpected(Failure{Failure::Kind::token_rejected, "token_rejected", auth.rejection_, {}});
    if (auth.usable()) co_return AccessToken{auth.grant_->access, auth.generation_};
    Answer<void> outcome;
    if (const auto flight = auth.flight_) {
      boost::system::error_code ignored;
      while (!flight->over) {
        co_await flight->landed.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        co_await throw_if_cancelled();
      }
      if (!flight->outcome) continue;
      outcome = *flight->outcome;
    } else {
      auth.flight_ = std::make_shared<Flight>(auth.executor_);
      const Landing landing{auth, auth.flight_};
      outcome = co_await auth.renew();
      landing.flight->outcome = outcome;
    }
    if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  }
}

void Auth::refused(std::uint64_t generation) {
  if (generation != generation_ || refused_ || !grant_) return;
  refused_ = true;
  if (++refusals_ >= most_refusals)
    reject("the server gives out access tokens for this API token, and then refuses them; replace the API token");
}

void Auth::accepted(std::uint64_t generation) {
  if (generation == generation_ && !refused_) refusals_ = 0;
}

Failure Auth::reject(std::string message) {
  grant_.reset();
  refused_ = false;
  refusals_ = 0;
  rejected_until_ = clock_.now() + rejection_pause;
  rejection_ = std::move(message);
  return {Failure::Kind::token_rejected, "token_rejected", rejection_, std::nullopt};
}

asio::awaitable<Answer<void>> Auth::renew() {
  if (!endpoints_) {
    auto found = co_await discover();
    if (!found) co_return found;
  }
  const bool may_refresh = grant_ && !grant_->refresh.empty() && refusals_ < 2;
  if (may_refresh) {
    auto refreshed = co_await refresh();
    if (refreshed || refreshed.error().kind == Failure::Kind::unreachable) co_return refreshed;
  }
  co_return co_await exchange_api_token();
}

asio::awaitable<Answer<Response>> Auth::get(Url url, std::string api_token) {
  Request request{.method = "GET", .url = std::move(url), .headers = {{"Accept", "application/json"}}, .body = {}};
  if (!api_token.empty()) request.headers.push_back({"X-Neptune-Api-Token", std::move(api_token)});
  co_return co_await Transport::send(transport_, request);
}

asio::awaitable<Answer<void>> Auth::discover() {
  auto config_url = base().with("/api/backend/v1/clients/config");
  auto config = co_await get(std::move(config_url), std::string());
  if (!config) co_return std::unexpected(blame_nobody(std::move(config.error()), "reading the client configuration"));
  if (!is_success(*config)) {
    auto failure = classify(*config, Intent::read, clock_.wall());
    const bool elsewhere = failure.kind == Failure::Kind::rejected;  // every Neptune server has it, for everybody
    failure = blame_nobody(std::move(failure), "reading the client configuration");
    if (elsewhere)
      failure.message += fmt::format("; check that {} is the address of a Neptune server", base().display());
    co_return std::unexpected(std::move(failure));
  }
  const auto object = parse_object(config->body);
  const auto* const security = object ? object_member(*object, "security") : nullptr;
  const auto discovery = Url::parse(security ? string_member(*security, "openIdDiscovery") : std::string());
  if (!discovery || (secure_only_ && !discovery->tls)) co_return std::unexpected(nonsense("client configuration"));
  auto client_id = string_member(*security, "clientId");

  auto found = co_await get(*discovery, std::string());
  if (!found) co_return std::unexpected(blame_nobody(std::move(found.error()), "OpenID discovery"));
  if (!is_success(*found))
    co_return std::unexpected(blame_nobody(classify(*found, Intent::read, clock_.wall()), "OpenID discovery"));
  const auto openid = parse_object(found->body);
  auto endpoint = Url::parse(openid ? string_member(*openid, "token_endpoint") : std::string());
  if (!endpoint || (secure_only_ && !endpoint->tls)) co_return std::unexpected(nonsense("OpenID discovery"));
  endpoints_ = Endpoints{std::move(*endpoint), std::move(client_id)};
  co_return Answer<void>();
}

asio::awaitable<Answer<void>> Auth::exchange_api_token() {
  auto url = base().with("/api/backend/v1/authorization/oauth-token");
  auto answer = co_await get(std::move(url), api_token_.text);
  if (!answer) co_return std::unexpected(blame_nobody(std::move(answer.error()), "the exchange of the API token"));
  if (answer->status == 401)
    co_return std::unexpected(reject("the server rejects the API token; replace it with one that is valid"));
  if (!is_success(*answer)) {
    co_return std::unexpected(
        blame_nobody(classify(*answer, Intent::read, clock_.wall()), "the exchange of the API token"));
  }
  const auto object = parse_object(answer->body);
  if (!object) co_return std::unexpected(nonsense("answer to the exchange of the API token"));
  co_return accept(string_member(*object, "accessToken"), string_member(*object, "refreshToken"),
                   "answer to the exchange of the API token");
}

asio::awaitable<Answer<void>> Auth::refresh() {
  auto form =
      fmt::format("grant_type=refresh_token&refresh_token={}&client_id={}&expires_in={}",
                  percent_encode(grant_->refresh), percent_encode(endpoints_->client_id), grant_->lifetime.count());
  Request request{.method = "POST",
                  .url = endpoints_->token,
                  .headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}},
                  .body = body_of(std::move(form))};
  auto answer = co_await Transport::send(transport_, request);
  if (!answer) co_return std::unexpected(blame_nobody(std::move(answer.error()), "the refresh of the access token"));
  if (!is_success(*answer)) {
    co_return std::unexpected(
        blame_nobody(classify(*answer, Intent::read, clock_.wall()), "the refresh of the access token"));
  }
  const auto object = parse_object(answer->body);
  if (!object) co_return std::unexpected(nonsense("answer to the refresh of the access token"));
  auto next = string_member(*object, "refresh_token");
  if (next.empty()) next = grant_->refresh;
  co_return accept(string_member(*object, "access_token"), std::move(next),
                   "answer to the refresh of the access token");
}

Answer<void> Auth::accept(std::string access, std::string refresh, std::string_view what) {
  if (!is_token(access) || (!refresh.empty() && !is_token(refresh))) return std::unexpected(nonsense(what));
  const auto jwt = Jwt::parse(access);
  if (!jwt) return std::unexpected(nonsense(what));
  Seconds lifetime(jwt->lifetime(to_unix_ms(clock_.wall()) / 1000));
  if (lifetime <= Seconds(0)) lifetime = unknown_lifetime;
  const auto margin = std::min(refresh_margin, lifetime / 2);
  grant_ = Grant{std::move(access), std::move(refresh), clock_.now() + std::min(lifetime, longest_lifetime) - margin,
                 lifetime};
  ++generation_;
  refused_ = false;
  rejected_until_.reset();
  return {};
}

}  // namespace neptune::server
