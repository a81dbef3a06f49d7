#include "server/impl/classify.h"
#include "server/impl/json_call.h"

#include <gtest/gtest.h>

namespace neptune::server {
namespace {

using Kind = Failure::Kind;

struct Row {
  int status;
  const char* body;
  Intent intent;
  Kind kind;
  const char* code;
  bool project = false;
};

Failure classified(int status, std::string body, Intent intent = Intent::write, std::vector<Header> headers = {}) {
  return classify(Response{status, std::move(headers), std::move(body)}, intent, from_unix_ms(784111777000));
}

TEST(Classify, KnowsWhatEachAnswerMeans) {
  constexpr auto read = Intent::read, write = Intent::write;
  const Row rows[] = {
      // read-only mode, by any of its names and statuses
      {402, R"({"errorType":"WORKSPACE_IN_READ_ONLY_MODE"})", write, Kind::read_only, "WORKSPACE_IN_READ_ONLY_MODE"},
      {403, R"({"errorType":"WORKSPACE_IN_READ_ONLY_MODE"})", write, Kind::read_only, "WORKSPACE_IN_READ_ONLY_MODE"},
      {422, R"({"errorType":"WORKSPACE_IN_READ_ONLY_MODE"})", write, Kind::read_only, "WORKSPACE_IN_READ_ONLY_MODE"},
      {422, R"({"type":"WORKSPACE_READONLY","code":422})", write, Kind::read_only, "WORKSPACE_READONLY"},
      {403, R"({"errorType":"INGEST_SUSPENDED"})", write, Kind::read_only, "INGEST_SUSPENDED"},
      {409, R"({"errorType":"INGEST_SUSPENDED"})", read, Kind::read_only, "INGEST_SUSPENDED"},
      {403, R"({"errorType":"PROJECT_LIMITS_EXCEEDED"})", write, Kind::read_only, "PROJECT_LIMITS_EXCEEDED", true},
      {422, R"({"errorType":"WRITE_ACCESS_DENIED_TO_ARCHIVED_PROJECT"})", write, Kind::read_only,
       "WRITE_ACCESS_DENIED_TO_ARCHIVED_PROJECT", true},
      {402, "", write, Kind::read_only, "http_402"},
      {402, "<html>", write, Kind::read_only, "http_402"},
      // what looks like it
      {402, "", read, Kind::rejected, "http_402"},
      {402, R"({"errorType":"SOMETHING_NEW"})", write, Kind::ambiguous_limit, "SOMETHING_NEW"},
      {422, "", write, Kind::ambiguous_limit, "http_422"},
      {422, R"({"message":"no"})", write, Kind::ambiguous_limit, "http_422"},
      {422, "", read, Kind::rejected, "http_422"},
      {422, R"({"errorType":"CONFLICT"})", write, Kind::rejected, "CONFLICT"},
      {403, "", write, Kind::forbidden, "http_403"},
      {403, R"({"errorType":"ACCESS_DENIED"})", write, Kind::forbidden, "ACCESS_DENIED"},
      {402, R"({"errorType":"ATTRIBUTES_PER_EXPERIMENT_LIMIT_EXCEEDED"})", write, Kind::rejected,
       "ATTRIBUTES_PER_EXPERIMENT_LIMIT_EXCEEDED"},
      {403, R"({"type":"LIMIT_OF_PROJECTS_REACHED"})", write, Kind::rejected, "LIMIT_OF_PROJECTS_REACHED"},
      {402, R"({"type":"LIMIT_OF_ACTIVE_PROJECTS_REACHED"})", write, Kind::rejected,
       "LIMIT_OF_ACTIVE_PROJECTS_REACHED"},
      {422, R"({"type":"LIMIT_OF_MEMBERS_IN_ORGANIZATION_REACHED"})", write, Kind::rejected,
       "LIMIT_OF_MEMBERS_IN_ORGANIZATION_REACHED"},
      {422, R"({"errorType":"TOO_MANY_REQUESTS_PER_USER"})", write, Kind::busy, "TOO_MANY_REQUESTS_PER_USER"},
      {400, R"({"errorType":"TOO_MANY_OPERATIONS"})", write, Kind::rejected, "TOO_MANY_OPERATIONS"},
      // the server as a whole
      {408, "", write, Kind::busy, "http_408"},
      {429, "", write, Kind::busy, "http_429"},
      {429, R"({"errorType":"INGEST_SUSPENDED"})", write, Kind::busy, "INGEST_SUSPENDED"},
      {502, "", write, Kind::busy, "http_502"},
      {503, R"({"errorType":"SERVICE_UNAVAILABLE"})", write, Kind::busy, "SERVICE_UNAVAILABLE"},
      {504, "", write, Kind::busy, "http_504"},
      // this request
      {401, "", write, Kind::token_rejected, "http_401"},
      {401, R"({"errorType":"AUTHORIZATION_TOKEN_EXPIRED"})", write, Kind::token_rejected,
       "AUTHORIZATION_TOKEN_EXPIRED"},
      {413, "", write, Kind::too_large, "http_413"},
      {400, R"({"errorType":"BAD_REQUEST"})", write, Kind::rejected, "BAD_REQUEST"},
      {404, "", write, Kind::rejected, "http_404"},
      {405, "", read, Kind::rejected, "http_405"},
      {500, "", write, Kind::server_error, "http_500"},
      {501, "", write, Kind::server_error, "http_501"},
      {302, "", write, Kind::server_error, "http_302"},
  };
  for (const auto& row : rows) {
    const auto failure = classified(row.status, row.body, row.intent);
    EXPECT_EQ(failure.kind, row.kind) << row.status << " " << row.body;
    EXPECT_EQ(failure.code, row.code) << row.status << " " << row.body;
    EXPECT_EQ(failure.scope_is_project, row.project) << row.status << " " << row.body;
    EXPECT_NE(failure.message.find(std::to_string(row.status)), std::string::npos);
  }
}

TEST(Classify, QuotesTheTitleElseTheMessage) {
  EXPECT_NE(classified(403, R"({"errorType":"INGEST_SUSPENDED","title":"Storage is full","message":"other"})")
                .message.find(": Storage is full"),
            std::string::npos);
  EXPECT_NE(classified(403, R"({"message":"Ask\nJackie"})").message.find(": Ask Jackie"), std::string::npos);
  EXPECT_NE(classified(500, "broken pipe\nat line 1", Intent::write, {{"Content-Type", "text/plain"}})
                .message.find(": broken pipe"),
            std::string::npos);
}

TEST(Classify, KeepsTheServersWordsApartFromOurs) {
  EXPECT_EQ(classified(402, R"({"title":"Storage is full"})").words, "Storage is full");
  EXPECT_EQ(classified(402, "").words, "");
}

TEST(Classify, SaysOfABareNotFoundWhoAnswered) {
  const auto bare = classified(404, "<html>404 Not Found</html>");
  EXPECT_EQ(bare.message,
            "something before the server answered this, and not its API: it may be restarting (HTTP 404)");
  const auto typed = classified(404, R"({"code":404,"errorType":"PROJECT_NOT_FOUND","message":"no project"})");
  EXPECT_EQ(typed.message, "the server refused this (HTTP 404 PROJECT_NOT_FOUND): no project");
  EXPECT_EQ(classified(404, R"({"code":404,"message":"no project"})").message,
            "the server, or something before it, does not know this (HTTP 404): no project");
  EXPECT_TRUE(is_missing(typed));
  EXPECT_FALSE(is_missing(bare));
  EXPECT_FALSE(is_missing(classified(404, R"({"type":"NotFound"})")));
  EXPECT_FALSE(is_missing(classified(400, R"({"errorType":"PROJECT_NOT_FOUND"})")));
}

TEST(Classify, TakesNoMoreOfAForeignTextThanASentence) {
  const auto failure = classified(400, R"({"message":")" + std::string(5000, 'x') + R"("})");
  EXPECT_LT(failure.message.size(), 700u);
  EXPECT_EQ(classified(400, R"({"errorType":"no such: type\n"})").code, "http_400");
}

TEST(Classify, ReadsRetryAfter) {
  using namespace std::chrono_literals;
  EXPECT_EQ(classified(429, "", Intent::write, {{"Retry-After", "7"}}).retry_after, 7s);
  EXPECT_EQ(classified(503, "", Intent::write, {{"retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"}}).retry_after, 10s);
  EXPECT_EQ(classified(503, "", Intent::write, {{"retry-after", "later"}}).retry_after, std::nullopt);
}

}  // namespace
}  // namespace neptune::server
