#include "tests/unit/server/fixture.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "proto/ingest_pub.pb.h"
#include "support/base64.h"

namespace neptune::server::test {

namespace {

std::string base64_url(std::string_view bytes) {
  auto text = encode_base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (auto& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

struct Pieces {
  std::vector<std::string> all;
  std::size_t next = 0;
};

asio::awaitable<Result<std::string_view>> deliver(std::shared_ptr<Pieces> pieces) {
  if (pieces->next == pieces->all.size()) co_return std::string_view{};
  co_return std::string_view(pieces->all[pieces->next++]);
}

}  // namespace

std::string make_jwt(std::string_view payload) {
  return base64_url(R"({"alg":"none"})") + "." + base64_url(payload) + ".c2ln";
}

std::string FakeNeptune::next_token() {
  const auto now = to_unix_ms(clock.wall()) / 1000;
  valid = make_jwt(fmt::format(R"({{"exp":{},{}"jti":{}}})", now + lifetime.count(),
                               with_issued_at ? fmt::format("\"iat\":{},", now) : "", exchanges + refreshes));
  return valid;
}

std::string FakeNeptune::api_token() const {
  return encode_base64(fmt::format(R"({{"api_address":"{0}","api_url":"{0}","api_key":"secret-key"}})", base));
}

Reply FakeNeptune::operator()(const Received& request) {
  if (request.target.starts_with("/api/backend/v1/clients/config")) ++configs;
  if (request.target == "/openid") ++discoveries;
  if (request.target == "/api/backend/v1/authorization/oauth-token") ++exchanges;
  if (request.target == "/token") ++refreshes;
  if (meddle) {
    if (auto reply = meddle(request)) return *reply;
  }
  if (request.target.starts_with("/api/backend/v1/clients/config")) {
    return http_reply(
        200,
        fmt::format(R"({{"apiUrl":"{0}","security":{{"openIdDiscovery":"{0}/openid","clientId":"neptune-cli"}}}})",
                    base),
        {"Date: Fri, 02 Jan 2026 03:04:05 GMT"});
  }
  if (request.target == "/openid")
    return http_reply(200,
                      fmt::format(R"({{"token_endpoint":"{0}/token","authorization_endpoint":"{0}/auth"}})", base));
  if (request.target == "/api/backend/v1/authorization/oauth-token") {
    const auto given = request.headers.find("x-neptune-api-token");
    if (given == request.headers.end() || given->second != api_token()) return http_reply(401);
    return http_reply(200, fmt::format(R"({{"accessToken":"{}","refreshToken":"refresh-{}","username":"jackie"}})",
                                       next_token(), exchanges + refreshes));
  }
  if (request.target == "/token") {
    return http_reply(200, fmt::format(R"({{"access_token":"{}","refresh_token":"refresh-{}"}})", next_token(),
                                       exchanges + refreshes));
  }
  const auto bearer = request.headers.find("authorization");
  if (bearer == request.headers.end() || bearer->second != "Bearer " + valid) return http_reply(401);
  return call ? call(request) : http_reply(404);
}

WithNeptune::WithNeptune()
    : neptune(clock), peer(loop.get_executor(), [this](const Received& request) { return neptune(request); }) {
  neptune.base = peer.url();
  neptune.call = [](const Received&) { return http_reply(200, submitted("id-1")); };
}

std::unique_ptr<Server> WithNeptune::make_server(std::function<void(Options&)> change) {
  Options options;
  options.api_token = neptune.api_token();
  options.user_agent = "neptune-syncd/test";
  options.request_timeout = 5s;
  if (change) change(options);
  auto server = Server::make(loop.get_executor(), clock, std::move(options));
  if (!server) throw std::runtime_error(server.error().message);
  return std::move(*server);
}

int WithNeptune::calls_to(std::string_view path) const {
  int count = 0;
  for (const auto& request : peer.requests()) count += request.target.starts_with(path) ? 1 : 0;
  return count;
}

Body streamed(std::string head, std::vector<std::string> pieces, std::optional<std::uint64_t> promised) {
  std::uint64_t size = 0;
  for (const auto& piece : pieces) size += piece.size();
  auto shared = std::make_shared<Pieces>(Pieces{std::move(pieces), 0});
  return Body{std::move(head), promised.value_or(size), [shared] { return deliver(shared); }};
}

std::string submitted(std::string_view id) {
  ingest::v1::pub::SubmitResponse answer;
  answer.add_request_ids(std::string(id));
  return answer.SerializeAsString();
}

}  // namespace neptune::server::test
