#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

using testing::http;

class SignIn : public ::testing::Test {
 protected:
  testing::HttpAnswer get(const std::string& target, std::map<std::string, std::string> headers = {}) {
    return http(served_.sandbox().url(), {"GET", target, std::move(headers), {}});
  }
  testing::HttpAnswer exchange(const std::string& token) {
    return get("/api/backend/v1/authorization/oauth-token", {{"X-Neptune-Api-Token", token}});
  }
  boost::json::value tokens() { return testing::parse_json(exchange(served_.sandbox().token()).body); }
  unsigned call(const std::string& access) {
    return get("/api/backend/v1/payments/ml-team/status", {{"Authorization", "Bearer " + access}}).status;
  }
  /// Finds the token endpoint the way a client does.
  testing::HttpAnswer refresh(const std::string& token) {
    const auto config = testing::parse_json(get("/api/backend/v1/clients/config").body);
    const std::string discovery(config.at("security").at("openIdDiscovery").as_string());
    const auto base = served_.sandbox().url();
    const auto found = testing::parse_json(get(discovery.substr(base.size())).body);
    const std::string endpoint(found.at("token_endpoint").as_string());
    return http(base, {"POST",
                       endpoint.substr(base.size()),
                       {{"Content-Type", "application/x-www-form-urlencoded"}},
                       "grant_type=refresh_token&client_id=neptune-cli&refresh_token=" + token});
  }

  Served served_;
};

std::string field(const boost::json::value& object, const char* name) {
  return std::string(object.at(name).as_string());
}

TEST_F(SignIn, ExchangesTheApiTokenForAnAccessToken) {
  EXPECT_EQ(call(field(tokens(), "accessToken")), 200u);
  EXPECT_EQ(exchange("  " + served_.sandbox().token() + "  ").status, 200u);
  EXPECT_EQ(exchange("rubbish").status, 401u);
  EXPECT_EQ(exchange("").status, 401u);
}

TEST_F(SignIn, IsNeededForEveryOtherCall) {
  EXPECT_EQ(call(""), 401u);
  EXPECT_EQ(call("a.b.c"), 401u);
  EXPECT_EQ(call(field(tokens(), "refreshToken")), 401u);
  auto forged = field(tokens(), "accessToken");
  forged.back() = forged.back() == 'A' ? 'B' : 'A';
  forged[forged.size() - 2] = forged[forged.size() - 2] == 'A' ? 'B' : 'A';
  EXPECT_EQ(call(forged), 401u);
}

TEST_F(SignIn, RefreshesAnExpiredAccessToken) {
  const auto first = tokens();
  served_.control(R"({"expire_access_tokens": true})");
  EXPECT_EQ(call(field(first, "accessToken")), 401u);
  const auto second = testing::parse_json(refresh(field(first, "refreshToken")).body);
  EXPECT_EQ(call(field(second, "access_token")), 200u);
  EXPECT_EQ(refresh("rubbish").status, 400u);
  served_.control(R"({"refuse_refresh": true})");
  EXPECT_EQ(refresh(field(first, "refreshToken")).status, 400u);
}

TEST_F(SignIn, CanBeRefusedUntilReset) {
  served_.control(R"({"reject_api_token": true})");
  EXPECT_EQ(exchange(served_.sandbox().token()).status, 401u);
  served_.control(R"({"reset": true})");
  EXPECT_EQ(exchange(served_.sandbox().token()).status, 200u);
}

TEST_F(SignIn, GivesTokensTheLifetimeItIsTold) {
  served_.control(R"({"token_lifetime_s": 0})");
  EXPECT_EQ(call(field(tokens(), "accessToken")), 401u);
  served_.control(R"({"token_lifetime_s": 600})");
  EXPECT_EQ(call(field(tokens(), "accessToken")), 200u);
}

TEST_F(SignIn, TokenFileIsForItsOwnerAlone) {
  const auto file = served_.sandbox().token_file();
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
}

TEST_F(SignIn, TellsAProjectsIdentity) {
  served_.ingest(create("run"));
  const auto found =
      testing::parse_json(served_.get("/api/backend/v1/projects/get?projectIdentifier=ml-team%2Fclassification").body);
  EXPECT_EQ(found.at("name").as_string(), "classification");
  EXPECT_EQ(found.at("id").as_string().size(), 36u);
  EXPECT_EQ(served_.get("/api/backend/v1/projects/get?projectIdentifier=ml-team%2Fnone").status, 404u);
}

}  // namespace
}  // namespace neptune::sandbox
