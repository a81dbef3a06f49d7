#include "client/lib/json.h"

#include <gtest/gtest.h>

#include "client/lib/time.h"

namespace neptune::api {
namespace {

Status sample() {
  Status status;
  status.version = "1.2.3";
  status.pid = 42;
  status.state = "running";
  status.started_at = "2026-01-02T03:04:05.678Z";
  status.server = {"https://neptune.example", false, std::nullopt, "The server refused the connection."};
  status.totals.pending = 3;
  status.totals.oldest_pending_at = "2026-01-02T03:04:05.678Z";
  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "ml-team";
  workspace.mode = "read_only";
  workspace.reason = "storage is used up";
  workspace.projects.emplace_back().name = "classification";
  auto& source = status.sources.emplace_back();
  source.path = "/runs/a";
  source.kind = "run-log";
  source.state = "live";
  return status;
}

TEST(ApiJson, WritesKeysInAFixedOrderAndNullForWhatIsAbsent) {
  EXPECT_EQ(
      to_json(sample()),
      R"({"version":"1.2.3","pid":42,"state":"running","started_at":"2026-01-02T03:04:05.678Z",)"
      R"("reload_with":"`systemctl reload neptune-syncd`",)"
      R"("server":{"url":"https://neptune.example","reachable":false,"last_success_at":null,)"
      R"("last_error":"The server refused the connection.","token_remedy":null,"token_problem":null,"problem":null,"remedy":null,"known":true},)"
      R"("totals":{"pending":3,"held":0,"in_flight":0,"synced":0,"rejected":0,"rejected_kept":0,"discarded":0,"pending_bytes":0,"held_bytes":0,)"
      R"("oldest_pending_at":"2026-01-02T03:04:05.678Z"},"problems":[],"stuck":[],)"
      R"("workspaces":[{"name":"ml-team","mode":"read_only","reason":"storage is used up","since":null,)"
      R"("next_probe_at":null,"operator_hold":false,"held_by":null,"held_since":null,"inherited":false,"pending":0,"held":0,"in_flight":0,"synced":0,"rejected":0,"rejected_kept":0,"discarded":0,)"
      R"("pending_bytes":0,"held_bytes":0,"oldest_pending_at":null,)"
      R"("projects":[{"name":"classification","mode":"normal","reason":null,"since":null,)"
      R"("next_probe_at":null,"operator_hold":false,"held_by":null,"held_since":null,"inherited":false,"pending":0,"held":0,"in_flight":0,"synced":0,"rejected":0,"rejected_kept":0,"discarded":0,)"
      R"("pending_bytes":0,"held_bytes":0,"oldest_pending_at":null}]}],)"
      R"("sources":[{"path":"/runs/a","kind":"run-log","state":"live","detail":null,"project":null,"run":null,)"
      R"("pending":0,"uploads":0,"read_only":false}],"uploads":[],"moved":[]})");
}

TEST(ApiJson, WhatIsAbsentOfAChangeThatIsDoneIsNull) {
  EXPECT_EQ(
      to_json(ChangePlace{.id = 7, .state = "done", .done_through = 9}),
      R"({"id":7,"state":"done","done_through":9,"rejected":null,"why":null,"discarded_at":null,)"
      R"("discarded_by":null,"moved_at":null,"moved_to":null,"project":null,"container_type":null,)"
      R"("container":null,"source":null,"kind":null,"accepted_at":null,"uid":null,"ahead":0,"active_uploads":[],"made":null})");
  const auto place = from_json<ChangePlace>(R"({"id":7,"state":"waiting","why":"it waits","kind":null})");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->why, "it waits");
  EXPECT_EQ(place->kind, "");
  EXPECT_EQ(from_json<ChangePlace>(to_json(*place)).value().why, "it waits");
}

TEST(ApiJson, ReadsBackWhatItWrote) {
  const auto text = to_json(sample());
  const auto back = from_json<Status>(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), text);
}

TEST(ApiJson, KeepsNumbersThatOnlyFitSixtyFourBits) {
  Event event;
  event.id = 18446744073709551615u;
  event.count = 9007199254740993u;
  const auto back = from_json<Event>(to_json(event));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->id, event.id);
  EXPECT_EQ(back->count, event.count);
}

TEST(ApiJson, WritesFractionsPlainly) {
  ReleasePlan plan;
  plan.seconds = 12.5;
  EXPECT_NE(to_json(plan).find(R"("seconds":12.5,)"), std::string::npos);
  plan.seconds = std::numeric_limits<double>::infinity();
  EXPECT_NE(to_json(plan).find(R"("seconds":null,)"), std::string::npos);
}

TEST(ApiJson, EscapesTextAndReplacesWhatIsNotUtf8) {
  std::string out;
  append_json_string(out, "a\"b\\c\n\x1b\x7f caf\xc3\xa9 \xff\xc3 \xed\xa0\x80 \xf0\x9f\x9a\x80");
  EXPECT_EQ(out,
            "\"a\\\"b\\\\c\\n\\u001b\\u007f caf\xc3\xa9 \xEF\xBF\xBD\xEF\xBF\xBD "
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD \xf0\x9f\x9a\x80\"");
}

TEST(ApiJson, IgnoresKeysItDoesNotKnowAndKeepsDefaultsForMissingOnes) {
  const auto reply = from_json<ScopeReply>(R"({"name":"a","colour":{"of":["sky"]},"message":"done"})");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->name, "a");
  EXPECT_EQ(reply->mode, "normal");
  EXPECT_EQ(reply->message, "done");
}

TEST(ApiJson, NamesTheKeyWhoseValueIsOfTheWrongKind) {
  const auto bad = from_json<Status>(R"({"workspaces":[{"name":"a"},{"projects":[{"held":-1}]}]})");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, "invalid_json");
  EXPECT_NE(bad.error().message.find("'workspaces[1].projects[0].held'"), std::string::npos) << bad.error().message;
  EXPECT_FALSE(from_json<Status>("[]"));
  EXPECT_FALSE(from_json<Status>("{"));
  EXPECT_FALSE(from_json<Status>(R"({"pid":1.5})"));
}

TEST(ApiJson, AnErrorHasAFieldOnlyWhenOnePartIsAtFault) {
  EXPECT_EQ(to_json(ErrorReply{"not_found", "There is no such thing.", std::nullopt}),
            R"({"error":{"code":"not_found","message":"There is no such thing."}})");
  const auto back = from_json<ErrorReply>(to_json(ErrorReply{"invalid", "limit is a number.", "limit"}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->field, "limit");
}

TEST(ApiTime, ReadsTimesWithAndWithoutAFraction) {
  using namespace std::chrono;
  const auto ms = [](std::string_view text) {
    const auto time = parse_time(text);
    return time ? duration_cast<milliseconds>(time->time_since_epoch()).count() : -1;
  };
  EXPECT_EQ(ms("2026-01-02T03:04:05.678Z"), 1767323045678);
  EXPECT_EQ(ms("2026-01-02T03:04:05Z"), 1767323045000);
  EXPECT_EQ(ms("1970-01-01T00:00:00.001Z"), 1);
  for (const char* bad :
       {"", "yesterday", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05", "2026-02-30T03:04:05Z",
        "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.5", "2026-01-02T03:04:05Zx", "2026-01-02T+3:04:05Z"})
    EXPECT_EQ(ms(bad), -1) << bad;
}

}  // namespace
}  // namespace neptune::api
