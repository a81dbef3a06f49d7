// The way to the server, step by step.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "server/impl/api_token.h"
#include "server/impl/retry_after.h"
#include "server/impl/server_impl.h"
#include "server/impl/transport.h"
#include "support/sizes.h"

namespace neptune::server {

namespace asio = boost::asio;

namespace {

using State = Step::State;

/// The step that a failure to reach the server belongs to.
Step::At step_of(const Failure& failure) {
  const std::string_view code = failure.code;
  if (code.starts_with("dns_")) return Step::At::name;
  if (code == "tls_wrong_name") return Step::At::certificate_name;
  if (code.starts_with("tls_")) return Step::At::encryption;
  if (code == "answer_timed_out") return Step::At::answer;  // it was connected to, and then is silent
  const bool on_the_way = code == "timed_out" || code == "connection_refused" || code == "connect_failed" ||
                          code.starts_with("proxy_") || code == "connection_lost";
  return on_the_way ? Step::At::connection : Step::At::answer;
}

void add(std::vector<Step>& steps, Step::At at, State state, std::string message) {
  steps.push_back({at, state, std::move(message)});
}

/// All steps before `last` went well.
void add_fine(std::vector<Step>& steps, Step::At last, const std::string& url, bool tls) {
  using At = Step::At;
  if (last > At::name) add(steps, At::name, State::fine, "the host of " + url + " has an address");
  if (last > At::connection) add(steps, At::connection, State::fine, "a connection is made");
  if (last > At::encryption && tls) add(steps, At::encryption, State::fine, "TLS, and the certificate is valid");
  if (last > At::answer) add(steps, At::answer, State::fine, "a Neptune server answers there");
}

/// Any server that answers tells its time, whatever else is wrong with it.
void add_clock(std::vector<Step>& steps, const Response& response, WallTime now) {
  const auto date = parse_date(response.header("Date"));
  if (!date)
    return add(steps, Step::At::clock, State::poor,
               "this machine's clock is not compared with the server's, whose answer names no time");
  const auto ahead = std::chrono::round<std::chrono::seconds>(now - *date);
  const auto off = std::chrono::abs(ahead);
  constexpr std::chrono::seconds small{30};  // an HTTP date is of whole seconds, and the answer took a while
  add(steps, Step::At::clock, off <= small ? State::fine : State::poor,
      off <= small ? "this machine's clock agrees with the server's"
                   : fmt::format("this machine's clock is {} {} the server's", age_text(off),
                                 ahead.count() > 0 ? "ahead of" : "behind"));
}

}  // namespace

asio::awaitable<std::vector<Step>> diagnose(std::shared_ptr<Session> session, const Clock& clock,
                                            std::chrono::milliseconds limit) {
  std::vector<Step> steps;
  const auto base = session->base();
  const auto url = session->url();
  Request request{.method = "GET",
                  .url = base.with("/api/backend/v1/clients/config"),
                  .headers = {{"Accept", "application/json"}},
                  .body = {}};
  // What is kept alive would hide a way that is broken by now.
  const auto way = session->transport()->apart(limit);
  auto answer = co_await Transport::send(way, request);
  if (!answer) {
    const auto at = step_of(answer.error());
    add_fine(steps, at, url, base.tls);
    add(steps, at, State::failed, std::move(answer.error().message));
    co_return steps;
  }
  if (answer->status < 200 || answer->status > 299) {
    add_fine(steps, Step::At::answer, url, base.tls);
    add(steps, Step::At::answer, State::failed,
        fmt::format("{} answers with HTTP {}; check that it is a Neptune server's address, and that the server is well",
                    url, answer->status));
    add_clock(steps, *answer, clock.wall());
    co_return steps;
  }
  add_fine(steps, Step::At::token, url, base.tls);
  add_clock(steps, *answer, clock.wall());
  auto token = co_await Session::try_token(session, way);
  if (token) {
    add(steps, Step::At::token, State::fine, "the server takes the API token");
  } else {
    // Of a server that fails halfway the token is not to blame.
    const bool refused = token.error().kind == Failure::Kind::token_rejected;
    add(steps, refused ? Step::At::token : Step::At::answer, State::failed, std::move(token.error().message));
  }
  co_return steps;
}

}  // namespace neptune::server
