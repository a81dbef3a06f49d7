// Who may call: the client's configuration, OpenID discovery, the token exchange and its refresh.
#include <boost/json.hpp>

#include "tests/sandbox/world.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

Response client_config(const Access& access) {
  const auto& url = access.url();
  return {200,
          json::serialize(json::object{{"apiUrl", url},
                                       {"applicationUrl", url},
                                       {"pyLibVersions", json::object()},
                                       {"security",
                                        {{"clientId", "neptune-cli"},
                                         {"openIdDiscovery", access.issuer() + "/.well-known/openid-configuration"}}}}),
          "application/json",
          {}};
}

Response discovery(const Access& access) {
  return {200,
          json::serialize(json::object{{"issuer", access.issuer()},
                                       {"token_endpoint", access.token_endpoint()},
                                       {"authorization_endpoint", access.issuer() + "/protocol/openid-connect/auth"}}),
          "application/json",
          {}};
}

Response exchange(const Access& access, const Request& request) {
  if (!access.accepts_api_token(request.header("x-neptune-api-token")))
    return error_response(401, "", "the API token is not valid");
  const auto tokens = access.issue();
  return {200,
          json::serialize(json::object{
              {"accessToken", tokens.access}, {"refreshToken", tokens.refresh}, {"username", "sandbox-user"}}),
          "application/json",
          {}};
}

Response refresh(const Access& access, const Request& request) {
  auto form = parse_form(request.body);
  if (form["grant_type"] != "refresh_token" || !access.accepts_refresh_token(form["refresh_token"]))
    return {400,
            R"({"error":"invalid_grant","error_description":"the refresh token is not valid"})",
            "application/json",
            {}};
  const auto tokens = access.issue();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(access.lifetime).count();
  return {200,
          json::serialize(json::object{{"access_token", tokens.access},
                                       {"refresh_token", tokens.refresh},
                                       {"token_type", "Bearer"},
                                       {"expires_in", seconds}}),
          "application/json",
          {}};
}

}  // namespace

void add_auth_api(World& world) {
  const auto open = [&](std::string method, std::string pattern, std::function<Response(const Request&)> handle,
                        std::string operation = {}, std::string parameters = {}, std::string answer = {}) {
    Route route;
    route.method = std::move(method);
    route.pattern = std::move(pattern);
    route.needs_token = false;
    route.handle = std::move(handle);
    route.operation = std::move(operation);
    route.parameters = std::move(parameters);
    route.answer = std::move(answer);
    world.router.add(std::move(route));
  };
  const auto& access = world.access;
  open(
      "GET", "/api/backend/v1/clients/config", [&access](const Request&) { return client_config(access); },
      "getClientConfig", "^X-Neptune-Api-Token alpha", "ClientConfig");
  open("GET", "/auth/realms/neptune/.well-known/openid-configuration",
       [&access](const Request&) { return discovery(access); });
  open(
      "GET", "/api/backend/v1/authorization/oauth-token",
      [&access](const Request& request) { return exchange(access, request); }, "exchangeApiToken",
      "^X-Neptune-Api-Token!", "NeptuneOauthToken");
  open("POST", "/auth/realms/neptune/protocol/openid-connect/token",
       [&access](const Request& request) { return refresh(access, request); });
}

}  // namespace neptune::sandbox
