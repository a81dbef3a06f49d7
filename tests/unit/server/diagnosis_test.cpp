#include <gmock/gmock.h>

#include "tests/unit/server/certificates.h"
#include "tests/unit/server/fixture.h"

namespace neptune::server {
namespace {

using namespace test;
using At = Step::At;
using State = Step::State;

class Diagnosis : public WithNeptune {
 protected:
  /// What the way of a server was found to be: "name fine, connection failed".
  std::vector<std::pair<At, State>> steps_of(Server& server) {
    const auto steps = run(server.diagnose());
    std::vector<std::pair<At, State>> list;
    for (const auto& step : steps) list.emplace_back(step.at, step.state);
    last_message = steps.empty() ? "" : steps.back().message;
    return list;
  }
  /// The first answer of the server, the others being as usual.
  void answer_once(Reply reply) {
    neptune.meddle = [reply, first = true](const Received&) mutable {
      return std::exchange(first, false) ? std::optional(reply) : std::nullopt;
    };
  }

  std::string last_message;
};

TEST_F(Diagnosis, OfAServerThatIsWellGoesTheWholeWay) {
  const auto server = make_server();
  EXPECT_EQ(steps_of(*server), (std::vector<std::pair<At, State>>{{At::name, State::fine},
                                                                  {At::connection, State::fine},
                                                                  {At::answer, State::fine},
                                                                  {At::clock, State::fine},
                                                                  {At::token, State::fine}}));
}

TEST_F(Diagnosis, AsksForATokenAnewThoughOneIsAtHand) {
  const auto server = make_server();
  ASSERT_TRUE(run(server->submit(in_memory("x"))));
  ASSERT_EQ(neptune.exchanges, 1);
  steps_of(*server);
  EXPECT_EQ(neptune.exchanges, 2);
}

TEST_F(Diagnosis, OfAServerThatHangsEndsInItsOwnTimeAndSaysAfterHowLong) {
  const Reply silence{"HTTP/1.1 200 OK\r\n", false, true};
  const auto patient = [](Options& options) {
    options.request_timeout = std::chrono::minutes(10);
    options.diagnosis_timeout = std::chrono::seconds(1);
  };
  answer_once(silence);
  EXPECT_EQ(steps_of(*make_server(patient)),
            (std::vector<std::pair<At, State>>{
                {At::name, State::fine}, {At::connection, State::fine}, {At::answer, State::failed}}));
  EXPECT_THAT(last_message, testing::HasSubstr("did not answer for 1 s"));

  neptune.meddle = [silence](const Received& request) {
    return request.target.find("oauth-token") != std::string::npos ? std::optional(silence) : std::nullopt;
  };
  EXPECT_THAT(steps_of(*make_server(patient)), testing::ElementsAre(testing::_, testing::_, testing::_, testing::_,
                                                                    std::pair(At::answer, State::failed)))
      << "the token is not to blame";
}

TEST_F(Diagnosis, TellsTheClocksApart) {
  const auto server = make_server();
  answer_once(http_reply(200, "{}", {"Date: Fri, 02 Jan 2026 03:04:00 GMT"}));
  EXPECT_THAT(steps_of(*server), testing::Contains(std::pair(At::clock, State::fine)));
  answer_once(http_reply(200, "{}", {"Date: Fri, 02 Jan 2026 03:06:00 GMT"}));
  const auto steps = run(server->diagnose());
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_EQ(steps[3].state, State::poor);
  EXPECT_EQ(steps[3].message, "this machine's clock is 1 min behind the server's");
}

TEST_F(Diagnosis, SaysOfTheClockWhateverAServerAnswers) {
  const auto server = make_server();
  answer_once(http_reply(503, "maintenance", {"Date: Fri, 02 Jan 2026 01:04:05 GMT"}));
  const auto unwell = run(server->diagnose());
  ASSERT_FALSE(unwell.empty());
  EXPECT_EQ(unwell.back().message, "this machine's clock is 2 h ahead of the server's");
  answer_once(http_reply(200, "{}"));
  const auto timeless = run(server->diagnose());
  ASSERT_EQ(timeless.size(), 5u);
  EXPECT_EQ(timeless[3].at, At::clock);
  EXPECT_EQ(timeless[3].state, State::poor);
  EXPECT_THAT(timeless[3].message, testing::HasSubstr("names no time"));
}

TEST_F(Diagnosis, LooksAtTheCertificateWhereThereIsOne) {
  const Authority authority;
  const auto answer = [this](const Received& request) { return neptune(request); };
  const auto trusting = [&authority](Options& options) { options.ca_file = authority.file(); };

  ScriptedPeer good(loop.get_executor(), answer, authority.issue("IP:127.0.0.1"));
  neptune.base = good.url();
  EXPECT_EQ(steps_of(*make_server(trusting)), (std::vector<std::pair<At, State>>{{At::name, State::fine},
                                                                                 {At::connection, State::fine},
                                                                                 {At::encryption, State::fine},
                                                                                 {At::answer, State::fine},
                                                                                 {At::clock, State::fine},
                                                                                 {At::token, State::fine}}));
  const std::vector<std::pair<At, State>> failed{
      {At::name, State::fine}, {At::connection, State::fine}, {At::encryption, State::failed}};
  EXPECT_EQ(steps_of(*make_server()), failed) << "of an authority that nobody knows";
  EXPECT_NE(last_message.find("cannot be trusted"), std::string::npos) << last_message;

  ScriptedPeer old(loop.get_executor(), answer, authority.issue("IP:127.0.0.1", true));
  neptune.base = old.url();
  EXPECT_EQ(steps_of(*make_server(trusting)), failed) << "expired";
  EXPECT_NE(last_message.find("expired"), std::string::npos) << last_message;
}

TEST_F(Diagnosis, EndsAtTheFirstStepThatFails) {
  const auto server = make_server();
  answer_once(http_reply(502, "bad gateway"));
  const auto steps = run(server->diagnose());
  ASSERT_EQ(steps.size(), 4u);
  EXPECT_EQ(steps[2].state, State::failed);
  EXPECT_NE(steps[2].message.find("HTTP 502"), std::string::npos);

  neptune.meddle = [](const Received& request) {
    return request.target.find("oauth-token") == std::string::npos ? std::nullopt : std::optional(http_reply(401));
  };
  EXPECT_EQ(steps_of(*server).back(), std::pair(At::token, State::failed));
  EXPECT_NE(last_message.find("rejects the API token"), std::string::npos);

  neptune.base = "http://no-such-host.invalid";
  const auto nowhere = make_server([this](Options& options) { options.api_token = neptune.api_token(); });
  EXPECT_EQ(steps_of(*nowhere), (std::vector<std::pair<At, State>>{{At::name, State::failed}}));
  neptune.base = "http://127.0.0.1:1";
  const auto refused = make_server([this](Options& options) { options.api_token = neptune.api_token(); });
  EXPECT_EQ(steps_of(*refused).back(), std::pair(At::connection, State::failed));
}

}  // namespace
}  // namespace neptune::server
