#include <fmt/format.h>

#include "tests/unit/server/certificates.h"
#include "tests/unit/server/fixture.h"

// The peer closes after each of its bytes in turn: a call always ends, and with the right kind of failure.

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;

class BrokenPeer : public OnALoop {
 protected:
  // One whole conversation (authentication and a call) through a relay that cuts every connection after `bytes`.
  // `one_connection_a_call`: each step of the conversation is cut there; else the conversation as a whole.
  Answer<std::string> converse(std::size_t bytes, std::optional<Identity> identity, const std::string& ca_file,
                               bool one_connection_a_call, std::size_t& passed) {
    FakeNeptune neptune(clock);
    neptune.call = [](const Received&) { return http_reply(200, submitted("id-1")); };
    ScriptedPeer peer(
        loop.get_executor(),
        [&](const Received& request) {
          auto reply = neptune(request);
          if (one_connection_a_call) {
            reply.bytes.insert(reply.bytes.find("\r\n") + 2, "Connection: close\r\n");
            reply.close = true;
          }
          return reply;
        },
        identity);
    CuttingRelay relay(loop.get_executor(), peer.port(), bytes);
    neptune.base = fmt::format("{}://127.0.0.1:{}", identity ? "https" : "http", relay.port());
    Options options;
    options.api_token = neptune.api_token();
    options.request_timeout = 5s;
    options.ca_file = ca_file;
    auto server = Server::make(loop.get_executor(), clock, std::move(options));
    if (!server) throw std::runtime_error(server.error().message);
    auto answer = run((*server)->submit(streamed("head", {"one", "two"})));
    passed = relay.passed();
    return answer;
  }

  void cut_everywhere(std::size_t step, std::optional<Identity> identity, const std::string& ca_file,
                      bool one_connection_a_call) {
    std::size_t passed = 0;
    const auto whole = converse(std::size_t(-1), identity, ca_file, one_connection_a_call, passed);
    ASSERT_TRUE(whole) << whole.error().message;
    const auto total = passed;
    std::size_t failures = 0;
    for (std::size_t bytes = 0; bytes < total; bytes += step) {
      const auto answer = converse(bytes, identity, ca_file, one_connection_a_call, passed);
      if (answer) continue;
      ++failures;
      EXPECT_EQ(answer.error().kind, Kind::unreachable) << bytes << " " << answer.error().message;
      EXPECT_TRUE(answer.error().code == "connection_lost" || answer.error().code == "tls_handshake_failed")
          << bytes << " " << answer.error().code;
    }
    EXPECT_GT(failures, 10u);
  }
};

TEST_F(BrokenPeer, EndsEveryCallWhereverAPlainConnectionIsCut) {
  cut_everywhere(1, {}, "", true);
}

TEST_F(BrokenPeer, EndsEveryCallWhereverAKeptConnectionIsCut) {
  cut_everywhere(1, {}, "", false);
}

TEST_F(BrokenPeer, EndsEveryCallWhereverATlsConnectionIsCut) {
  const Authority authority;
  cut_everywhere(97, authority.issue("IP:127.0.0.1"), authority.file(), false);
}

}  // namespace
}  // namespace neptune::server
