#include <gmock/gmock.h>

#include "server/impl/json.h"
#include "server/impl/text.h"
#include "tests/unit/server/answers.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string search = "POST /api/leaderboard/v1/leaderboard/entries/search" + which + "&type=run";

/// A project's runs behind the search and the bulk calls: what they were asked, and what they refuse.
class Runs : public WithNeptune {
 protected:
  Runs() {
    neptune.call = [this](const Received& request) { return answer(request); };
    server = make_server();
  }

  Reply answer(const Received& request) {
    if (request.method + " " + request.target == search) return found_by(request.body);
    bulk_calls.push_back(request);
    return bulk_reply;
  }

  Reply found_by(const std::string& body) {
    searches.push_back(body);
    const bool trashed = body.find("`sys/trashed`:bool = true") != std::string::npos;
    std::string entries;
    for (const auto& [custom_id, short_id] : trashed ? in_trash : in_use) {
      entries += entries.empty() ? "" : ",";
      entries += R"({"experimentId":"uuid-)" + short_id +
                 R"(","attributes":[{"name":"sys/id","type":"string","stringProperties":{"value":")" + short_id +
                 R"("}},{"name":"sys/custom_run_id","type":"string","stringProperties":{"value":")" + custom_id +
                 R"("}}]})";
    }
    return http_reply(200, R"({"entries":[)" + entries + R"(],"matchingItemCount":1})");
  }

  Answer<ManageReply> change(RunsAct act, std::vector<std::string> runs, Missing missing = Missing::fine) {
    return run(server->manage(RunsChange{lab, act, std::move(runs)}, {}, missing));
  }

  static Reply errors(const std::vector<std::pair<std::string, std::string>>& refused) {
    std::string list;
    for (const auto& [run, reason] : refused)
      list += (list.empty() ? "" : ",") +
              (R"({"experimentIdentifier":"ml-team/lab/)" + run + R"(","reason":")" + reason + R"(","message":"m"})");
    return http_reply(200, R"({"errors":[)" + list + R"(],"updatedExperimentIdentifiers":[]})");
  }

  std::map<std::string, std::string> in_use{{"trial-1", "LAB-1"}, {"trial-2", "LAB-2"}}, in_trash;
  Reply bulk_reply = errors({});
  std::vector<Received> bulk_calls;
  std::vector<std::string> searches;
  std::unique_ptr<Server> server;
};

TEST_F(Runs, AreFoundByTheirCustomIdsAndNamedByTheirShortIds) {
  struct Row {
    RunsAct act;
    std::string target, body;
  };
  const std::string list = R"(["ml-team/lab/LAB-1","ml-team/lab/LAB-2"])";
  const Row rows[] = {{RunsAct::trash, experiments + "/trash" + which, list},
                      {RunsAct::restore, experiments + "/trash/restore" + which, list},
                      {RunsAct::remove, experiments + "/trash/delete" + which, list},
                      {RunsAct::archive, "/api/leaderboard/v1/runs:archive", R"({"runs":)" + list + "}"},
                      {RunsAct::unarchive, "/api/leaderboard/v1/runs:unarchive", R"({"runs":)" + list + "}"}};
  for (const auto& row : rows) {
    const auto reply = change(row.act, {"trial-1", "trial-2"});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(bulk_calls.back().method, "POST");
    EXPECT_EQ(bulk_calls.back().target, row.target);
    EXPECT_EQ(bulk_calls.back().body, row.body);
  }
}

TEST_F(Runs, AreSearchedForAllAtOnceAndThenInTheTrash) {
  in_use.clear();
  in_trash = {{"trial-1", "LAB-1"}};
  ASSERT_TRUE(change(RunsAct::trash, {"trial-1", "LAB-9"}));
  ASSERT_EQ(searches.size(), 2u);
  const auto body = parse_object(searches[0]);
  ASSERT_TRUE(body);
  EXPECT_EQ(string_member(*object_member(*body, "query"), "query"),
            "(`sys/custom_run_id`:string = \"trial-1\" OR `sys/custom_run_id`:string = \"LAB-9\") AND "
            "`sys/trashed`:bool = false");
  EXPECT_EQ(objects_member(*body, "attributeFilters").size(), 2u);
  EXPECT_EQ(integer_member(*object_member(*body, "pagination"), "limit"), 2);
  EXPECT_THAT(searches[1], HasSubstr("`sys/trashed`:bool = true"));
}

TEST_F(Runs, AShortIdIsTakenAsItIsUnlessARunHasItAsCustomId) {
  in_use = {{"LAB-7", "LAB-3"}};
  ASSERT_TRUE(change(RunsAct::trash, {"LAB-7", "LAB-8"}));
  EXPECT_EQ(bulk_calls.back().body, R"(["ml-team/lab/LAB-3","ml-team/lab/LAB-8"])");
}

TEST_F(Runs, AnIdWithQuotesCannotChangeTheQuery) {
  EXPECT_TRUE(change(RunsAct::remove, {R"(x" OR `sys/id`:string = "LAB-1)"}));
  EXPECT_TRUE(bulk_calls.empty());
  EXPECT_THAT(string_member(*object_member(*parse_object(searches[0]), "query"), "query"),
              HasSubstr(R"(= "x\" OR `sys/id`:string = \"LAB-1")"));
}

TEST_F(Runs, WhatIsSoAlreadyIsASuccess) {
  const std::pair<RunsAct, const char*> fine[] = {{RunsAct::trash, "ALREADY_TRASHED"},
                                                  {RunsAct::trash, "NOT_EXISTS"},
                                                  {RunsAct::restore, "NOT_IN_TRASH"},
                                                  {RunsAct::remove, "NOT_EXISTS"}};
  for (const auto& [act, reason] : fine) {
    bulk_reply = errors({{"LAB-1", reason}});
    EXPECT_TRUE(change(act, {"trial-1"})) << reason;
  }
}

TEST_F(Runs, WhatDidNotHappenIsRefusedByNameAndReason) {
  const std::pair<RunsAct, const char*> refused[] = {{RunsAct::restore, "NOT_EXISTS"},
                                                     {RunsAct::remove, "NOT_IN_TRASH"},
                                                     {RunsAct::archive, "TRASHED"},
                                                     {RunsAct::trash, "IS_PROJECT"}};
  for (const auto& [act, reason] : refused) {
    bulk_reply = errors({{"LAB-2", reason}});
    const auto reply = change(act, {"trial-1", "trial-2"});
    ASSERT_FALSE(reply) << reason;
    EXPECT_EQ(reply.error().kind, Kind::rejected);
    EXPECT_EQ(reply.error().code, "runs_refused");
    EXPECT_THAT(reply.error().message, HasSubstr("1 of 2 runs could not be "));
    EXPECT_THAT(reply.error().message, HasSubstr("trial-2 (it "));
  }
}

TEST_F(Runs, ARunThatNobodyFindsIsRefusedUnlessAnEarlierTryMayHaveRemovedIt) {
  EXPECT_TRUE(change(RunsAct::trash, {"nothing"}));
  EXPECT_TRUE(change(RunsAct::remove, {"nothing"}));
  EXPECT_TRUE(bulk_calls.empty());
  for (const auto act : {RunsAct::restore, RunsAct::archive, RunsAct::unarchive}) {
    bulk_calls.clear();
    const auto reply = change(act, {"nothing", "trial-1"});
    ASSERT_FALSE(reply);
    EXPECT_THAT(reply.error().message, HasSubstr("nothing (it does not exist)"));
    ASSERT_EQ(bulk_calls.size(), 1u) << "the others are done";
    EXPECT_THAT(bulk_calls[0].body, HasSubstr("LAB-1"));
  }
}

TEST_F(Runs, ARunThatNobodyFindsIsRefusedByNameWhereNoEarlierTryMayHaveRemovedIt) {
  for (const auto act : {RunsAct::trash, RunsAct::remove}) {
    bulk_calls.clear();
    bulk_reply = errors({});
    const auto reply = change(act, {"nothing", "trial-1"}, Missing::refused);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, "runs_refused");
    EXPECT_THAT(reply.error().message, HasSubstr("nothing (it does not exist)"));
    ASSERT_EQ(bulk_calls.size(), 1u) << "the others are done";
    bulk_reply = errors({{"LAB-9", "NOT_EXISTS"}});
    EXPECT_FALSE(change(act, {"LAB-9"}, Missing::refused));
  }
}

TEST_F(Runs, ARunThatTheSearchMayNotKnowYetHoldsTheOthersBack) {
  for (const auto act : {RunsAct::trash, RunsAct::remove, RunsAct::archive}) {
    const auto reply = change(act, {"nothing", "trial-1"}, Missing::not_yet);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, runs_not_found);
    EXPECT_FALSE(reply.error().in_doubt);
    EXPECT_THAT(reply.error().message, HasSubstr("nothing is not found in ml-team/lab"));
    EXPECT_TRUE(bulk_calls.empty());
    EXPECT_TRUE(change(act, {"trial-1"}, Missing::not_yet));
    bulk_calls.clear();
  }
}

TEST_F(Runs, AreInDoubtAfterACallWithoutAnAnswer) {
  bulk_reply = http_reply(504);
  EXPECT_TRUE(change(RunsAct::remove, {"trial-1"}).error().in_doubt);
  bulk_reply = refusal_of(403, "PROJECT_LIMITS_EXCEEDED");
  EXPECT_FALSE(change(RunsAct::remove, {"trial-1"}).error().in_doubt);
}

TEST_F(Runs, ASearchThatIsAnsweredWithEverythingChoosesNothing) {
  in_use = {{"somebody-elses", "LAB-5"}};
  in_trash = in_use;
  EXPECT_TRUE(change(RunsAct::remove, {"trial-1"}));
  EXPECT_TRUE(bulk_calls.empty());
}

TEST_F(Runs, GoInCallsOfSomeHundreds) {
  std::vector<std::string> many;
  for (int i = 0; i < 450; ++i) many.push_back("LAB-" + std::to_string(i));
  ASSERT_TRUE(change(RunsAct::trash, many));
  EXPECT_EQ(bulk_calls.size(), 3u);
  EXPECT_EQ(searches.size(), 10u);
}

TEST_F(Runs, AreLookedUpButNotChangedOnceTheirProjectTakesNoWritesAnyMore) {
  bool asked_before_the_search = false;
  const auto closed_meanwhile = [&] {
    asked_before_the_search |= searches.empty();
    return searches.empty();
  };
  const auto reply = run(server->manage(RunsChange{lab, RunsAct::unarchive, {"trial-1"}}, closed_meanwhile));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::called_off);
  EXPECT_EQ(searches.size(), 1u);
  EXPECT_TRUE(bulk_calls.empty());
  EXPECT_FALSE(asked_before_the_search) << "a search writes nothing";
}

TEST_F(Runs, AMessageNamesTenAndCountsTheOthers) {
  std::vector<std::string> many;
  std::vector<std::pair<std::string, std::string>> refused;
  for (int i = 100; i < 130; ++i) {
    many.push_back("LAB-" + std::to_string(i));
    refused.emplace_back(many.back(), "NOT_EXISTS");
  }
  bulk_reply = errors(refused);
  const auto reply = change(RunsAct::archive, many);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message, AllOf(HasSubstr("30 of 30"), HasSubstr("LAB-109"), HasSubstr(" and 20 more")));
}

TEST_F(Runs, AReadOnlyProjectIsRecognised) {
  bulk_reply = refusal_of(403, "PROJECT_LIMITS_EXCEEDED");
  const auto reply = change(RunsAct::restore, {"trial-1"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::read_only);
  EXPECT_TRUE(reply.error().scope_is_project);
}

TEST_F(Runs, TheTrashIsEmptied) {
  ASSERT_TRUE(run(server->manage(TrashEmpty{lab})));
  EXPECT_EQ(bulk_calls.back().target, experiments + "/trash/deleteAll" + which);
  EXPECT_EQ(bulk_calls.back().body, "");
  bulk_reply = errors({{"LAB-1", "NOT_EXISTS"}, {"LAB-2", "NOT_IN_TRASH"}});
  EXPECT_TRUE(run(server->manage(TrashEmpty{lab})));
  bulk_reply = errors({{"LAB-1", "ALREADY_FINISHED"}});
  const auto reply = run(server->manage(TrashEmpty{lab}));
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message, HasSubstr("ml-team/lab/LAB-1 (ALREADY_FINISHED)"));
}

TEST_F(Runs, AnAnswerThatIsNoResultIsAServerError) {
  bulk_reply = http_reply(200, "[]");
  const auto reply = change(RunsAct::trash, {"trial-1"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::server_error);
}

}  // namespace
}  // namespace neptune::server
