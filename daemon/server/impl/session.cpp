#include "server/impl/session.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "server/impl/transport.h"

namespace neptune::server {

namespace asio = boost::asio;

namespace {

constexpr int most_tries = 3;  // with the token as it is, after a refresh, after an exchange

// Whether a request with that answer may have been carried out: the server, or a gateway before it, broke off.
bool may_have_been_applied(int status) {
  return status == 408 || (status >= 500 && status != 501);
}

// Whether the server looked at the token before it answered.
bool tells_of_the_token(int status) {
  return status < 500 && status != 401 && status != 408 && status != 429;
}

Failure token_renewed() {
  return {Failure::Kind::busy, "token_renewed",
          "the access token expired while the request was being sent; a new one is at hand, send the request again",
          std::chrono::milliseconds(0)};
}

}  // namespace

Session::Session(asio::any_io_executor executor, const Clock& clock, std::shared_ptr<Transport> transport,
                 ApiToken token, bool insecure)
    : executor_(std::move(executor)), clock_(clock), transport_(std::move(transport)), insecure_(insecure) {
  set_token(std::move(token));
}

void Session::set_token(ApiToken token) {
  url_ = token.base.display();
  const bool secure_only = token.base.tls && !insecure_;
  auth_ = std::make_shared<Auth>(executor_, clock_, transport_, std::move(token), secure_only);
}

asio::awaitable<Answer<Response>> Session::call(std::shared_ptr<Session> self, Call call) {
  const auto auth = self->auth_;
  Request request{.method = std::move(call.method),
                  .url = auth->base().with(call.target),
                  .headers = std::move(call.headers),
                  .body = std::move(call.body),
                  .max_answer_bytes = call.max_answer_bytes,
                  .once = call.once};
  request.headers.push_back({"Authorization", {}});
  for (int tries = 1;; ++tries) {
    auto token = co_await Auth::token(auth);
    if (!token) co_return std::unexpected(std::move(token.error()));
    request.headers.back().value = "Bearer " + token->text;
    auto response = co_await Transport::send(self->transport_, request);
    if (!response) {
      response.error().in_doubt = request.once && request.sent_any;
      co_return response;
    }
    if (tells_of_the_token(response->status)) auth->accepted(token->generation);
    if (response->status >= 200 && response->status < 300) co_return response;
    if (response->status != 401 || tries == most_tries) {
      if (response->status == 401) auth->refused(token->generation);
      auto failure = classify(*response, call.intent, self->clock_.wall());
      failure.in_doubt = request.once && may_have_been_applied(response->status);
      co_return std::unexpected(std::move(failure));
    }
    auth->refused(token->generation);
    if (request.body_begun) {
      auto next = co_await Auth::token(auth);
      if (!next) co_return std::unexpected(std::move(next.error()));
      co_return std::unexpected(token_renewed());
    }
  }
}

asio::awaitable<Answer<void>> Session::try_token(std::shared_ptr<Session> self, std::shared_ptr<Transport> way) {
  const auto auth = self->auth_;
  auto token = co_await Auth::token(auth->afresh(std::move(way)));
  if (!token) co_return std::unexpected(std::move(token.error()));
  auth->forget_rejection();
  co_return Answer<void>();
}

Failure invalid_answer(std::string_view call) {
  return {Failure::Kind::server_error, "invalid_answer",
          fmt::format("the server's answer to {} cannot be read; check that the address is a Neptune server's", call),
          std::nullopt};
}

}  // namespace neptune::server
