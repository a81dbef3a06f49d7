#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "server/impl/api_token.h"
#include "server/impl/jwt.h"
#include "server/impl/retry_after.h"
#include "server/impl/text.h"
#include "support/base64.h"
#include "tests/unit/server/fixture.h"

namespace neptune::server {
namespace {

using namespace std::chrono_literals;

TEST(ApiToken, NamesItsServerByApiUrlElseByApiAddress) {
  auto token =
      ApiToken::parse(" \n" + encode_base64(R"({"api_address":"https://a.example","api_url":"https://b.example/x/",
                                                       "api_key":"k"})") +
                      "\t\n");
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->base.display(), "https://b.example/x");
  EXPECT_EQ(token->text.find_first_of(" \n\t"), std::string::npos);
  token = ApiToken::parse(encode_base64(R"({"api_address":"http://[::1]:8080","api_key":"k"})"));
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->base.host, "::1");
  EXPECT_EQ(token->base.display(), "http://[::1]:8080");
}

TEST(ApiToken, ShowsNoCredentialsOfItsServersAddress) {
  const auto token = ApiToken::parse(encode_base64(R"({"api_url":"https://user:pass@b.example","api_key":"k"})"));
  ASSERT_TRUE(token);
  EXPECT_EQ(token->base.display(), "https://b.example");
}

TEST(ApiToken, RefusesWhatIsNoTokenWithoutRepeatingIt) {
  const std::vector<std::string> wrong{"",
                                       "secret!",
                                       "c2VjcmV0",
                                       encode_base64("[\"secret\"]"),
                                       encode_base64(R"({"api_key":"secret"})"),
                                       encode_base64(R"({"api_url":"https://a.example"})"),
                                       encode_base64(R"({"api_url":7,"api_key":"secret"})"),
                                       encode_base64(R"({"api_url":"ftp://secret","api_key":"secret"})"),
                                       encode_base64(R"({"api_url":"https://secret:99999","api_key":"secret"})"),
                                       encode_base64(R"({"api_url":"https://","api_key":"secret"})"),
                                       encode_base64(R"({"api_url":"https://a.example/?secret","api_key":"secret"})"),
                                       std::string(100'000, 'A')};
  for (const auto& text : wrong) {
    const auto token = ApiToken::parse(text);
    ASSERT_FALSE(token) << text;
    EXPECT_EQ(token.error().code, "invalid_api_token");
    EXPECT_EQ(token.error().message.find("secret"), std::string::npos) << token.error().message;
    EXPECT_NE(token.error().message.find("copy the token"), std::string::npos);
  }
}

RC_GTEST_PROP(ApiToken, NeverFallsOverWhateverItIsGiven, (const std::string& text)) {
  const auto plain = ApiToken::parse(text), encoded = ApiToken::parse(encode_base64(text));
  RC_ASSERT(plain.has_value() == (ApiToken::parse(" " + text + " ").has_value()));
  RC_ASSERT(encoded || !encoded.error().message.empty());
}

RC_GTEST_PROP(Base64, GivesBackWhatItWasGiven, (const std::string& bytes)) {
  RC_ASSERT(decode_base64(encode_base64(bytes), Base64::standard) == bytes);
}

TEST(Base64, WantsItsPaddingAndItsAlphabet) {
  EXPECT_EQ(decode_base64("YQ==", Base64::standard), "a");
  for (const auto* wrong : {"YQ", "YQ=", "Y", "Y===", "====", "YQ==YQ==", "Y-==", "Y Q="})
    EXPECT_EQ(decode_base64(wrong, Base64::standard), std::nullopt) << wrong;
  EXPECT_EQ(decode_base64("_-8", Base64::url), "\xff\xef");
  EXPECT_EQ(decode_base64("/+8", Base64::url), std::nullopt);
}

TEST(Jwt, TellsItsLifetimeByItselfWhereItSaysWhenItWasIssued) {
  const auto jwt = Jwt::parse(test::make_jwt(R"({"exp":2000,"iat":1700})"));
  ASSERT_TRUE(jwt);
  EXPECT_EQ(jwt->lifetime(123456), 300);
}

TEST(Jwt, TakesTheClocksWordElse) {
  const auto jwt = Jwt::parse(test::make_jwt(R"({"exp":2000.0})"));
  ASSERT_TRUE(jwt);
  EXPECT_EQ(jwt->lifetime(1900), 100);
  EXPECT_EQ(jwt->lifetime(2100), 0);
}

TEST(Jwt, IsNoneWithoutThreePartsOrAnExpiry) {
  for (const std::string& wrong :
       {std::string(), std::string("a.b"), std::string("a.b.c"), std::string("..."), test::make_jwt("{}"),
        test::make_jwt(R"({"exp":"soon"})"), test::make_jwt(R"({"exp":-1})"), test::make_jwt("[1]"),
        test::make_jwt(R"({"exp":1})") + ".d"})
    EXPECT_FALSE(Jwt::parse(wrong)) << wrong;
}

RC_GTEST_PROP(Jwt, NeverFallsOverWhateverItIsGiven, (const std::string& text, std::int64_t now)) {
  (void)Jwt::parse(text);
  if (const auto jwt = Jwt::parse(test::make_jwt(text))) RC_ASSERT(jwt->lifetime(now < 0 ? 0 : now) >= 0);
}

TEST(RetryAfter, IsSecondsOrADate) {
  const auto now = from_unix_ms(784111777000);  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(parse_retry_after("120", now), 120s);
  EXPECT_EQ(parse_retry_after(" 0 ", now), 0s);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), 60s);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), 0s);
}

TEST(RetryAfter, IsADayAtMost) {
  const auto now = from_unix_ms(784111777000);
  EXPECT_EQ(parse_retry_after("99999999999999999999", now), 24h);
  EXPECT_EQ(parse_retry_after("999999", now), 24h);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 2094 08:49:37 GMT", now), 24h);
}

TEST(RetryAfter, IsNoneWhenItIsNeither) {
  for (const auto* wrong :
       {"", "-1", "soon", "1.5", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 9999 08:49:37 GMT"})
    EXPECT_EQ(parse_retry_after(wrong, WallTime{}), std::nullopt) << wrong;
}

RC_GTEST_PROP(RetryAfter, IsBetweenNothingAndADayWhateverItIsGiven, (const std::string& text, std::uint64_t number)) {
  const auto now = from_unix_ms(784111777000);
  (void)parse_retry_after(text, now);
  const auto pause = parse_retry_after(std::to_string(number), now);
  RC_ASSERT(pause && *pause >= 0s && *pause <= 24h);
}

TEST(Text, CutsAForeignTextBetweenCharacters) {
  EXPECT_EQ(excerpt("a\nb\x7f", 10), "a b ");
  EXPECT_EQ(excerpt("aé", 2), "a");
  EXPECT_EQ(excerpt("aé", 3), "aé");
}

TEST(Text, EncodesEverythingButUnreservedCharacters) {
  EXPECT_EQ(percent_encode("ml-team/a b_c~.é"), "ml-team%2Fa%20b_c~.%C3%A9");
  EXPECT_EQ(percent_decode("a%2Fb"), "a/b");
  EXPECT_EQ(percent_decode("a%2"), std::nullopt);
}

}  // namespace
}  // namespace neptune::server
