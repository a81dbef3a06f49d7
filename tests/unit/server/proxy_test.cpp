#include "server/impl/proxy.h"

#include <gtest/gtest.h>

#include <map>

namespace neptune::server {
namespace {

ProxyRules::Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto it = variables.find(name);
    if (it == variables.end()) return std::nullopt;
    return it->second;
  };
}

std::string chosen(const ProxyRules& rules, std::string_view url) {
  const auto* proxy = rules.choose(*Url::parse(url));
  return proxy ? proxy->url.display() : "direct";
}

TEST(Proxy, ComesFromTheEnvironmentByScheme) {
  const auto rules = ProxyRules::make("", environment({{"HTTPS_PROXY", "http://one:1"}, {"http_proxy", "two:2"}}));
  ASSERT_TRUE(rules);
  EXPECT_EQ(chosen(*rules, "https://a.example"), "http://one:1");
  EXPECT_EQ(chosen(*rules, "http://a.example"), "http://two:2");
}

TEST(Proxy, LowerCaseNamesGoFirstEvenWhenEmpty) {
  const auto rules = ProxyRules::make("", environment({{"HTTPS_PROXY", "http://one:1"}, {"https_proxy", ""}}));
  EXPECT_EQ(chosen(*rules, "https://a.example"), "direct");
}

TEST(Proxy, OfTheConfigurationGoesBeforeTheEnvironmentAndItsExceptions) {
  const auto rules =
      ProxyRules::make("http://three:3", environment({{"HTTPS_PROXY", "http://one:1"}, {"NO_PROXY", "*"}}));
  EXPECT_EQ(chosen(*rules, "https://a.example"), "http://three:3");
  EXPECT_EQ(chosen(*rules, "http://a.example"), "http://three:3");
}

TEST(Proxy, IsNotUsedForHostsThatNoProxyNames) {
  const auto rules = ProxyRules::make(
      "",
      environment({{"HTTPS_PROXY", "one:1"}, {"NO_PROXY", "local, .inner.example,a.example:8443, [::1],10.0.0.1"}}));
  for (const auto* direct : {"https://local", "https://LOCAL:99", "https://x.local", "https://inner.example",
                             "https://b.inner.example", "https://a.example:8443", "https://[::1]", "https://10.0.0.1"})
    EXPECT_EQ(chosen(*rules, direct), "direct") << direct;
  for (const auto* proxied : {"https://notlocal", "https://a.example", "https://xinner.example", "https://10.0.0.11"})
    EXPECT_EQ(chosen(*rules, proxied), "http://one:1") << proxied;
}

TEST(Proxy, TakesItsCredentialsOutOfTheUrl) {
  const auto rules = ProxyRules::make("http://user:p%40ss@proxy:3128", environment({}));
  ASSERT_TRUE(rules);
  const auto* proxy = rules->choose(*Url::parse("https://a.example"));
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->authorization, "Basic dXNlcjpwQHNz");
  EXPECT_EQ(proxy->url.display(), "http://proxy:3128");
}

TEST(Proxy, ThatCannotBeUsedIsAnErrorWithoutItsCredentials) {
  for (const auto* wrong : {"socks5://secret@proxy:1", "https://secret@proxy:1", "http://secret@:1", "http://pro xy"}) {
    const auto rules = ProxyRules::make("", environment({{"https_proxy", wrong}}));
    ASSERT_FALSE(rules) << wrong;
    EXPECT_NE(rules.error().message.find("https_proxy"), std::string::npos);
    EXPECT_EQ(rules.error().message.find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace neptune::server
