#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "tests/unit/local_api/served.h"
#include "tests/unit/support/descriptors.h"

// How the front door treats connections and requests, whatever they ask for.
namespace neptune::local_api {
namespace {

using namespace std::chrono_literals;
using test::ask;
using test::RawSocket;
using test::Served;
using test::status_of;

constexpr std::string_view get_status = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";

TEST(FrontDoor, NamesItselfAndItsVersion) {
  Served served;
  const auto response = ask(served.path(), "GET", "/v1/status");
  EXPECT_EQ(status_of(response), 200);
  EXPECT_NE(response.find("Server: neptune-syncd/1.2.3\r\n"), std::string::npos);
  EXPECT_NE(response.find("Content-Type: application/json\r\n"), std::string::npos);
}

TEST(FrontDoor, AnswersManyRequestsOfOneConnectionInOrder) {
  Served served;
  RawSocket socket(served.path());
  socket.send(get_status);
  EXPECT_EQ(status_of(socket.read_response()), 200);
  // Pipelined, the last one in two parts.
  socket.send(std::string(get_status) + "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/wor");
  EXPECT_EQ(status_of(socket.read_response()), 200);
  EXPECT_EQ(status_of(socket.read_response()), 404);
  socket.send("kspaces HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(test::body_of(socket.read_response()), R"({"workspaces":[]})");
}

TEST(FrontDoor, HeadHasTheHeadersOfGetAndNoBody) {
  Served served;
  const auto get = ask(served.path(), "GET", "/v1/status");
  const auto head = ask(served.path(), "HEAD", "/v1/status");
  EXPECT_EQ(get.substr(0, get.find("\r\n\r\n") + 4), head);
}

TEST(FrontDoor, SpeaksHttp10AndClosesAfterIt) {
  Served served;
  RawSocket socket(served.path());
  socket.send("GET /v1/status HTTP/1.0\r\n\r\n");
  const auto response = socket.read_to_end();
  EXPECT_TRUE(response.starts_with("HTTP/1.0 200")) << response;
}

TEST(FrontDoor, SaysWhatIsWrongWithAMalformedRequest) {
  Served served;
  for (const char* bad : {"hello\r\n\r\n", "GET\r\n\r\n", "GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
                          "GET /v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n",
                          "POST /v1/flush HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
                          "POST /v1/flush HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
    RawSocket socket(served.path());
    const auto response = socket.send(bad).read_to_end();
    EXPECT_EQ(status_of(response), 400) << bad << " -> " << response;
    EXPECT_NE(response.find(R"({"error":{"code":"malformed_request","message":")"), std::string::npos) << response;
    EXPECT_NE(response.find("Connection: close"), std::string::npos);
  }
  EXPECT_EQ(status_of(RawSocket(served.path()).send("GET /v1/status HTTP/2.0\r\n\r\n").read_to_end()), 505);
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/status")), 200);
}

TEST(FrontDoor, RefusesHeadersAndBodiesOverTheirLimits) {
  Options options;
  options.max_header_bytes = 2048;
  options.max_body_bytes = 100;
  Served served(options);
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/status", "X: " + std::string(5000, 'x') + "\r\n\r\n")), 431);
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/" + std::string(5000, 'x'))), 431);
  EXPECT_EQ(status_of(ask(served.path(), "POST", "/v1/flush", "Content-Length: 101\r\n\r\n")), 413)
      << "it must not wait for a body it will not take";
  EXPECT_EQ(status_of(ask(served.path(), "POST", "/v1/flush",
                          "Transfer-Encoding: chunked\r\n\r\n80\r\n" + std::string(128, ' ') + "\r\n0\r\n\r\n")),
            413);
}

TEST(FrontDoor, TakesJsonBodiesOnly) {
  Served served;
  EXPECT_EQ(
      status_of(ask(served.path(), "POST", "/v1/flush", "Content-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>")),
      415);
  EXPECT_EQ(status_of(ask(served.path(), "POST", "/v1/flush",
                          "Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}")),
            200);
  EXPECT_EQ(status_of(ask(served.path(), "POST", "/v1/flush",
                          "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n")),
            200);
}

TEST(FrontDoor, SaysInWhichCodingAndCharsetABodyIsNotTaken) {
  Served served;
  const auto answer_to = [&served](const std::string& headers) {
    return ask(served.path(), "POST", "/v1/flush", headers + "Content-Length: 2\r\n\r\n{}");
  };
  const std::string json = "Content-Type: application/json\r\n";
  const auto zipped = answer_to(json + "Content-Encoding: gzip\r\n");
  EXPECT_EQ(status_of(zipped), 415);
  EXPECT_NE(zipped.find("Content-Encoding 'gzip'"), std::string::npos) << zipped;
  EXPECT_EQ(status_of(answer_to(json + "Content-Encoding: identity\r\n")), 200);
  for (const std::string charset : {"latin1", "\"utf-16\"", "ISO-8859-1"}) {
    const auto foreign = answer_to("Content-Type: application/json; v=1;Charset=" + charset + "\r\n");
    EXPECT_EQ(status_of(foreign), 415);
    EXPECT_NE(foreign.find("only UTF-8 is taken"), std::string::npos) << foreign;
  }
  for (const std::string charset : {"UTF-8", "\"utf-8\"", "utf8 ; v=1", "us-ascii"})
    EXPECT_EQ(status_of(answer_to("Content-Type: application/json;charset=" + charset + "\r\n")), 200) << charset;
}

TEST(FrontDoor, AsksForTheBodyOfAClientThatWaits) {
  Served served;
  RawSocket socket(served.path());
  socket.send(
      "POST /v1/flush HTTP/1.1\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(status_of(socket.read_until("\r\n\r\n")), 100);
  socket.send("{}");
  EXPECT_EQ(status_of(socket.read_response()), 200);
}

TEST(FrontDoor, ClosesAConnectionThatDripsItsRequest) {
  Options options;
  options.request_timeout = 100ms;
  Served served(options);
  RawSocket socket(served.path());
  socket.send("GET /v1/sta");
  EXPECT_EQ(socket.read_to_end(), "");
  EXPECT_TRUE(served.reaches_connections(0));

  RawSocket body(served.path());
  body.send("POST /v1/flush HTTP/1.1\r\nContent-Length: 10\r\n\r\nab");
  EXPECT_EQ(body.read_to_end(), "");
  EXPECT_TRUE(served.reaches_connections(0));
}

TEST(FrontDoor, ClosesAConnectionThatAsksNothing) {
  Options options;
  options.idle_timeout = 100ms;
  Served served(options);
  RawSocket silent(served.path());
  EXPECT_EQ(silent.read_to_end(), "");
  RawSocket done(served.path());
  done.send(get_status);
  EXPECT_EQ(status_of(done.read_response()), 200);
  EXPECT_EQ(done.read_to_end(), "");
}

TEST(FrontDoor, AnswersAClientThatClosedItsSendingHalf) {
  Served served;
  RawSocket socket(served.path());
  EXPECT_EQ(status_of(socket.send(get_status).half_close().read_to_end()), 200);
  RawSocket half_a_request(served.path());
  EXPECT_EQ(half_a_request.send("GET /v1/st").half_close().read_to_end(), "");
  EXPECT_TRUE(served.reaches_connections(0));
}

TEST(FrontDoor, TurnsConnectionsOverTheLimitAwayWithASentence) {
  Options options;
  options.max_connections = 3;
  options.spare_idle = 1h;
  Served served(options);
  std::vector<RawSocket> taken;
  for (int i = 0; i < 3; ++i) {
    taken.emplace_back(served.path());
    EXPECT_EQ(status_of(taken.back().send(get_status).read_response()), 200);
  }
  const auto response = RawSocket(served.path()).read_to_end();
  EXPECT_EQ(status_of(response), 503);
  EXPECT_NE(response.find(R"("code":"too_many_connections")"), std::string::npos);
  taken.pop_back();
  EXPECT_TRUE(served.reaches_connections(2));
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/status")), 200);
}

TEST(FrontDoor, OneUsersConnectionsDoNotKeepOutTheOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to connect as somebody else";
  Options options;
  options.max_connections_per_user = 2;
  options.spare_idle = 1h;
  Served served(options);
  std::vector<RawSocket> taken;
  for (int i = 0; i < 2; ++i) {
    taken.push_back(RawSocket::as(65534, 65534, served.path()));
    EXPECT_EQ(status_of(taken.back().send(get_status).read_response()), 200);
  }
  EXPECT_EQ(status_of(RawSocket::as(65534, 65534, served.path()).read_to_end()), 503);
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/status")), 200);
}

TEST(FrontDoor, AllOtherUsersTogetherDoNotKeepOutRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to connect as somebody else";
  Options options;
  options.max_connections = 4;
  options.kept_connections = 2;
  options.spare_idle = 1h;
  Served served(options);
  std::vector<RawSocket> taken;
  for (const uid_t user : {65533u, 65534u}) {
    taken.push_back(RawSocket::as(user, 65534, served.path()));
    EXPECT_EQ(status_of(taken.back().send(get_status).read_response()), 200);
  }
  EXPECT_EQ(status_of(RawSocket::as(65532, 65534, served.path()).read_to_end()), 503);
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/status")), 200);
}

TEST(FrontDoor, WhoAsksNothingMakesPlaceForTheSameUsersNextRequest) {
  Options options;
  options.max_connections_per_user = 2;
  options.spare_idle = 0ms;
  Served served(options);
  RawSocket first(served.path());
  EXPECT_EQ(status_of(first.send(get_status).read_response()), 200);
  RawSocket silent(served.path());
  EXPECT_TRUE(served.reaches_connections(2));
  EXPECT_EQ(status_of(first.send(get_status).read_response()), 200);  // so that the other is idle for longer
  RawSocket third(served.path());
  EXPECT_EQ(status_of(third.send(get_status).read_response()), 200);
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_EQ(status_of(first.send(get_status).read_response()), 200);
}

TEST(FrontDoor, EventStreamsLeaveTheSameUserPlacesToAsk) {
  Options options;
  options.max_connections_per_user = 3;
  options.max_streams_per_user = 1;
  options.spare_idle = 0ms;
  Served served(options);
  const std::string get_events = "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n";
  {
    RawSocket stream(served.path());
    EXPECT_EQ(status_of(stream.send(get_events).read_until("\r\n\r\n")), 200);
    RawSocket another(served.path());
    EXPECT_EQ(status_of(another.send(get_events).read_response()), 503);
    EXPECT_EQ(status_of(another.send(get_status).read_response()), 200);
  }
  EXPECT_TRUE(served.reaches_connections(0));
  EXPECT_EQ(status_of(RawSocket(served.path()).send(get_events).read_until("\r\n\r\n")), 200);
}

TEST(FrontDoor, HoldsOutThroughAHundredClientsAtATime) {
  Options options;
  options.max_connections_per_user = 200;
  Served served(options);
  for (int round = 0; round < 3; ++round) {
    std::vector<RawSocket> clients;
    for (int i = 0; i < 100; ++i) clients.emplace_back(served.path());
    for (auto& client : clients) client.send(get_status);
    for (auto& client : clients) EXPECT_EQ(status_of(client.read_response()), 200);
  }
  EXPECT_TRUE(served.reaches_connections(0));
}

TEST(FrontDoor, PausesWhenDescriptorsRunOutAndGoesOnAfterwards) {
  if (test::needs_descriptors) GTEST_SKIP() << "the sanitizers need descriptors of their own";
  Served served;
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/status")), 200);
  const int next = ::dup(0);
  ::close(next);
  std::optional<test::DescriptorLimit> tight(static_cast<rlim_t>(next + 1));  // room for the client's end alone
  RawSocket socket(served.path());
  const bool connected = socket.connected();
  socket.send(get_status);
  // Rounds enough for the loop to have seen the connection, and for many accepts to fail, were they not paused.
  for (int i = 0; i < 50; ++i) served.on_loop([](test::FixedControl&) {});
  tight.reset();
  ASSERT_TRUE(connected);
  EXPECT_EQ(status_of(socket.read_response()), 200);
}

TEST(FrontDoor, StopsAtOnceWithIdleConnectionsAndHalfRequestsOpen) {
  Served served;
  RawSocket idle(served.path()), used(served.path());
  EXPECT_EQ(status_of(used.send(get_status).read_response()), 200);
  ASSERT_TRUE(served.reaches_connections(2));
  EXPECT_LT(served.stop(), 500ms);
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_FALSE(RawSocket(served.path()).connected());
}

TEST(FrontDoor, AnAnswerThatNeverComesCannotKeepTheDaemonFromStopping) {
  Options options;
  options.stop_grace = 100ms;
  Served served(options);
  served.on_loop([](test::FixedControl& control) { control.stuck = true; });
  RawSocket waiting(served.path()), dripping(served.path());
  waiting.send("GET /v1/rejected/1/payload HTTP/1.1\r\nHost: x\r\n\r\n");
  dripping.send("POST /v1/fl");
  ASSERT_TRUE(served.reaches_connections(2));
  EXPECT_LT(served.stop(), 3s);
  EXPECT_EQ(waiting.read_to_end(), "");
}

TEST(FrontDoor, AClientThatDoesNotTakeItsAnswerIsDropped) {
  Options options;
  options.write_timeout = 100ms;
  Served served(options);
  served.on_loop([](test::FixedControl& control) { control.payload.assign(8 << 20, 'x'); });
  RawSocket lazy(served.path());
  lazy.send("GET /v1/rejected/1/payload HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(served.reaches_connections(1));
  EXPECT_TRUE(served.reaches_connections(0));
}

}  // namespace
}  // namespace neptune::local_api
