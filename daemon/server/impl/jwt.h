#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace neptune::server {

/// What an access token says about itself. Nobody verifies the signature here: that is the server's business.
struct Jwt {
  std::int64_t expires = 0;            ///< Unix seconds
  std::optional<std::int64_t> issued;  ///< Unix seconds

  /// None when `token` is no JWT with an `exp` (docs/protocol.md, "Credentials and tokens").
  static std::optional<Jwt> parse(std::string_view token);

  /// Seconds it is valid for from the moment it was issued. Taken from the token alone where it says when that was, so
  /// that a wrong local clock does no harm.
  std::int64_t lifetime(std::int64_t now) const;
};

}  // namespace neptune::server
