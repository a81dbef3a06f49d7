#include "server/impl/api_token.h"

#include "server/impl/json.h"
#include "server/impl/text.h"
#include "support/base64.h"

namespace neptune::server {

namespace {

constexpr std::size_t longest = 64 * 1024;  // tokens are a few hundred bytes; larger is another file

std::unexpected<Error> bad(const std::string& what) {
  return fail("invalid_api_token", "the API token " + what + "; copy the token again from your Neptune profile");
}

}  // namespace

Result<ApiToken> ApiToken::parse(std::string_view text) {
  text = trim(text);
  if (text.empty()) return bad("is empty");
  if (text.size() > longest) return bad("is longer than any token");
  const auto decoded = decode_base64(text, Base64::standard);
  if (!decoded) return bad("is not base64");
  const auto object = parse_object(*decoded);
  if (!object) return bad("does not hold a JSON object");
  if (string_member(*object, "api_key").empty()) return bad("holds no api_key");
  auto address = string_member(*object, "api_url");
  if (address.empty()) address = string_member(*object, "api_address");
  if (address.empty()) return bad("names no server: it holds neither api_url nor api_address");
  auto base = Url::parse(trim(address));
  if (!base) return bad("names a server whose address cannot be used");
  if (base->target.find('?') != std::string::npos) return bad("names a server whose address has a query");
  base->user.clear();
  base->password.clear();
  return ApiToken{std::string(text), base->with("")};
}

}  // namespace neptune::server
