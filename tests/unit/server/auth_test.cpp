#include "server/impl/auth.h"

#include <fmt/format.h>

#include "tests/unit/server/fixture.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;

class AuthTest : public WithNeptune {
 protected:
  Answer<std::string> submit(Server& server) { return run(server.submit(in_memory("x"))); }
};

TEST_F(AuthTest, ExchangesTheTokenOnceForManyCalls) {
  const auto server = make_server();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.configs, 1);
  EXPECT_EQ(neptune.discoveries, 1);
  EXPECT_EQ(neptune.exchanges, 1);
  EXPECT_EQ(neptune.refreshes, 0);
}

TEST_F(AuthTest, CallersAtTheSameTimeShareOneExchange) {
  const auto server = make_server();
  std::vector<std::shared_ptr<Started<Answer<std::string>>>> calls;
  for (int i = 0; i < 6; ++i) calls.push_back(start(server->submit(in_memory("x"))));
  for (const auto& call : calls) {
    run_until([&] { return call->ended; });
    EXPECT_TRUE(call->value && *call->value);
  }
  EXPECT_EQ(neptune.exchanges, 1);
}

TEST_F(AuthTest, AWebServerThatIsNoNeptuneIsSaidToBeLookedAt) {
  neptune.meddle = [](const Received&) { return http_reply(404, "", {}); };
  const auto server = make_server();
  const auto answer = submit(*server);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, Kind::busy);
  EXPECT_EQ(answer.error().message,
            fmt::format("reading the client configuration failed: something before the server answered this, and not "
                        "its API: it may be restarting (HTTP 404); check that {} is the address of a Neptune server",
                        server->url()));
}

TEST_F(AuthTest, CallersAtTheSameTimeShareAFailure) {
  neptune.meddle = [](const Received&) { return http_reply(503, "", {"Retry-After: 9"}); };
  const auto server = make_server();
  std::vector<std::shared_ptr<Started<Answer<std::string>>>> calls;
  for (int i = 0; i < 6; ++i) calls.push_back(start(server->submit(in_memory("x"))));
  for (const auto& call : calls) {
    run_until([&] { return call->ended; });
    ASSERT_TRUE(call->value && !*call->value);
    EXPECT_EQ(call->value->error().kind, Kind::busy);
    EXPECT_EQ(call->value->error().retry_after, 9s);
  }
  EXPECT_EQ(neptune.configs, 1);
}

TEST_F(AuthTest, WhenTheLeadingCallerIsCancelledTheNextTakesOver) {
  const auto server = make_server();
  auto first = start(server->submit(in_memory("x")));
  auto second = start(server->submit(in_memory("x")));
  auto third = start(server->submit(in_memory("x")));
  run_until([&] { return neptune.configs == 1; });
  first->cancel.emit(asio::cancellation_type::terminal);
  run_until([&] { return first->ended && second->ended && third->ended; });
  EXPECT_TRUE(first->error);
  EXPECT_TRUE(second->value && *second->value);
  EXPECT_TRUE(third->value && *third->value);
  EXPECT_EQ(neptune.exchanges, 1);
}

TEST_F(AuthTest, RefreshesThirtySecondsBeforeExpiry) {
  std::string form;
  neptune.meddle = [&](const Received& request) -> std::optional<Reply> {
    if (request.target == "/token") form = request.body;
    return std::nullopt;
  };
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  clock.advance(269s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 0);
  clock.advance(1s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 1);
  EXPECT_EQ(neptune.exchanges, 1);
  EXPECT_EQ(form, "grant_type=refresh_token&refresh_token=refresh-1&client_id=neptune-cli&expires_in=300");
  clock.advance(270s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 2);
}

TEST_F(AuthTest, ATokenWithoutIssueTimeIsTimedByTheClock) {
  neptune.with_issued_at = false;
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  clock.advance(269s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 0);
  clock.advance(1s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 1);
}

TEST_F(AuthTest, AWrongClockDoesNotMakeItRefreshForEveryCall) {
  neptune.with_issued_at = false;
  neptune.lifetime = -3600s;
  const auto server = make_server();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.exchanges, 1);
  EXPECT_EQ(neptune.refreshes, 0);
}

TEST_F(AuthTest, AShortLivedTokenIsUsedForHalfItsLife) {
  neptune.lifetime = 20s;
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  clock.advance(9s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 0);
  clock.advance(1s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 1);
}

TEST_F(AuthTest, ExchangesAfreshWhenTheRefreshIsRefused) {
  neptune.meddle = [](const Received& request) -> std::optional<Reply> {
    if (request.target == "/token") return http_reply(400, R"({"error":"invalid_grant"})");
    return std::nullopt;
  };
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  clock.advance(280s);
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 1);
  EXPECT_EQ(neptune.exchanges, 2);
}

TEST_F(AuthTest, DoesNotExchangeWhenTheNetworkFailsTheRefresh) {
  neptune.meddle = [](const Received& request) -> std::optional<Reply> {
    if (request.target == "/token") return Reply{"", true, false};
    return std::nullopt;
  };
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  clock.advance(280s);
  const auto failed = submit(*server);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::unreachable);
  EXPECT_EQ(neptune.exchanges, 1);
}

TEST_F(AuthTest, A401IsAnsweredByARefreshAndThenByAnExchange) {
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  int refuse = 1;
  neptune.meddle = [&](const Received& request) -> std::optional<Reply> {
    if (request.target == "/api/client/v1/ingest" && refuse-- > 0)
      return http_reply(401, R"({"errorType":"AUTHORIZATION_TOKEN_EXPIRED"})");
    return std::nullopt;
  };
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 1);
  EXPECT_EQ(neptune.exchanges, 1);
  refuse = 2;
  ASSERT_TRUE(submit(*server));
  EXPECT_EQ(neptune.refreshes, 2);
  EXPECT_EQ(neptune.exchanges, 2);
}

TEST_F(AuthTest, AThird401MeansTheApiTokenAndIsRemembered) {
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  neptune.call = [](const Received&) { return http_reply(401); };
  const auto failed = submit(*server);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::token_rejected);
  EXPECT_EQ(calls_to("/api/client/v1/ingest"), 4);
  EXPECT_EQ(neptune.refreshes, 1);
  EXPECT_EQ(neptune.exchanges, 2);
  const auto seen = peer.requests().size();
  const auto again = submit(*server);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, Kind::token_rejected);
  EXPECT_EQ(peer.requests().size(), seen);
}

TEST_F(AuthTest, OneCallThatIsAlwaysRefusedDoesNotStopTheOthers) {
  neptune.call = [](const Received& request) {
    return request.target.starts_with("/api/backend") ? http_reply(401) : http_reply(200, submitted("id"));
  };
  const auto server = make_server();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(submit(*server)) << i;
    auto refused = start(server->workspace_status("ml-team"));
    // The other call is taken while this one fails.
    auto taken = start(server->submit(in_memory("x")));
    run_until([&] { return refused->ended && taken->ended; });
    EXPECT_EQ(refused->value->error().kind, Kind::token_rejected);
    clock.advance(Auth::rejection_pause);
  }
}

TEST_F(AuthTest, ATokenThatIsFoundToBeTakenIsUsedAtOnceThoughItWasRejectedLately) {
  bool rejects = true;
  neptune.meddle = [&rejects](const Received& request) -> std::optional<Reply> {
    if (rejects && request.target.ends_with("/oauth-token")) return http_reply(401);
    return std::nullopt;
  };
  const auto server = make_server();
  ASSERT_FALSE(submit(*server));
  EXPECT_EQ(run(server->answers()).error().kind, Kind::token_rejected);
  rejects = false;
  EXPECT_FALSE(submit(*server)) << "it is remembered";
  EXPECT_TRUE(run(server->answers()));
  EXPECT_TRUE(submit(*server));
}

TEST_F(AuthTest, ARejectedApiTokenIsNotTriedAgainForAWhile) {
  neptune.meddle = [](const Received& request) -> std::optional<Reply> {
    if (request.target.ends_with("/oauth-token")) return http_reply(401);
    return std::nullopt;
  };
  const auto server = make_server();
  for (int i = 0; i < 3; ++i) {
    const auto failed = submit(*server);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, Kind::token_rejected);
  }
  EXPECT_EQ(neptune.exchanges, 1);
  neptune.meddle = nullptr;
  clock.advance(Auth::rejection_pause - 1s);
  EXPECT_FALSE(submit(*server));
  EXPECT_EQ(neptune.exchanges, 1);
  clock.advance(1s);
  EXPECT_TRUE(submit(*server));
  EXPECT_EQ(neptune.exchanges, 2);
}

TEST_F(AuthTest, ANewTokenIsTriedAtOnce) {
  neptune.meddle = [](const Received& request) -> std::optional<Reply> {
    if (request.target.ends_with("/oauth-token")) return http_reply(401);
    return std::nullopt;
  };
  const auto server = make_server();
  ASSERT_FALSE(submit(*server));
  neptune.meddle = nullptr;
  const auto wrong = server->set_token("nonsense");
  ASSERT_FALSE(wrong);
  ASSERT_TRUE(server->set_token(neptune.api_token()));
  EXPECT_TRUE(submit(*server));
}

TEST_F(AuthTest, OtherTroubleOfTheExchangeIsBusyAndBlamesNoRequest) {
  const auto server = make_server();
  for (const auto& reply : {http_reply(403), http_reply(404), http_reply(500), http_reply(302), http_reply(200, "no"),
                            http_reply(200, R"({"accessToken":"opaque","refreshToken":"r"})"),
                            http_reply(200, R"({"accessToken":"a b.c\r\n.d","refreshToken":"r"})"),
                            http_reply(402, R"({"errorType":"WORKSPACE_IN_READ_ONLY_MODE"})"),
                            http_reply(200, std::string(2u << 20, 'x'))}) {
    neptune.meddle = [&](const Received& request) -> std::optional<Reply> {
      if (request.target.ends_with("/oauth-token")) return reply;
      return std::nullopt;
    };
    const auto failed = submit(*server);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, Kind::busy) << failed.error().message;
    EXPECT_FALSE(failed.error().message.empty());
  }
  EXPECT_EQ(calls_to("/api/client/"), 0);
}

TEST_F(AuthTest, ADiscoveryThatMakesNoSenseIsBusy) {
  const auto server = make_server();
  for (const auto* path : {"/api/backend/v1/clients/config", "/openid"}) {
    for (const auto* body : {"", "[]", "{}", R"({"security":{}})", R"({"security":{"openIdDiscovery":"ftp://x"}})",
                             R"({"token_endpoint":7})"}) {
      neptune.meddle = [&](const Received& request) -> std::optional<Reply> {
        if (request.target == path) return http_reply(200, body);
        return std::nullopt;
      };
      const auto failed = submit(*server);
      ASSERT_FALSE(failed) << path << body;
      EXPECT_EQ(failed.error().kind, Kind::busy);
      EXPECT_EQ(failed.error().code, "invalid_auth_answer");
    }
  }
}

TEST_F(AuthTest, AStreamedBodyRefusedWith401IsHandedBackWithANewTokenAtHand) {
  const auto server = make_server();
  ASSERT_TRUE(submit(*server));
  int refuse = 2;
  neptune.call = [&](const Received&) { return refuse-- > 0 ? http_reply(401) : http_reply(200, submitted("id")); };
  for (int i = 0; i < 2; ++i) {
    const auto renewed = run(server->submit(streamed("h", {"abc"})));
    ASSERT_FALSE(renewed);
    EXPECT_EQ(renewed.error().kind, Kind::busy);
    EXPECT_EQ(renewed.error().code, "token_renewed");
    EXPECT_EQ(renewed.error().retry_after, 0ms);
  }
  EXPECT_EQ(neptune.refreshes, 1);
  EXPECT_EQ(neptune.exchanges, 2);
  EXPECT_TRUE(run(server->submit(streamed("h", {"abc"}))));
}

TEST_F(AuthTest, AStreamedBodyRefusedForeverEndsAsARejectedToken) {
  neptune.call = [](const Received&) { return http_reply(401); };
  const auto server = make_server();
  std::vector<Kind> kinds;
  for (int i = 0; i < 4; ++i) kinds.push_back(run(server->submit(streamed("h", {"abc"}))).error().kind);
  EXPECT_EQ(kinds, (std::vector{Kind::busy, Kind::busy, Kind::token_rejected, Kind::token_rejected}));
  EXPECT_EQ(calls_to("/api/client/"), 3);
}

TEST_F(AuthTest, TheTokensTextIsInNoMessage) {
  const auto server = make_server();
  const auto secrets = {neptune.api_token(), std::string("secret-key"), std::string("refresh-")};
  std::vector<std::string> messages;
  for (const auto& reply : {Reply{"", true, false}, http_reply(401), http_reply(500), http_reply(200)}) {
    neptune.meddle = [&](const Received&) { return reply; };
    const auto failed = submit(*server);
    ASSERT_FALSE(failed);
    for (const auto& secret : secrets) EXPECT_EQ(failed.error().message.find(secret), std::string::npos);
    clock.advance(Auth::rejection_pause);
  }
}

}  // namespace
}  // namespace neptune::server
