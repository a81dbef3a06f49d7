#include "server/impl/proxy.h"

#include <cstdlib>

#include "server/impl/text.h"
#include "support/base64.h"

namespace neptune::server {

namespace {

Result<std::optional<Proxy>> parse_proxy(std::string_view text, const std::string& origin) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  std::string with_scheme(text);
  if (text.find("://") == std::string_view::npos) with_scheme.insert(0, "http://");
  auto url = Url::parse(with_scheme);
  if (!url || url->tls)
    return fail("invalid_proxy", "the proxy in " + origin +
                                     " cannot be used; write it like http://proxy.example.com:3128 "
                                     "(a proxy spoken to in TLS or SOCKS is not supported)");
  Proxy proxy{*url, {}};
  if (!url->user.empty() || !url->password.empty())
    proxy.authorization = "Basic " + encode_base64(url->user + ":" + url->password);
  proxy.url.user.clear();
  proxy.url.password.clear();
  proxy.url.target.clear();
  return proxy;
}

std::pair<std::string, std::string> variable(const ProxyRules::Environment& environment, std::string_view name) {
  const auto small = lower(name);
  if (auto value = environment(small.c_str())) return {std::move(*value), small};
  const std::string large(name);
  return {environment(large.c_str()).value_or(""), large};
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (const auto item = trim(text.substr(0, comma)); !item.empty()) out.push_back(lower(item));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

// "host:8080" or "[::1]:8080" into host and port; a bare IPv6 address is all host.
std::pair<std::string_view, std::string_view> split_port(std::string_view rule) {
  if (rule.starts_with('[')) {
    const auto close = rule.find(']');
    if (close == std::string_view::npos) return {rule, {}};
    const auto rest = rule.substr(close + 1);
    return {rule.substr(1, close - 1), rest.starts_with(':') ? rest.substr(1) : std::string_view{}};
  }
  const auto colon = rule.find(':');
  if (colon == std::string_view::npos || rule.find(':', colon + 1) != std::string_view::npos) return {rule, {}};
  return {rule.substr(0, colon), rule.substr(colon + 1)};
}

}  // namespace

Result<ProxyRules> ProxyRules::make(std::string_view configured, const Environment& environment) {
  ProxyRules rules;
  if (!trim(configured).empty()) {
    auto proxy = parse_proxy(configured, "the configuration (server.proxy)");
    if (!proxy) return std::unexpected(proxy.error());
    rules.for_https_ = rules.for_http_ = *proxy;
    return rules;
  }
  const auto [https, https_name] = variable(environment, "HTTPS_PROXY");
  const auto [http, http_name] = variable(environment, "HTTP_PROXY");
  auto for_https = parse_proxy(https, "the environment variable " + https_name);
  if (!for_https) return std::unexpected(for_https.error());
  auto for_http = parse_proxy(http, "the environment variable " + http_name);
  if (!for_http) return std::unexpected(for_http.error());
  rules.for_https_ = std::move(*for_https);
  rules.for_http_ = std::move(*for_http);
  rules.exceptions_ = split_list(variable(environment, "NO_PROXY").first);
  return rules;
}

ProxyRules::Environment ProxyRules::process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (!value) return std::nullopt;
    return value;
  };
}

const Proxy* ProxyRules::choose(const Url& url) const {
  const auto& proxy = url.tls ? for_https_ : for_http_;
  return proxy && !is_excepted(url) ? &*proxy : nullptr;
}

bool ProxyRules::is_excepted(const Url& url) const {
  const auto host = lower(url.host);
  for (const auto& rule : exceptions_) {
    if (rule == "*") return true;
    auto [name, port] = split_port(rule);
    if (!port.empty() && port != std::to_string(url.port)) continue;
    while (name.starts_with('.') || name.starts_with('*')) name.remove_prefix(1);
    if (name.empty()) continue;
    if (host == name || (host.ends_with(name) && host[host.size() - name.size() - 1] == '.')) return true;
  }
  return false;
}

}  // namespace neptune::server
