#include <gmock/gmock.h>

#include "changes/limits.h"
#include "tests/unit/server/answers.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string attributes = "/api/leaderboard/v1/attributes/";
const std::string create = "POST " + experiments;

const ContainerName project{lab, "", ContainerKind::project};
const ContainerName forest{lab, "LAB-FOREST", ContainerKind::model};
const ContainerName trial{lab, "trial-1", ContainerKind::run};

std::string look_up(const std::string& short_id) {
  return "GET " + experiments + "?experimentId=ml-team%2Flab%2F" + short_id;
}
std::string operations_of(const std::string& id) {
  return "POST " + attributes + "operations?experimentId=" + id;
}

std::vector<AttributeOperation> two_operations() {
  return {{"acc \"best\"", "assignFloat", R"({"value":0.9})", {}},
          {"loss", "logFloats", R"({"entries":[{"value":0.5,"step":1,"timestampMilliseconds":7}]})",
           SeriesPoint{1, false}}};
}

class Attributes : public WithAnswers {
 protected:
  Attributes() {
    answers.on(look_up("LAB-FOREST"), R"({"id":"forest-id","shortId":"LAB-FOREST","type":"model"})");
    answers.on(get_lab, lab_facts);
  }
  Answer<std::vector<OperationError>> execute(ContainerName container) {
    return run(server->execute(std::move(container), two_operations()));
  }
};

TEST_F(Attributes, AreChangedInOneRequest) {
  answers.on(operations_of("forest-id"), "[]");
  const auto errors = execute(forest);
  ASSERT_TRUE(errors) << errors.error().message;
  EXPECT_TRUE(errors->empty());
  EXPECT_EQ(answers.bodies.back(),
            R"([{"path":"acc \"best\"","assignFloat":{"value":0.9}},)"
            R"({"path":"loss","logFloats":{"entries":[{"value":0.5,"step":1,"timestampMilliseconds":7}]}}])");
}

TEST_F(Attributes, OfAProjectAreThoseOfItsOwnId) {
  answers.on(operations_of("lab-id"), "[]");
  EXPECT_TRUE(execute(project));
  EXPECT_THAT(answers.calls, ElementsAre(get_lab, operations_of("lab-id")));
}

TEST_F(Attributes, AModelMayBeNamedByItsKeyAndAVersionWithoutTheProjects) {
  answers.on(look_up("LAB-FOREST-3"), R"({"id":"version-id"})");
  answers.on(operations_of("forest-id"), "[]");
  answers.on(operations_of("version-id"), "[]");
  EXPECT_TRUE(execute({lab, "FOREST", ContainerKind::model}));
  EXPECT_TRUE(execute({lab, "FOREST-3", ContainerKind::model_version}));
  EXPECT_TRUE(execute({lab, "LAB-FOREST-3", ContainerKind::model_version}));
  EXPECT_THAT(answers.calls,
              ElementsAre(get_lab, look_up("LAB-FOREST"), operations_of("forest-id"), look_up("LAB-FOREST-3"),
                          operations_of("version-id"), look_up("LAB-FOREST-3"), operations_of("version-id")));
}

TEST_F(Attributes, OfARunAreFoundByItsCustomId) {
  const auto search = "POST /api/leaderboard/v1/leaderboard/entries/search" + which + "&type=run";
  answers.on(search, R"({"entries":[{"experimentId":"run-id","attributes":[)"
                     R"({"name":"sys/id","stringProperties":{"value":"LAB-1"}},)"
                     R"({"name":"sys/custom_run_id","stringProperties":{"value":"trial-1"}}]}]})");
  answers.on(operations_of("run-id"), "[]");
  EXPECT_TRUE(execute(trial));
  EXPECT_TRUE(execute(trial));
  EXPECT_THAT(answers.calls, ElementsAre(search, operations_of("run-id"), operations_of("run-id")));
}

TEST_F(Attributes, ARunThatNoSearchFindsMayBeMeantByItsShortId) {
  const auto search = "POST /api/leaderboard/v1/leaderboard/entries/search" + which + "&type=run";
  answers.on(search, R"({"entries":[]})");
  answers.on(look_up("LAB-4"), R"({"id":"run-id"})");
  answers.on(operations_of("run-id"), "[]");
  EXPECT_TRUE(execute({lab, "LAB-4", ContainerKind::run}));
  const auto nowhere = execute(trial);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, "run_not_found");
}

TEST_F(Attributes, AnIdIsLookedUpOnceAndForgottenWhenTheServerKnowsItNoMore) {
  answers.on(look_up("LAB-FOREST"), R"({"id":"new-id"})");
  answers.on(operations_of("forest-id"), "[]");
  answers.on(operations_of("forest-id"), "[]");
  answers.on(operations_of("forest-id"), http_reply(404));
  answers.on(operations_of("new-id"), "[]");
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(execute(forest));
  EXPECT_THAT(answers.calls, ElementsAre(look_up("LAB-FOREST"), operations_of("forest-id"), operations_of("forest-id"),
                                         operations_of("forest-id"), look_up("LAB-FOREST"), operations_of("new-id"),
                                         operations_of("new-id")));
}

TEST_F(Attributes, AContainerThatIsNotThereIsRefusedByName) {
  answers.on(look_up("LAB-OAK"), refusal_of(404, "EXPERIMENT_NOT_FOUND"));
  const auto errors = execute({lab, "LAB-OAK", ContainerKind::model});
  ASSERT_FALSE(errors);
  EXPECT_EQ(errors.error().kind, Kind::rejected);
  EXPECT_EQ(errors.error().code, "model_not_found");
  EXPECT_THAT(errors.error().message, AllOf(HasSubstr("LAB-OAK"), HasSubstr("ml-team/lab")));
}

TEST_F(Attributes, NothingIsMissingByTheWordOfWhatStandsBeforeTheServer) {
  answers.on(look_up("LAB-OAK"), http_reply(404));
  for (const auto& answer :
       {execute({lab, "LAB-OAK", ContainerKind::model}), execute({lab, "OAK", ContainerKind::model})}) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, "http_404");
    EXPECT_TRUE(speaks_of_the_route(answer.error()));
    EXPECT_THAT(answer.error().message, HasSubstr("something before the server answered"));
  }
}

TEST_F(Attributes, ANewTokenForgetsTheIdsOfTheOldServer) {
  answers.on(operations_of("forest-id"), "[]");
  EXPECT_TRUE(execute(forest));
  ASSERT_TRUE(server->set_token(neptune.api_token()));
  answers.calls.clear();
  answers.on(look_up("LAB-FOREST"), R"({"id":"forest-id"})");
  EXPECT_TRUE(execute(forest));
  EXPECT_EQ(answers.calls.front(), look_up("LAB-FOREST"));
}

TEST_F(Attributes, TellsWhichOperationsWereRefused) {
  answers.on(operations_of("forest-id"),
             R"([{"errorType":"metadata_inconsistency","errorDescription":"attribute loss: it is of another type"}])");
  const auto errors = execute(forest);
  ASSERT_TRUE(errors) << errors.error().message;
  ASSERT_EQ(errors->size(), 1u);
  EXPECT_EQ(errors->front().index, 1u);
  EXPECT_EQ(errors->front().code, "metadata_inconsistency");
  EXPECT_EQ(errors->front().message, "attribute loss: it is of another type");
}

TEST_F(Attributes, AreNotSentTwiceWhenTheAnswerIsLost) {
  answers.on(operations_of("forest-id"), Reply{"", true, false});
  const auto errors = execute(forest);
  ASSERT_FALSE(errors);
  EXPECT_EQ(errors.error().kind, Kind::unreachable);
  EXPECT_TRUE(errors.error().in_doubt);
  EXPECT_THAT(answers.calls, ElementsAre(look_up("LAB-FOREST"), operations_of("forest-id")));
}

TEST_F(Attributes, AreInDoubtOnlyWhenTheyMayHaveBeenApplied) {
  struct Row {
    Reply reply;
    bool doubt;
  };
  const Row rows[] = {
      {http_reply(500), true},  {http_reply(502), true},       {http_reply(504), true},
      {http_reply(408), true},  {http_reply(200, "{}"), true}, {http_reply(429), false},
      {http_reply(422), false}, {http_reply(403), false},      {refusal_of(403, "WORKSPACE_READONLY"), false},
      {http_reply(501), false}};
  for (const auto& row : rows) {
    Answers fresh;
    fresh.on(look_up("LAB-FOREST"), R"({"id":"forest-id"})");
    fresh.on(operations_of("forest-id"), row.reply);
    answers = fresh;
    const auto errors = execute(forest);
    ASSERT_FALSE(errors);
    EXPECT_EQ(errors.error().in_doubt, row.doubt) << errors.error().message;
  }
}

TEST_F(Attributes, AreSentAgainWithANewTokenSinceARefusedOneAppliedNothing) {
  answers.on(operations_of("forest-id"), http_reply(401));
  answers.on(operations_of("forest-id"), "[]");
  const auto errors = execute(forest);
  ASSERT_TRUE(errors) << errors.error().message;
  EXPECT_THAT(answers.calls,
              ElementsAre(look_up("LAB-FOREST"), operations_of("forest-id"), operations_of("forest-id")));
  EXPECT_EQ(answers.bodies[1], answers.bodies[2]);
}

TEST_F(Attributes, OfADeletedProjectNothingIsRemembered) {
  answers.on(operations_of("forest-id"), "[]");
  answers.on(operations_of("lab-id"), "[]");
  answers.on("DELETE " + projects + which, http_reply(200));
  EXPECT_TRUE(execute(forest));
  EXPECT_TRUE(execute(project));
  EXPECT_TRUE(manage(ProjectDelete{lab}));
  answers.calls.clear();
  EXPECT_TRUE(execute(forest));
  EXPECT_TRUE(execute(project));
  EXPECT_THAT(answers.calls,
              ElementsAre(look_up("LAB-FOREST"), operations_of("forest-id"), get_lab, operations_of("lab-id")));
}

TEST_F(Attributes, AFailedLookUpIsNoDoubt) {
  Answers fresh;
  fresh.on(look_up("LAB-FOREST"), Reply{"", true, false});
  answers = fresh;
  const auto errors = execute(forest);
  ASSERT_FALSE(errors);
  EXPECT_EQ(errors.error().kind, Kind::unreachable);
  EXPECT_FALSE(errors.error().in_doubt);
}

TEST_F(Attributes, AServerThatNobodyReachesLeavesNoDoubt) {
  answers.on(operations_of("forest-id"), "[]");
  ASSERT_TRUE(execute(forest));
  const auto port = closed_port(loop.get_executor());
  neptune.base = "http://127.0.0.1:" + std::to_string(port);
  const auto other = make_server();
  const auto errors = run(other->execute(forest, two_operations()));
  ASSERT_FALSE(errors);
  EXPECT_EQ(errors.error().kind, Kind::unreachable);
  EXPECT_FALSE(errors.error().in_doubt);
}

TEST_F(Attributes, TooManyOperationsAreTooLargeByEitherSidesWord) {
  answers.on(operations_of("forest-id"), refusal_of(422, "TOO_MANY_OPERATIONS"));
  const auto by_the_server = execute(forest);
  ASSERT_FALSE(by_the_server);
  EXPECT_EQ(by_the_server.error().kind, Kind::too_large);
  EXPECT_EQ(by_the_server.error().code, "TOO_MANY_OPERATIONS");
  answers.calls.clear();
  const std::vector<AttributeOperation> many(limits::attribute_operations + 1, two_operations()[0]);
  const auto by_us = run(server->execute(forest, many));
  ASSERT_FALSE(by_us);
  EXPECT_EQ(by_us.error().kind, Kind::too_large);
  EXPECT_EQ(by_us.error().code, "TOO_MANY_OPERATIONS");
  EXPECT_TRUE(answers.calls.empty());
}

TEST_F(Attributes, ARequestThatIsTooLargeIsNotSent) {
  const std::string text(limits::request_bytes / 16, 'x');
  const std::vector<AttributeOperation> large(17, {"note", "assignString", R"({"value":")" + text + R"("})", {}});
  const auto errors = run(server->execute(forest, large));
  ASSERT_FALSE(errors);
  EXPECT_EQ(errors.error().kind, Kind::too_large);
  EXPECT_FALSE(errors.error().in_doubt);
  EXPECT_THAT(answers.calls, ElementsAre(look_up("LAB-FOREST")));
}

TEST_F(Attributes, NothingToDoIsDoneWithoutACall) {
  EXPECT_TRUE(run(server->execute(forest, {})));
  EXPECT_TRUE(answers.calls.empty());
}

TEST_F(Attributes, TheLastStepOfASeriesIsTold) {
  const auto floats = "GET " + attributes + "floatSeries?attribute=train%2Floss&experimentId=forest-id";
  answers.on(floats, R"({"attributeName":"train/loss","lastStep":12.5})");
  answers.on(floats, R"({"attributeName":"train/loss","lastStep":7})");
  answers.on(floats, R"({"attributeName":"train/loss"})");
  answers.on("GET " + attributes + "stringSeries?attribute=log&experimentId=forest-id", R"({"lastStep":3.0})");
  EXPECT_EQ(run(server->last_step(forest, "train/loss", false)).value(), 12.5);
  EXPECT_EQ(run(server->last_step(forest, "train/loss", false)).value(), 7.0);
  EXPECT_EQ(run(server->last_step(forest, "train/loss", false)).value(), std::nullopt);
  EXPECT_EQ(run(server->last_step(forest, "log", true)).value(), 3.0);
}

TEST_F(Attributes, ASeriesThatIsNotThereHasNoLastStep) {
  const auto floats = "GET " + attributes + "floatSeries?attribute=loss&experimentId=forest-id";
  answers.on(floats, refusal_of(404, "ATTRIBUTE_PATH_NOT_FOUND"));
  answers.on(floats, refusal_of(404, "EXPERIMENT_NOT_FOUND"));
  EXPECT_EQ(run(server->last_step(forest, "loss", false)).value(), std::nullopt);
  answers.calls.clear();
  EXPECT_EQ(run(server->last_step(forest, "loss", false)).value(), std::nullopt);
  // The remembered id may be the reason: the container is looked up before the answer is believed.
  EXPECT_THAT(answers.calls, ElementsAre(floats, look_up("LAB-FOREST"), floats));
}

TEST_F(Attributes, ASeriesIsMissingAfterABareNotFoundOnlyWhereTheContainerLacksIt) {
  const auto floats = "GET " + attributes + "floatSeries?attribute=loss&experimentId=forest-id";
  const auto list = "POST " + attributes + "attributes?holderIdentifier=forest-id&holderType=experiment";
  answers.on(floats, http_reply(404));
  answers.on(list, R"({"attributes":[{"name":"loss"}]})");
  answers.on(list, R"({"attributes":[]})");
  answers.on(list, http_reply(404));
  const auto there = run(server->last_step(forest, "loss", false));
  ASSERT_FALSE(there);
  EXPECT_EQ(there.error().code, "http_404");
  EXPECT_EQ(run(server->last_step(forest, "loss", false)).value(), std::nullopt);
  const auto untold = run(server->last_step(forest, "loss", false));
  ASSERT_FALSE(untold);
  EXPECT_EQ(untold.error().code, "http_404");
}

TEST_F(Attributes, ASeriesOfAContainerThatIsGoneIsAFailure) {
  answers.on(look_up("LAB-FOREST"), refusal_of(404, "EXPERIMENT_NOT_FOUND"));
  const auto floats = "GET " + attributes + "floatSeries?attribute=loss&experimentId=forest-id";
  answers.on(floats, R"({"lastStep":1})");
  answers.on(floats, http_reply(404));
  ASSERT_TRUE(run(server->last_step(forest, "loss", false)));
  const auto step = run(server->last_step(forest, "loss", false));
  ASSERT_FALSE(step);
  EXPECT_EQ(step.error().code, "model_not_found");
}

TEST_F(Attributes, AnAttributeOfAnotherTypeIsAFailure) {
  answers.on("GET " + attributes + "floatSeries?attribute=loss&experimentId=forest-id",
             refusal_of(422, "INVALID_ATTRIBUTE_TYPE"));
  EXPECT_FALSE(run(server->last_step(forest, "loss", false)));
}

TEST_F(Attributes, ThePointsOfASeriesAreCounted) {
  const auto images = "GET " + attributes + "series/image?attribute=shots&limit=1&experimentId=forest-id";
  answers.on(images, R"({"totalItemCount":4})");
  answers.on(images, refusal_of(404, "ATTRIBUTE_PATH_NOT_FOUND"));
  EXPECT_EQ(run(server->point_count(forest, "shots", SeriesKind::images)).value(), 4);
  EXPECT_EQ(run(server->point_count(forest, "shots", SeriesKind::images)).value(), 0);
  answers.on("GET " + attributes + "series/float?attribute=loss&limit=1&experimentId=forest-id",
             R"({"totalItemCount":5,"values":[]})");
  EXPECT_EQ(run(server->point_count(forest, "loss", SeriesKind::floats)).value(), 5);
  answers.on("GET " + attributes + "series/string?attribute=log&limit=1&experimentId=forest-id",
             R"({"totalItemCount":6,"values":[]})");
  EXPECT_EQ(run(server->point_count(forest, "log", SeriesKind::texts)).value(), 6);
}

TEST_F(Attributes, AValueToBeCopiedIsToldAsTheServerWroteIt) {
  using Type = ClientCopy::Type;
  const auto text = R"({"attributeName":"lr","value":0.30000000000000004})";
  for (const auto& [type, folder] :
       {std::pair(Type::number, "floats"), std::pair(Type::whole_number, "integers"),
        std::pair(Type::truth, "booleans"), std::pair(Type::text, "strings"), std::pair(Type::time, "datetimes")}) {
    answers.on("GET " + attributes + folder + "?attribute=lr&experimentId=forest-id", text);
    EXPECT_EQ(run(server->attribute(forest, "lr", type)).value(), text) << folder;
  }
  answers.on("GET " + attributes + "floats?attribute=none&experimentId=forest-id",
             refusal_of(404, "ATTRIBUTE_PATH_NOT_FOUND"));
  EXPECT_EQ(run(server->attribute(forest, "none", Type::number)).value(), std::nullopt);
}

class Models : public Attributes {
 protected:
  const std::string creation =
      R"({"projectIdentifier":"ml-team/lab","parentId":"lab-id","type":"model","key":"FOREST"})";
  const std::string get_name = "GET " + attributes + "strings?attribute=sys%2Fname&experimentId=forest-id";
  const std::string forest_made = R"({"id":"forest-id","shortId":"LAB-FOREST","type":"model","trashed":false})";
};

TEST_F(Models, AreCreatedByKeyAndThenNamed) {
  answers.on(create, forest_made);
  answers.on(operations_of("forest-id"), "[]");
  const auto reply = manage(ModelCreate{lab, "FOREST", "Random forest"});
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->id, "forest-id");
  EXPECT_EQ(reply->short_id, "LAB-FOREST");
  EXPECT_THAT(answers.calls, ElementsAre(get_lab, create, operations_of("forest-id")));
  EXPECT_EQ(answers.bodies[1], creation);
  EXPECT_EQ(answers.bodies[2], R"([{"path":"sys/name","assignString":{"value":"Random forest"}}])");
}

TEST_F(Models, ACollisionWithAnEqualModelIsASuccess) {
  Answers fresh;
  fresh.on(get_lab, lab_facts);
  fresh.on(create, http_reply(409));
  fresh.on(look_up("LAB-FOREST"), forest_made);
  fresh.on(get_name, R"({"value":"Random forest"})");
  answers = fresh;
  EXPECT_TRUE(manage(ModelCreate{lab, "FOREST", {}}));
  const auto reply = manage(ModelCreate{lab, "FOREST", "Random forest"});
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->short_id, "LAB-FOREST");
  const auto other = manage(ModelCreate{lab, "FOREST", "Oaks"});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, Kind::rejected);
  EXPECT_THAT(other.error().message, HasSubstr("its name is 'Random forest', not 'Oaks'"));
}

TEST_F(Models, ATryThatDidNotGetToTheNameIsCompletedByTheNext) {
  answers.on(create, http_reply(409));
  answers.on(get_name, refusal_of(404, "ATTRIBUTE_PATH_NOT_FOUND"));
  answers.on(operations_of("forest-id"), "[]");
  EXPECT_TRUE(manage(ModelCreate{lab, "FOREST", "Random forest"}));
  EXPECT_EQ(answers.calls.back(), operations_of("forest-id"));
}

TEST_F(Models, ACollisionWithWhatIsInTheTrashIsRefused) {
  Answers fresh;
  fresh.on(get_lab, lab_facts);
  fresh.on(create, http_reply(409));
  fresh.on(look_up("LAB-FOREST"), R"({"id":"forest-id","type":"model","trashed":true})");
  answers = fresh;
  const auto reply = manage(ModelCreate{lab, "FOREST", {}});
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message, HasSubstr("is in the trash"));
}

TEST_F(Models, AProjectThatWasMadeAnewIsFoundByItsNewId) {
  Answers fresh;
  fresh.on(get_lab, R"({"id":"old-id","projectKey":"LAB"})");
  fresh.on(get_lab, lab_facts);
  fresh.on(create, R"({"id":"a"})");
  fresh.on(create, http_reply(404));
  fresh.on(create, R"({"id":"b"})");
  answers = fresh;
  EXPECT_TRUE(manage(ModelCreate{lab, "OAK", {}}));
  EXPECT_EQ(manage(ModelCreate{lab, "FOREST", {}}).value().id, "b");
  EXPECT_EQ(answers.bodies.back(), creation);
}

TEST_F(Models, AProjectIsNotMissingByABareNotFoundWhileTheWorkspaceListsIt) {
  const auto list = "GET " + projects + "/listForOrganization?organizationIdentifier=ml-team&offset=0&limit=500";
  Answers fresh;
  fresh.on(get_lab, http_reply(404));
  fresh.on(list, R"({"entries":[{"name":"Lab"}],"matchingItemCount":1})");
  fresh.on(list, http_reply(404));
  fresh.on(list, R"({"entries":[{"name":"other"}],"matchingItemCount":1})");
  fresh.on(list, refusal_of(404, "ORGANIZATION_NOT_FOUND"));
  answers = fresh;
  for (const auto* code : {"http_404", "http_404", "project_not_found", "project_not_found"}) {
    const auto reply = manage(ModelCreate{lab, "FOREST", {}});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, code);
  }
}

TEST_F(Models, AVersionIsCreatedOnceAndItsShortIdTold) {
  answers.on(create, R"({"id":"version-id","shortId":"LAB-FOREST-3"})");
  const auto reply = manage(ModelVersionCreate{lab, "LAB-FOREST"});
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->short_id, "LAB-FOREST-3");
  EXPECT_EQ(answers.bodies.back(),
            R"({"projectIdentifier":"ml-team/lab","parentId":"forest-id","type":"modelVersion"})");
}

TEST_F(Models, UnderTheKeyOfAnotherProjectIsRefusedAndNotWaitedFor) {
  answers.on(look_up("LIB-FOREST"), refusal_of(404, "EXPERIMENT_NOT_FOUND"));
  const auto reply = manage(ModelVersionCreate{lab, "LIB-FOREST"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "other_project_key");
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_EQ(reply.error().message,
            "'LIB-FOREST' is none of ml-team/lab, whose key is LAB; name it by that, or without a project's key");
  answers.on(look_up("LAB-OAK"), refusal_of(404, "EXPERIMENT_NOT_FOUND"));
  EXPECT_EQ(manage(ModelVersionCreate{lab, "LAB-OAK"}).error().code, "model_not_found") << "it may come";
}

TEST_F(Models, AVersionWhoseAnswerIsLostIsInDoubtAndNotSentAgain) {
  answers.on(create, Reply{"", true, false});
  const auto reply = manage(ModelVersionCreate{lab, "LAB-FOREST"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::unreachable);
  EXPECT_TRUE(reply.error().in_doubt);
  EXPECT_THAT(answers.calls, ElementsAre(look_up("LAB-FOREST"), create));
}

TEST_F(Models, AVersionOfAModelThatIsNotThereIsRefused) {
  answers.on(look_up("LAB-OAK"), refusal_of(404, "EXPERIMENT_NOT_FOUND"));
  const auto reply = manage(ModelVersionCreate{lab, "OAK"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "model_not_found");
}

TEST_F(Models, ARunIsCreatedByItsCustomIdAndThenKnown) {
  answers.on(create, R"({"id":"run-id","shortId":"LAB-1"})");
  answers.on(operations_of("run-id"), "[]");
  const auto reply = run(server->create_run(trial, ""));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->short_id, "LAB-1");
  EXPECT_THAT(answers.calls, ElementsAre(get_lab, create));
  EXPECT_EQ(answers.bodies.back(),
            R"({"projectIdentifier":"ml-team/lab","parentId":"lab-id","type":"run","customId":"trial-1"})");
  EXPECT_TRUE(execute(trial));
}

TEST_F(Models, ARunIsNeitherCreatedNorNamedOnceItsProjectTakesNoWritesAnyMore) {
  const auto never = run(server->create_run(trial, "night shift", [] { return false; }));
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().kind, Kind::called_off);
  EXPECT_EQ(calls_to("/api/leaderboard/v1/experiments"), 0);
  answers.on(create, R"({"id":"run-id","shortId":"LAB-1"})");
  const auto unnamed = run(
      server->create_run(trial, "night shift", [this] { return calls_to("/api/leaderboard/v1/experiments") == 0; }));
  ASSERT_FALSE(unnamed);
  EXPECT_EQ(unnamed.error().kind, Kind::called_off);
  EXPECT_EQ(calls_to("/api/leaderboard/v1/experiments"), 1) << "it was created, and its name waits";
}

TEST_F(Models, ARunIsNamedAfterItsExperiment) {
  answers.on(create, R"({"id":"run-id","shortId":"LAB-1"})");
  answers.on(operations_of("run-id"), "[]");
  EXPECT_TRUE(run(server->create_run(trial, "night shift")));
  EXPECT_THAT(answers.calls, ElementsAre(get_lab, create, operations_of("run-id")));
  EXPECT_EQ(answers.bodies.back(), R"([{"path":"sys/name","assignString":{"value":"night shift"}}])");
}

TEST_F(Models, ANameThatIsRefusedIsSaidSo) {
  answers.on(create, R"({"id":"run-id","shortId":"LAB-1"})");
  answers.on(operations_of("run-id"), R"([{"errorType":"metadata_inconsistency","errorDescription":"no such thing"}])");
  const auto reply = run(server->create_run(trial, "night shift"));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_EQ(reply.error().code, "metadata_inconsistency");
  EXPECT_THAT(reply.error().message, AllOf(HasSubstr("'night shift' was refused"), HasSubstr("no such thing")));
}

TEST_F(Models, ANameWhoseAnswerIsLostIsNoDoubt) {
  answers.on(create, R"({"id":"run-id","shortId":"LAB-1"})");
  answers.on(operations_of("run-id"), Reply{"", true, false});
  const auto reply = run(server->create_run(trial, "night shift"));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::unreachable);
  EXPECT_FALSE(reply.error().in_doubt);
}

TEST_F(Models, ARunIdThatSuchAServerDoesNotTakeIsRefused) {
  const auto reply = run(server->create_run({lab, std::string(37, 'x'), ContainerKind::run}, ""));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_TRUE(answers.calls.empty());
}

using Ingest = WithAnswers;

TEST_F(Ingest, IsAskedForAgainWhereItWasMissing) {
  for (int i = 0; i < 3; ++i) answers.on("POST /api/client/v1/ingest", http_reply(404));
  answers.on("POST /api/client/v1/ingest", http_reply(400));
  EXPECT_FALSE(run(server->has_ingest()).value());
  EXPECT_EQ(answers.calls.size(), 2u) << "before and after a look at whether the server is well";
  EXPECT_FALSE(run(server->has_ingest()).value());
  EXPECT_EQ(answers.calls.size(), 3u) << "that is known by now";
  EXPECT_TRUE(run(server->has_ingest()).value());
}

TEST_F(Ingest, IsNotMissingForABareNotFoundOfAServerThatRestarts) {
  answers.on("POST /api/client/v1/ingest", http_reply(404));
  answers.on("POST /api/client/v1/ingest", http_reply(400));
  EXPECT_TRUE(run(server->has_ingest()).value());
}

TEST_F(Ingest, IsAskedForOnceWhereItIs) {
  answers.on("POST /api/client/v1/ingest", http_reply(400));
  EXPECT_TRUE(run(server->has_ingest()).value());
  EXPECT_TRUE(run(server->has_ingest()).value());
  EXPECT_EQ(answers.calls.size(), 1u);
  EXPECT_EQ(answers.bodies[0], "");
}

TEST_F(Ingest, IsMissingWhereTheCallIs) {
  for (const int status : {404, 405, 501}) {
    Answers fresh;
    fresh.on("POST /api/client/v1/ingest", http_reply(status));
    answers = fresh;
    const auto other = make_server();
    EXPECT_FALSE(run(other->has_ingest()).value()) << status;
  }
}

TEST_F(Ingest, IsNotKnownWhileEverythingOfTheServerIsAnsweredThatIsNotThere) {
  answers.on("POST /api/client/v1/ingest", http_reply(404));
  answers.on("GET /api/backend/v1/organizations2/ml-team", "{}");
  const auto other = make_server();
  ASSERT_TRUE(run(other->workspace_type("ml-team"))) << "it has its token";
  neptune.meddle = [](const Received& request) -> std::optional<Reply> {
    if (request.target.starts_with("/api/backend/v1/clients/config")) return http_reply(404);
    return std::nullopt;
  };
  const auto found = run(other->has_ingest());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, "http_404");
}

TEST_F(Ingest, IsNotKnownWhileTheServerCannotSay) {
  answers.on("POST /api/client/v1/ingest", http_reply(503));
  answers.on("POST /api/client/v1/ingest", http_reply(302));
  answers.on("POST /api/client/v1/ingest", http_reply(403));
  EXPECT_FALSE(run(server->has_ingest()));
  EXPECT_FALSE(run(server->has_ingest()));
  EXPECT_TRUE(run(server->has_ingest()).value());
}

TEST_F(Ingest, IsThereWhenARequestWasTaken) {
  answers.on("POST /api/client/v1/ingest", submitted("id-1"));
  ASSERT_TRUE(run(server->submit(in_memory("x"))));
  EXPECT_TRUE(run(server->has_ingest()).value());
  EXPECT_EQ(answers.calls.size(), 1u);
}

}  // namespace
}  // namespace neptune::server
