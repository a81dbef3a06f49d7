#include "server/impl/url.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

#include "server/impl/text.h"

namespace neptune::server {

namespace {

std::string bracketed(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

std::uint16_t default_port(bool tls) {
  return tls ? 443 : 80;
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  const auto bad = [](std::string what) {
    return fail("invalid_url", "it " + what + "; write it like https://neptune.example.com");
  };
  const auto parsed = boost::urls::parse_uri(boost::core::string_view(text.data(), text.size()));
  if (!parsed) return bad("is not a URL");
  const auto& view = *parsed;
  Url url;
  const auto scheme = lower(std::string_view(view.scheme().data(), view.scheme().size()));
  if (scheme != "http" && scheme != "https") return bad("begins with neither http:// nor https://");
  url.tls = scheme == "https";
  url.host = view.host_address();
  if (url.host.empty() || !is_header_value(url.host) || url.host.find_first_of(" /@\\") != std::string::npos)
    return bad("names no valid host");
  url.port = default_port(url.tls);
  if (view.has_port() && !view.port().empty()) {
    const auto digits = view.port();
    const auto* const end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, url.port);
    if (read.ec != std::errc() || read.ptr != end || url.port == 0) return bad("has an invalid port");
  }
  const auto target = view.encoded_target();
  url.target.assign(target.data(), target.size());
  if (!url.target.empty() && url.target.front() != '/') url.target.insert(url.target.begin(), '/');
  url.user = view.user();
  url.password = view.password();
  return url;
}

std::string Url::authority() const {
  return bracketed(host) + ":" + std::to_string(port);
}

std::string Url::host_header() const {
  return port == default_port(tls) ? bracketed(host) : authority();
}

std::string Url::origin() const {
  return (tls ? "https://" : "http://") + authority();
}

std::string Url::display() const {
  return (tls ? "https://" : "http://") + host_header() + target;
}

Url Url::with(std::string_view suffix) const {
  Url out = *this;
  while (out.target.ends_with('/')) out.target.pop_back();
  out.target += suffix;
  return out;
}

}  // namespace neptune::server
