#include "local_api/impl/routes.h"

#include <gtest/gtest.h>

#include "client/lib/json.h"

namespace neptune::local_api {
namespace {

api::ErrorReply error_of(const Answer& answer) {
  return api::from_json<api::ErrorReply>(answer.body).value();
}

TEST(Routes, FindsARouteAndDecodesItsArguments) {
  const auto found = find_route("POST", "/v1/scopes/ml-team%2Fclassification/hold");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->route->pattern, "/v1/scopes/{}/hold");
  EXPECT_EQ(found->call.args, std::vector<std::string>{"ml-team/classification"});
}

TEST(Routes, DecodesAfterSplittingSoThatAnEncodedSlashStaysInItsSegment) {
  EXPECT_FALSE(find_route("POST", "/v1/scopes/ml-team/classification/hold"));
  EXPECT_FALSE(find_route("GET", "/v1/workspaces/"));
}

TEST(Routes, HeadFindsTheRoutesOfGet) {
  const auto found = find_route("HEAD", "/v1/status");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->route->method, "GET");
}

TEST(Routes, TakesATargetWithAnAuthority) {
  EXPECT_TRUE(find_route("GET", "http://localhost/v1/status"));
}

TEST(Routes, ReadsTheQuery) {
  const auto found = find_route("GET", "/v1/streams?project=ml-team%2Fx&run=a%26b+c");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->call.query.at("project"), "ml-team/x");
  EXPECT_EQ(found->call.query.at("run"), "a&b+c");
}

TEST(Routes, AnUnknownPathIsAnsweredWithTheKnownOnes) {
  const auto found = find_route("GET", "/v2/status");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().status, 404u);
  EXPECT_NE(error_of(found.error()).message.find("/v1/status"), std::string::npos);
}

TEST(Routes, AWrongMethodIsAnsweredWithTheRightOnes) {
  const auto found = find_route("DELETE", "/v1/status");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().status, 405u);
  ASSERT_EQ(found.error().headers.size(), 1u);
  EXPECT_EQ(found.error().headers[0].first, "Allow");
  EXPECT_EQ(found.error().headers[0].second, "GET, HEAD");
}

TEST(Routes, AnUnknownParameterIsNamedRatherThanIgnored) {
  const auto found = find_route("GET", "/v1/streams?porject=x");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().status, 400u);
  EXPECT_EQ(error_of(found.error()).field, "porject");
  EXPECT_NE(error_of(found.error()).message.find("project, run"), std::string::npos);
}

TEST(Routes, RefusesAParameterThatIsGivenTwice) {
  for (const auto* query : {"project=a%2Fb&project=c%2Fd", "project=a%2Fb&%70roject=a%2Fb"}) {
    const auto found = find_route("POST", std::string("/v1/changes?") + query);
    ASSERT_FALSE(found) << query;
    EXPECT_EQ(found.error().status, 400u);
    EXPECT_EQ(error_of(found.error()).code, "invalid_query");
    EXPECT_EQ(error_of(found.error()).field, "project");
  }
}

TEST(Routes, RefusesABrokenPercentEncoding) {
  for (const char* bad : {"%", "%2", "%zz", "a%2", "%-1"}) EXPECT_FALSE(percent_decode(bad)) << bad;
  EXPECT_EQ(percent_decode("a%2Fb%20c").value(), "a/b c");
  EXPECT_EQ(find_route("POST", "/v1/scopes/%zz/hold").error().status, 400u);
  EXPECT_EQ(find_route("GET", "/v1/streams?run=%zz").error().status, 400u);
}

TEST(Routes, RefusesNamesThatAreNotUtf8) {
  for (const char* bad : {"/v1/scopes/a%ff/hold", "/v1/scopes/caf\xe9/hold", "/v1/scopes/a/discard?run=%e9"}) {
    const auto found = find_route("POST", bad);
    ASSERT_FALSE(found) << bad;
    EXPECT_EQ(found.error().status, 400u);
    EXPECT_NE(error_of(found.error()).message.find("UTF-8"), std::string::npos);
  }
  EXPECT_EQ(find_route("GET", "/v1/streams?run=a%c3%a9")->call.query.at("run"), "aé");
  EXPECT_EQ(find_route("POST", "/v1/tidy?below=/caf%e9")->call.query.at("below"), "/caf\xe9") << "a path may be";
}

TEST(Routes, NumbersMustBeWholeAndWithinTheirBounds) {
  for (const char* bad : {"", "x", "-1", "1.5", "0", "11", "99999999999999999999"}) {
    Call call;
    call.query["limit"] = bad;
    const auto value = number(call, "limit", 5, 1, 10);
    ASSERT_FALSE(value) << bad;
    EXPECT_EQ(error_of(value.error()).field, "limit");
  }
  EXPECT_EQ(number(Call{}, "limit", 5, 1, 10).value(), 5u);
}

TEST(Routes, AnErrorOfTheEngineGetsTheStatusOfItsCode) {
  const auto status = [](std::string code, bool retryable) {
    return error_answer(Error{std::move(code), "A sentence.", retryable}).status;
  };
  EXPECT_EQ(status("not_found", false), 404u);
  EXPECT_EQ(status("unknown_scope", false), 404u);
  EXPECT_EQ(status("rejected_not_found", false), 404u);
  EXPECT_EQ(status("invalid_scope", false), 400u);
  EXPECT_EQ(status("already_held", false), 409u);
  EXPECT_EQ(status("draining", false), 503u);
  EXPECT_EQ(status("held_writes", false), 409u);
  for (const char* full : {"queue_full", "disk_full", "low_disk"}) EXPECT_EQ(status(full, true), 507u) << full;
  EXPECT_EQ(status("sqlite_busy", true), 503u);
  EXPECT_EQ(status("sqlite_corrupt", false), 500u);
}

}  // namespace
}  // namespace neptune::local_api
