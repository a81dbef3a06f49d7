#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/impl/url.h"
#include "support/error.h"

namespace neptune::server {

struct Proxy {
  Url url;                    ///< of the proxy itself; without credentials
  std::string authorization;  ///< value of Proxy-Authorization; empty when the URL had no credentials
};

/// Which proxy a request goes through.
///
/// One set in the configuration takes every request. Else the environment decides: HTTPS_PROXY or HTTP_PROXY by the
/// URL's scheme, unless NO_PROXY names the host: "*", a host name (with what is below it), ".suffix", an address, each
/// with an optional ":port". Lower case names go before upper case ones. Networks (10.0.0.0/8) are not understood.
class ProxyRules {
 public:
  using Environment = std::function<std::optional<std::string>(const char* name)>;

  /// Fails with a sentence when a proxy's URL cannot be used.
  static Result<ProxyRules> make(std::string_view configured, const Environment& environment);
  static Environment process_environment();

  /// None: connect directly.
  const Proxy* choose(const Url& url) const;

 private:
  bool is_excepted(const Url& url) const;

  std::optional<Proxy> for_https_;
  std::optional<Proxy> for_http_;
  std::vector<std::string> exceptions_;
};

}  // namespace neptune::server
