#include "server/impl/jwt.h"

#include <algorithm>

#include "server/impl/json.h"
#include "support/base64.h"

namespace neptune::server {

namespace {

constexpr std::int64_t far_future = 1'000'000'000'000;  // keeps the arithmetic on seconds from overflowing

}  // namespace

std::optional<Jwt> Jwt::parse(std::string_view token) {
  const auto first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  const auto payload = decode_base64(token.substr(first + 1, second - first - 1), Base64::url);
  if (!payload) return std::nullopt;
  const auto object = parse_object(*payload);
  if (!object) return std::nullopt;
  const auto expires = integer_member(*object, "exp");
  if (!expires || *expires < 0) return std::nullopt;
  Jwt jwt{std::min(*expires, far_future), integer_member(*object, "iat")};
  if (jwt.issued && (*jwt.issued < 0 || *jwt.issued > jwt.expires)) jwt.issued.reset();
  return jwt;
}

std::int64_t Jwt::lifetime(std::int64_t now) const {
  return std::clamp<std::int64_t>(expires - issued.value_or(now), 0, far_future);
}

}  // namespace neptune::server
