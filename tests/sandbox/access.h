#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/sandbox/http.h"

namespace neptune::sandbox {

/// The API token and the tokens exchanged for it. Access tokens are JWTs signed with the key in the API token, so they
/// stay good when the sandbox starts again from its state file.
class Access {
 public:
  struct Tokens {
    std::string access, refresh;
  };

  /// `api_key` is the secret of the API token.
  Access(std::string url, std::string api_key);

  // Set by the control call.
  bool reject_api_token = false;
  bool refuse_refresh = false;
  bool refuse_without_body = false;  ///< 401 answers have no body
  std::chrono::milliseconds lifetime = std::chrono::hours(1);

  /// Every access token given out so far is refused from now on.
  void expire_access_tokens() { ++generation_; }

  const std::string& url() const { return url_; }
  std::string issuer() const { return url_ + "/auth/realms/neptune"; }
  std::string token_endpoint() const { return issuer() + "/protocol/openid-connect/token"; }
  /// The API token as users get it.
  std::string api_token() const;

  bool accepts_api_token(std::string_view token) const;
  Tokens issue() const;
  bool accepts_refresh_token(const std::string& token) const;

  /// The 401 of a call without a good access token; none when its token is good.
  std::optional<Response> refuse(const Request& request) const;

  static std::string new_key();

 private:
  enum class Verdict : std::uint8_t { good, expired, invalid };
  std::string sign(std::string_view type, std::chrono::milliseconds lifetime_of_it) const;
  Verdict judge(std::string_view token, std::string_view type) const;

  std::string url_, key_;
  std::uint64_t generation_ = 1;
};

}  // namespace neptune::sandbox
