#include "server/impl/transport.h"

#include <fmt/format.h>

#include <cstdlib>

#include "server/impl/tls.h"
#include "tests/unit/server/certificates.h"
#include "tests/unit/server/fixture.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;

ProxyRules no_proxy() {
  return *ProxyRules::make("", [](const char*) { return std::nullopt; });
}

asio::awaitable<Answer<Response>> send(std::shared_ptr<Transport> transport, std::shared_ptr<Request> request) {
  co_return co_await Transport::send(transport, *request);
}

class TransportTest : public OnALoop {
 protected:
  std::shared_ptr<Transport> make(std::function<void(Transport::Settings&)> change = {}) {
    static const auto system_tls = *Tls::make("", false);  // reading the system's certificates takes a while
    Transport::Settings settings{.tls = system_tls, .proxies = no_proxy(), .user_agent = "ua/1"};
    settings.timeout = 5s;
    if (change) change(settings);
    return std::make_shared<Transport>(loop.get_executor(), std::move(settings));
  }

  static std::shared_ptr<Request> request(const std::string& url, Body body = {}) {
    const bool has_body = !body.head.empty() || body.stream_bytes > 0;
    return std::make_shared<Request>(
        Request{.method = has_body ? "POST" : "GET", .url = *Url::parse(url), .headers = {}, .body = std::move(body)});
  }

  Answer<Response> ask(const std::shared_ptr<Transport>& transport, const std::string& url, Body body = {}) {
    return run(send(transport, request(url, std::move(body))));
  }

  ScriptedPeer::Script echo = [](const Received& received) { return http_reply(200, received.body); };
};

TEST_F(TransportTest, SendsARequestAndKeepsTheConnectionForTheNext) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make();
  for (int i = 0; i < 3; ++i) {
    const auto response = ask(transport, peer.url() + "/a?b=c", in_memory("hello"));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "hello");
  }
  EXPECT_EQ(peer.connections(), 1);
  const auto& seen = peer.requests().front();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/a?b=c");
  EXPECT_EQ(seen.headers.at("user-agent"), "ua/1");
  EXPECT_EQ(seen.headers.at("host"), fmt::format("127.0.0.1:{}", peer.port()));
  EXPECT_EQ(seen.headers.at("content-length"), "5");
}

TEST_F(TransportTest, StreamsABodyOfExactlyThePromisedLength) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const std::string large(1'000'000, 'x');
  const auto response = [&] {
    auto asked = request(peer.url(), streamed("head,", {"one,", "two,", large, "end"}));
    asked->max_answer_bytes = 2'000'000;
    return run(send(make(), asked));
  }();
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "head,one,two," + large + "end");
}

TEST_F(TransportTest, SendsNothingOfAWriteThatMayNotBeginAnyMore) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make();
  bool open = true;
  auto guarded = [&open] {
    auto body = in_memory("hello");
    body.may_begin = [&open] { return open; };
    return body;
  };
  EXPECT_TRUE(ask(transport, peer.url(), guarded()));
  open = false;
  const auto refused = ask(transport, peer.url(), guarded());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::called_off);
  open = true;
  EXPECT_TRUE(ask(transport, peer.url(), guarded()));
  EXPECT_EQ(peer.requests().size(), 2u);
  EXPECT_EQ(peer.connections(), 1) << "the connection was kept";
}

TEST_F(TransportTest, ABodyThatIsShorterOrLongerThanPromisedNeverArrivesWhole) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make();
  const auto shorter = ask(transport, peer.url(), streamed("h", {"abc"}, 4));
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().kind, Kind::source);
  EXPECT_EQ(shorter.error().code, "body_too_short");
  for (const auto& pieces :
       {std::vector<std::string>{"abc", "d"}, std::vector<std::string>{"abcd"}, std::vector<std::string>{"ab", "cd"}}) {
    const auto longer = ask(transport, peer.url(), streamed("h", pieces, 3));
    ASSERT_FALSE(longer);
    EXPECT_EQ(longer.error().kind, Kind::source);
    EXPECT_EQ(longer.error().code, "body_too_long");
  }
  EXPECT_TRUE(peer.requests().empty());
}

asio::awaitable<Result<std::string_view>> broken_piece() {
  co_return fail("log_unreadable", "the run log cannot be read; check its disk");
}

TEST_F(TransportTest, ABodyThatCannotBeReadIsTheSourcesFailure) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto failed = ask(make(), peer.url(), Body{"h", 10, [] { return broken_piece(); }});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::source);
  EXPECT_EQ(failed.error().code, "log_unreadable");
}

TEST_F(TransportTest, RepeatsQuietlyWhenAKeptConnectionTurnsOutToBeClosed) {
  int count = 0;
  // The connection ends when the second request is there: too late to be seen before it was sent.
  ScriptedPeer peer(loop.get_executor(), [&](const Received&) {
    return ++count == 2 ? Reply{"", true, false} : http_reply(200, std::to_string(count));
  });
  const auto transport = make();
  ASSERT_TRUE(ask(transport, peer.url()));
  const auto second = ask(transport, peer.url(), in_memory("x"));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->body, "3");
  EXPECT_EQ(peer.connections(), 2);
}

TEST_F(TransportTest, DoesNotRepeatOnAFreshConnection) {
  ScriptedPeer peer(loop.get_executor(), [&](const Received&) { return Reply{"", true, false}; });
  const auto failed = ask(make(), peer.url());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::unreachable);
  EXPECT_EQ(failed.error().code, "connection_lost");
  EXPECT_EQ(peer.requests().size(), 1u);
}

TEST_F(TransportTest, DoesNotRepeatWhatMayBeAppliedTwice) {
  int count = 0;
  ScriptedPeer peer(loop.get_executor(),
                    [&](const Received&) { return ++count == 2 ? Reply{"", true, false} : http_reply(200); });
  const auto transport = make();
  ASSERT_TRUE(ask(transport, peer.url()));
  auto once = request(peer.url(), in_memory("x"));
  once->once = true;
  const auto failed = run(send(transport, once));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "connection_lost");
  EXPECT_EQ(count, 2);
}

TEST_F(TransportTest, DoesNotUseAConnectionThatTheServerClosedMeanwhile) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make();
  ASSERT_TRUE(ask(transport, peer.url()));
  peer.close_connections();
  run_until([&] { return peer.open_connections() == 0; });
  // A streamed body cannot be sent again, so this works only if the closed connection is not tried.
  const auto second = ask(transport, peer.url(), streamed("", {"abc"}));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->body, "abc");
  EXPECT_EQ(peer.connections(), 2);
}

TEST_F(TransportTest, ClosesAConnectionThatIsIdleForTooLong) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make([](auto& settings) { settings.idle_limit = 20ms; });
  ASSERT_TRUE(ask(transport, peer.url()));
  EXPECT_EQ(peer.open_connections(), 1);
  run_until([&] { return peer.open_connections() == 0; });
}

TEST_F(TransportTest, ClosesIdleConnectionsWhenTold) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make();
  ASSERT_TRUE(ask(transport, peer.url()));
  transport->close_idle();
  run_until([&] { return peer.open_connections() == 0; });
}

TEST_F(TransportTest, CallersBeyondTheLimitWaitTheirTurnInOrder) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make([](auto& settings) { settings.max_connections = 1; });
  std::vector<std::shared_ptr<Started<Answer<Response>>>> started;
  for (int i = 0; i < 5; ++i)
    started.push_back(start(send(transport, request(peer.url(), in_memory(std::to_string(i))))));
  // One of those who wait gives up: the turn goes to the next.
  for (int i = 0; i < 6; ++i) loop.poll_one();  // the peer's and each caller's first step
  ASSERT_EQ(peer.connections(), 0);
  started[2]->cancel.emit(asio::cancellation_type::terminal);
  run_until([&] { return std::ranges::all_of(started, [](const auto& each) { return each->ended; }); });
  std::string order;
  for (const auto& received : peer.requests()) order += received.body;
  EXPECT_EQ(order, "0134");
  EXPECT_EQ(peer.connections(), 1);
  EXPECT_TRUE(started[2]->error);
}

TEST_F(TransportTest, ReadsTheAnswerOfAServerThatRefusesBeforeItHasTheBody) {
  for (const bool close : {true, false}) {
    ScriptedPeer peer(loop.get_executor(), echo);
    peer.reply_early([&](const Received&) {
      auto reply = http_reply(413, "too much");
      reply.close = close;
      return reply;
    });
    const std::vector<std::string> pieces(16, std::string(1 << 20, 'x'));
    const auto refused = ask(make(), peer.url(), streamed("", pieces));
    ASSERT_TRUE(refused) << refused.error().message;
    EXPECT_EQ(refused->status, 413);
    EXPECT_EQ(refused->body, "too much");
  }
}

TEST_F(TransportTest, ASuccessBeforeTheWholeBodyWasSentIsNone) {
  ScriptedPeer peer(loop.get_executor(), echo);
  peer.reply_early([](const Received&) { return http_reply(200); });
  const std::vector<std::string> pieces(16, std::string(1 << 20, 'x'));
  const auto odd = ask(make(), peer.url(), streamed("", pieces));
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().code, "answered_early");
}

TEST_F(TransportTest, SkipsInterimAnswers) {
  ScriptedPeer peer(loop.get_executor(), [](const Received&) {
    auto reply = http_reply(200, "done");
    reply.bytes.insert(0, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    return reply;
  });
  const auto response = ask(make(), peer.url());
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "done");
}

TEST_F(TransportTest, ReadsAnswersOfEveryFraming) {
  const std::vector<std::string> answers{
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nabcde", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabcde"};
  std::size_t next = 0;
  ScriptedPeer peer(loop.get_executor(), [&](const Received&) {
    const auto& bytes = answers[next++];
    return Reply{bytes, bytes.find("\r\n\r\nabcde") != std::string::npos, false};
  });
  const auto transport = make();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto response = ask(transport, peer.url());
    ASSERT_TRUE(response) << i << response.error().message;
    EXPECT_EQ(response->body, "abcde");
  }
}

TEST_F(TransportTest, DoesNotReuseAConnectionThatTheServerWantsClosed) {
  ScriptedPeer peer(loop.get_executor(), [](const Received&) { return http_reply(200, "", {"Connection: close"}); });
  const auto transport = make();
  ASSERT_TRUE(ask(transport, peer.url()));
  ASSERT_TRUE(ask(transport, peer.url()));
  EXPECT_EQ(peer.connections(), 2);
}

TEST_F(TransportTest, RefusesAnAnswerThatIsTooLargeOrNoHttp) {
  std::string bytes;
  ScriptedPeer peer(loop.get_executor(), [&](const Received&) { return Reply{bytes, true, false}; });
  const auto transport = make();
  const std::pair<std::string, const char*> answers[] = {
      {http_reply(200, std::string(2u << 20, 'x')).bytes, "answer_too_large"},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n", "answer_too_large"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "invalid_answer"},
      {"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "invalid_answer"}};
  for (const auto& [answer, code] : answers) {
    bytes = answer;
    const auto failed = ask(transport, peer.url());
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, Kind::server_error);
    EXPECT_EQ(failed.error().code, code);
  }
}

TEST_F(TransportTest, GivesUpWhenNothingMoves) {
  ScriptedPeer peer(loop.get_executor(), [](const Received&) { return Reply{"HTTP/1.1 200 OK\r\n", false, true}; });
  const auto failed = ask(make([](auto& settings) { settings.timeout = 50ms; }), peer.url());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::unreachable);
  EXPECT_EQ(failed.error().code, "answer_timed_out");
}

asio::awaitable<Result<std::string_view>> slow_piece(std::shared_ptr<int> left) {
  if (--*left < 0) co_return std::string_view{};
  asio::steady_timer timer(co_await asio::this_coro::executor, 60ms);
  co_await timer.async_wait(asio::use_awaitable);
  co_return "abc";
}

TEST_F(TransportTest, DoesNotBlameTheServerForASlowSource) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto transport = make([](auto& settings) { settings.timeout = 40ms; });
  const auto left = std::make_shared<int>(2);
  const auto response = ask(transport, peer.url(), Body{"", 6, [left] { return slow_piece(left); }});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "abcabc");
}

TEST_F(TransportTest, TellsARefusedConnectionFromAnUnknownName) {
  const auto port = closed_port(loop.get_executor());
  const auto refused = ask(make(), fmt::format("http://127.0.0.1:{}", port));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "connection_refused");
  EXPECT_NE(refused.error().message.find(fmt::format("127.0.0.1 port {}", port)), std::string::npos);
  const auto unknown = ask(make(), "http://no-such-host.invalid/");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, Kind::unreachable);
  EXPECT_EQ(unknown.error().code, "dns_failed");
  EXPECT_NE(unknown.error().message.find("no-such-host.invalid"), std::string::npos);
}

TEST_F(TransportTest, CanBeCancelledAtAnyMoment) {
  int served = 0;
  // Every way a call can wait: for its turn, a connection, the server, the rest of an answer.
  ScriptedPeer peer(loop.get_executor(), [&](const Received&) {
    return ++served % 2 == 0 ? http_reply(200) : Reply{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", false, true};
  });
  for (int steps = 0; steps < 40; ++steps) {
    const auto transport = make([](auto& settings) { settings.max_connections = 1; });
    auto first = start(send(transport, request(peer.url(), streamed("h", {"a", "b", "c"}))));
    auto second = start(send(transport, request(peer.url(), in_memory("x"))));
    for (int i = 0; i < steps; ++i) loop.poll_one();
    first->cancel.emit(asio::cancellation_type::terminal);
    run_until([&] { return first->ended; });
    second->cancel.emit(asio::cancellation_type::terminal);
    run_until([&] { return second->ended; });
  }
}

TEST_F(TransportTest, ALoopThatEndsWithCallsInProgressLeavesNothingBehind) {
  ScriptedPeer peer(loop.get_executor(), [](const Received&) { return Reply{"", false, true}; });
  const auto transport = make([](auto& settings) { settings.max_connections = 1; });
  auto first = start(send(transport, request(peer.url(), streamed("h", {"a", "b"}))));
  auto second = start(send(transport, request(peer.url())));
  run_until([&] { return !peer.requests().empty(); });
  EXPECT_FALSE(first->ended || second->ended);
}

class WithTls : public TransportTest {
 protected:
  Answer<Response> ask_with(const std::string& ca_file, bool insecure, Identity identity) {
    ScriptedPeer peer(loop.get_executor(), echo, std::move(identity));
    auto tls = Tls::make(ca_file, insecure);
    if (!tls) throw std::runtime_error(tls.error().message);
    const auto transport = make([&](auto& settings) { settings.tls = *tls; });
    const auto url = fmt::format("https://{}:{}/", host, peer.port());
    const auto first = ask(transport, url, streamed("h", {std::string(100'000, 'x'), "end"}));
    if (!first) return first;
    auto second = ask(transport, url, in_memory("again"));
    EXPECT_EQ(peer.connections(), 1);
    return second;
  }

  Authority authority;
  std::string host = "127.0.0.1";
};

TEST_F(WithTls, TrustsTheAuthorityOfCaFileForNamesAndAddresses) {
  for (const auto* name : {"127.0.0.1", "localhost"}) {
    host = name;
    const auto response = ask_with(authority.file(), false, authority.issue("DNS:localhost,IP:127.0.0.1"));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "again");
  }
}

TEST_F(WithTls, RefusesAnUnknownAuthority) {
  const auto failed = ask_with("", false, authority.issue("IP:127.0.0.1"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::unreachable);
  EXPECT_EQ(failed.error().code, "tls_verification_failed");
  EXPECT_NE(failed.error().message.find("ca_file"), std::string::npos);
}

TEST_F(WithTls, RefusesACertificateForAnotherHost) {
  const auto failed = ask_with(authority.file(), false, authority.issue("DNS:other.example,DNS:*.example.org"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "tls_wrong_name");
  EXPECT_NE(failed.error().message.find("another host name: other.example, *.example.org;"), std::string::npos)
      << failed.error().message;
  EXPECT_EQ(failed.error().message.find("ca_file"), std::string::npos) << "no authority is missing";
}

TEST_F(WithTls, RefusesAnExpiredCertificate) {
  const auto failed = ask_with(authority.file(), false, authority.issue("IP:127.0.0.1", true));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "tls_verification_failed");
  EXPECT_NE(failed.error().message.find("expired"), std::string::npos) << failed.error().message;
}

TEST_F(WithTls, TrustsAnybodyWhenInsecure) {
  const auto response = ask_with("", true, authority.issue("DNS:other.example", true));
  ASSERT_TRUE(response) << response.error().message;
}

TEST_F(WithTls, HearsARefusalBeforeTheBodyIsSent) {
  ScriptedPeer peer(loop.get_executor(), echo, authority.issue("IP:127.0.0.1"));
  peer.reply_early([](const Received&) { return http_reply(403); });
  const auto tls = Tls::make(authority.file(), false);
  const auto transport = make([&](auto& settings) { settings.tls = *tls; });
  const std::vector<std::string> pieces(16, std::string(1 << 20, 'x'));
  const auto refused = ask(transport, peer.url(), streamed("", pieces));
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_EQ(refused->status, 403);
}

TEST_F(WithTls, ReportsAPeerThatSpeaksNoTls) {
  ScriptedPeer peer(loop.get_executor(), echo);
  const auto failed = ask(make(), fmt::format("https://127.0.0.1:{}", peer.port()));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::unreachable);
  EXPECT_EQ(failed.error().code, "tls_handshake_failed");
}

TEST_F(WithTls, ACaFileThatCannotBeUsedIsAnError) {
  for (const auto* file : {"/no/such/file.pem", "/dev/null"}) {
    const auto tls = Tls::make(file, false);
    ASSERT_FALSE(tls) << file;
    EXPECT_EQ(tls.error().code, "invalid_ca_file");
    EXPECT_NE(tls.error().message.find(file), std::string::npos);
  }
}

TEST_F(TransportTest, SaysThatItIsTheProxyThatCannotBeReached) {
  const auto transport = make([](auto& settings) {
    settings.proxies = *ProxyRules::make("http://127.0.0.1:9", [](const char*) { return std::nullopt; });
  });
  const auto failed = ask(transport, "http://neptune.invalid");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "connection_refused");
  EXPECT_EQ(failed.error().message.find("the proxy cannot be reached: 127.0.0.1 port 9"), 0u) << failed.error().message;
}

TEST_F(TransportTest, AsksAProxyForTheWholeUrl) {
  ScriptedPeer proxy(loop.get_executor(), echo);
  const auto transport = make([&](auto& settings) {
    settings.proxies = *ProxyRules::make(fmt::format("http://user:word@127.0.0.1:{}", proxy.port()),
                                         [](auto) { return std::nullopt; });
  });
  const auto response = ask(transport, "http://neptune.invalid/a?b", in_memory("x"));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(proxy.requests().front().target, "http://neptune.invalid/a?b");
  EXPECT_EQ(proxy.requests().front().headers.at("host"), "neptune.invalid");
  EXPECT_EQ(proxy.requests().front().headers.at("proxy-authorization"), "Basic dXNlcjp3b3Jk");
}

class ThroughATunnel : public WithTls {
 protected:
  Answer<Response> ask_through(TunnelProxy& proxy, std::uint16_t port, const std::string& credentials = {}) {
    const auto tls = *Tls::make(authority.file(), false);
    const auto transport = make([&](auto& settings) {
      settings.tls = tls;
      settings.proxies = *ProxyRules::make(fmt::format("http://{}127.0.0.1:{}", credentials, proxy.port()),
                                           [](auto) { return std::nullopt; });
    });
    return ask(transport, fmt::format("https://neptune.invalid:{}/a", port), streamed("h", {"abc"}));
  }
};

TEST_F(ThroughATunnel, SpeaksTlsWithTheServerItself) {
  ScriptedPeer peer(loop.get_executor(), echo, authority.issue("DNS:neptune.invalid"));
  TunnelProxy proxy(loop.get_executor(), peer.port(), "HTTP/1.1 200 Go\r\nVia: x\r\n\r\n");
  const auto response = ask_through(proxy, peer.port(), "user:word@");
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "habc");
  EXPECT_EQ(peer.requests().front().target, "/a");
  EXPECT_FALSE(peer.requests().front().headers.contains("proxy-authorization"));
  const auto& question = proxy.questions().front();
  EXPECT_TRUE(question.starts_with(fmt::format("CONNECT neptune.invalid:{} HTTP/1.1\r\n", peer.port()))) << question;
  EXPECT_NE(question.find("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n"), std::string::npos);
}

TEST_F(ThroughATunnel, ReportsAProxyThatRefuses) {
  const std::pair<const char*, const char*> answers[] = {{"HTTP/1.1 407 Who\r\n\r\n", "proxy_authentication_required"},
                                                         {"HTTP/1.1 403 No\r\n\r\n", "proxy_refused"},
                                                         {"HTTP/1.1 403 No\r\n", "connection_lost"},
                                                         {"SSH-2.0-OpenSSH\r\n\r\n", "proxy_refused"},
                                                         {"", "connection_lost"}};
  for (const auto& [answer, code] : answers) {
    TunnelProxy proxy(loop.get_executor(), 1, answer);
    const auto failed = ask_through(proxy, 443);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, Kind::unreachable);
    EXPECT_EQ(failed.error().code, code) << answer;
  }
}

}  // namespace
}  // namespace neptune::server
