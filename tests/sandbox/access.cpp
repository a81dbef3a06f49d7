#include "tests/sandbox/access.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <boost/json.hpp>

namespace neptune::sandbox {

namespace json = boost::json;
using std::chrono::milliseconds;

namespace {

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

/// Empty when it is not base64.
std::string from_base64(std::string text) {
  while (text.size() % 4 != 0) text.push_back('=');
  std::string out(text.size() / 4 * 3 + 1, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return {};
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

std::string base64_url(std::string_view bytes) {
  auto out = base64(bytes);
  while (out.ends_with('=')) out.pop_back();
  for (auto& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::string from_base64_url(std::string_view text) {
  std::string plain(text);
  for (auto& c : plain) c = c == '-' ? '+' : c == '_' ? '/' : c;
  return from_base64(std::move(plain));
}

std::string hmac(const std::string& key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), digest, &size);
  return {reinterpret_cast<const char*>(digest), size};
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::string_view(" \t\r\n").find(text.front()) != std::string_view::npos)
    text.remove_prefix(1);
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  return text;
}

}  // namespace

Access::Access(std::string url, std::string api_key) : url_(std::move(url)), key_(std::move(api_key)) {}

std::string Access::new_key() {
  unsigned char bytes[18];
  RAND_bytes(bytes, sizeof bytes);
  return base64_url({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

std::string Access::api_token() const {
  return base64(json::serialize(json::object{{"api_address", url_}, {"api_url", url_}, {"api_key", key_}}));
}

bool Access::accepts_api_token(std::string_view token) const {
  if (reject_api_token) return false;
  json::error_code error;
  const auto content = json::parse(from_base64(std::string(trim(token))), error);
  if (error || !content.is_object()) return false;
  const auto* key = content.get_object().if_contains("api_key");
  return key != nullptr && key->is_string() && key->get_string() == key_;
}

std::string Access::sign(std::string_view type, milliseconds lifetime_of_it) const {
  const auto now = now_ms();
  const auto end = now + lifetime_of_it.count();
  const json::object payload{
      {"exp", end / 1000},    {"exp_ms", end}, {"iat", now / 1000},  {"iss", issuer()},
      {"azp", "neptune-cli"}, {"typ", type},   {"gen", generation_}, {"preferred_username", "sandbox-user"}};
  const auto head = base64_url(R"({"alg":"HS256","typ":"JWT"})") + "." + base64_url(json::serialize(payload));
  return head + "." + base64_url(hmac(key_, head));
}

Access::Verdict Access::judge(std::string_view token, std::string_view type) const {
  const auto dot = token.rfind('.');
  if (dot == std::string_view::npos || base64_url(hmac(key_, token.substr(0, dot))) != token.substr(dot + 1))
    return Verdict::invalid;
  const auto head = token.substr(0, dot);
  const auto payload = json::parse(from_base64_url(head.substr(head.find('.') + 1))).as_object();
  if (payload.at("typ").as_string() != json::string_view(type.data(), type.size())) return Verdict::invalid;
  if (payload.at("exp_ms").to_number<std::int64_t>() <= now_ms()) return Verdict::expired;
  // Refresh tokens outlive the access tokens given out with them.
  const bool current = type != "Bearer" || payload.at("gen").to_number<std::uint64_t>() == generation_;
  return current ? Verdict::good : Verdict::expired;
}

Access::Tokens Access::issue() const {
  return {sign("Bearer", lifetime), sign("Refresh", std::chrono::hours(24 * 30))};
}

bool Access::accepts_refresh_token(const std::string& token) const {
  return !refuse_refresh && judge(token, "Refresh") == Verdict::good;
}

std::optional<Response> Access::refuse(const Request& request) const {
  std::string_view header = request.header("authorization");
  auto verdict = Verdict::invalid;
  if (header.starts_with("Bearer ")) verdict = judge(header.substr(7), "Bearer");
  if (verdict == Verdict::good) return std::nullopt;
  if (refuse_without_body) return Response{401, {}, {}, {}};
  return verdict == Verdict::expired
             ? error_response(401, "AUTHORIZATION_TOKEN_EXPIRED", "the access token has expired; refresh it")
             : error_response(401, "AUTHORIZATION_TOKEN_INVALID", "the call carries no access token of this server");
}

}  // namespace neptune::sandbox
