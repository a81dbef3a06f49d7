#pragma once

#include <string>
#include <string_view>

#include "server/impl/url.h"
#include "support/error.h"

namespace neptune::server {

/// An API token: base64 of JSON that names the server and holds the key (docs/protocol.md, "Credentials and tokens").
struct ApiToken {
  std::string text;  ///< as it is sent, without the white space around it; never logged or shown
  Url base;          ///< of every call; without credentials

  /// The messages never repeat any of `text`.
  static Result<ApiToken> parse(std::string_view text);
};

}  // namespace neptune::server
