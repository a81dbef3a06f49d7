#include <gmock/gmock.h>

#include "tests/unit/server/answers.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const std::string create = "POST " + projects;
const std::string update = "PUT " + projects + which;
const std::string remove_lab = "DELETE " + projects + which;
const std::string details = "GET " + projects + "/details" + which;

const std::string list_of_team =
    "GET " + projects + "/listForOrganization?organizationIdentifier=ml-team&offset=0&limit=500";

ProjectCreate wanted() {
  return {lab, Visibility::workspace, "Trials", "LAB"};
}

using Projects = WithAnswers;

TEST_F(Projects, CreatesAProjectWithWhatWasAskedFor) {
  answers.on(create, R"({"id":"lab-id","name":"lab"})");
  const auto reply = manage(wanted());
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->id, "lab-id");
  EXPECT_THAT(answers.bodies, ElementsAre(R"({"organizationIdentifier":"ml-team","name":"lab",)"
                                          R"("visibility":"workspace","description":"Trials","projectKey":"LAB"})"));
  EXPECT_EQ(peer.requests().back().headers.at("content-type"), "application/json");
}

TEST_F(Projects, LeavesToTheServerWhatWasNotAskedFor) {
  answers.on(create, R"({"id":"lab-id"})");
  EXPECT_TRUE(manage(ProjectCreate{lab, {}, {}, {}}));
  EXPECT_THAT(answers.bodies, ElementsAre(R"({"organizationIdentifier":"ml-team","name":"lab"})"));
}

TEST_F(Projects, ACollisionWithAnEqualProjectIsASuccess) {
  answers.on(details, R"({"id":"lab-id","name":"lab","visibility":"workspace","description":"Trials",)"
                      R"("projectKey":"LAB","archived":false})");
  for (const auto& collision : {refusal_of(409, "PROJECT_NAME_COLLISION"), refusal_of(400, "PROJECT_NAME_COLLISION"),
                                refusal_of(422, "PROJECT_KEY_COLLISION"), http_reply(409)}) {
    answers.on(create, collision);
    const auto reply = manage(wanted());
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->id, "lab-id");
  }
}

TEST_F(Projects, ACollisionWithAnotherProjectSaysWhatDiffers) {
  answers.on(create, refusal_of(409, "PROJECT_NAME_COLLISION"));
  answers.on(details, R"({"id":"x","name":"Lab","visibility":"priv","description":"","projectKey":"OTHER",)"
                      R"("archived":true})");
  const auto reply = manage(wanted());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_EQ(reply.error().code, "PROJECT_NAME_COLLISION");
  EXPECT_THAT(reply.error().message,
              AllOf(HasSubstr("ml-team/lab exists already"), HasSubstr("its name is 'Lab', not 'lab'"),
                    HasSubstr("visibility is private, not workspace"), HasSubstr("description is '', not 'Trials'"),
                    HasSubstr("key is 'OTHER', not 'LAB'"), HasSubstr("it is archived"),
                    HasSubstr("(`neptune-sync project update ml-team/lab --visibility workspace --description ..`)")));
}

TEST_F(Projects, ACollisionNamesTheCommandThatMendsIt) {
  answers.on(create, refusal_of(409, "PROJECT_NAME_COLLISION"));
  const auto odd = "GET " + projects + "/details?projectIdentifier=ml-team%2Fjo%27s%20lab";
  answers.on(odd, R"({"id":"x","name":"jo's lab","visibility":"priv"})");
  const auto visibility = manage(ProjectCreate{{"ml-team", "jo's lab"}, Visibility::pub, {}, {}});
  ASSERT_FALSE(visibility);
  EXPECT_EQ(visibility.error().message,
            "project ml-team/jo's lab exists already, and is not what was asked for: its visibility is private, not "
            "public; change it instead (`neptune-sync project update 'ml-team/jo'\\''s lab' --visibility public`)");
  const auto key = manage(ProjectCreate{{"ml-team", "jo's lab"}, {}, {}, "JO"});
  ASSERT_FALSE(key);
  EXPECT_THAT(key.error().message, EndsWith("its key is '', not 'JO'; change it instead")) << "no command does";
}

TEST_F(Projects, WhatWasNotAskedForMayDiffer) {
  answers.on(create, refusal_of(409, "PROJECT_NAME_COLLISION"));
  answers.on(details, R"({"id":"x","name":"lab","visibility":"pub","description":"old","projectKey":"L"})");
  EXPECT_TRUE(manage(ProjectCreate{lab, {}, {}, {}}));
}

TEST_F(Projects, AKeyThatAnotherProjectHasIsRefused) {
  answers.on(create, refusal_of(409, "PROJECT_KEY_COLLISION"));
  answers.on(details, refusal_of(404, "PROJECT_NOT_FOUND"));
  const auto reply = manage(wanted());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_EQ(reply.error().code, "PROJECT_KEY_COLLISION");
}

TEST_F(Projects, ACollisionThatCannotBeLookedIntoIsTriedAgain) {
  answers.on(create, refusal_of(409, "PROJECT_NAME_COLLISION"));
  answers.on(details, http_reply(503));
  const auto reply = manage(wanted());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::busy);
}

TEST_F(Projects, ACollisionIsNoneWithAnotherProjectByABareNotFoundWhileTheWorkspaceListsIt) {
  answers.on(create, refusal_of(409, "PROJECT_NAME_COLLISION"));
  answers.on(details, http_reply(404));
  answers.on(list_of_team, R"({"entries":[{"name":"lab"}],"matchingItemCount":1})");
  answers.on(list_of_team, R"({"entries":[]})");
  const auto reply = manage(wanted());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "http_404");
  const auto other = manage(wanted());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, "PROJECT_NAME_COLLISION");
}

TEST_F(Projects, ACreateWhoseAnswerWasLostIsDoneAtTheNextTry) {
  answers.on(create, Reply{"HTTP/1.1 200 OK\r\n", true, false});
  answers.on(create, refusal_of(409, "PROJECT_NAME_COLLISION"));
  answers.on(details, R"({"id":"lab-id","name":"lab","visibility":"workspace","description":"Trials",)"
                      R"("projectKey":"LAB"})");
  const auto lost = manage(wanted());
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, Kind::unreachable);
  EXPECT_FALSE(lost.error().in_doubt);
  EXPECT_TRUE(manage(wanted()));
}

TEST_F(Projects, RefusalsMeanWhatTheyMeanInEveryCall) {
  struct Row {
    Reply reply;
    Kind kind;
    bool project;
  };
  const Row rows[] = {
      {refusal_of(422, "WORKSPACE_READONLY"), Kind::read_only, false},
      {http_reply(422, R"({"type":"WORKSPACE_IN_READ_ONLY_MODE"})"), Kind::read_only, false},
      {refusal_of(403, "PROJECT_LIMITS_EXCEEDED"), Kind::read_only, true},
      {http_reply(402), Kind::read_only, false},
      {http_reply(422), Kind::ambiguous_limit, false},
      {http_reply(403), Kind::forbidden, false},
      {refusal_of(403, "LIMIT_OF_PROJECTS_REACHED"), Kind::rejected, false},
      {refusal_of(422, "VISIBILITY_RESTRICTED"), Kind::rejected, false},
      {http_reply(429), Kind::busy, false},
      {http_reply(500), Kind::server_error, false},
  };
  for (const auto& row : rows) {
    Answers fresh;
    fresh.on(create, row.reply);
    answers = fresh;
    const auto reply = manage(wanted());
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, row.kind) << reply.error().message;
    EXPECT_EQ(reply.error().scope_is_project, row.project) << reply.error().message;
  }
}

TEST_F(Projects, RenewsItsTokenAndSendsTheBodyAgain) {
  answers.on(create, http_reply(401));
  answers.on(create, R"({"id":"lab-id"})");
  const auto reply = manage(wanted());
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(answers.bodies.size(), 2u);
  EXPECT_EQ(answers.bodies[0], answers.bodies[1]);
}

TEST_F(Projects, UpdatesWhatIsGivenAndNothingElse) {
  answers.on(update, "{}");
  expect_one_call(ProjectUpdate{lab, {}, "New", {}, {}}, update, R"({"description":"New"})");
  expect_one_call(ProjectUpdate{lab, Visibility::pub, {}, {}, {}}, update, R"({"visibility":"pub"})");
  expect_one_call(ProjectUpdate{lab, {}, {}, {}, true}, update, R"({"archived":true})");
  expect_one_call(ProjectUpdate{lab, {}, {}, "labor", {}}, update, R"({"name":"labor"})");
}

TEST_F(Projects, ARenamingWhoseAnswerWasLostIsDoneAtTheNextTry) {
  answers.on(update, refusal_of(404, "PROJECT_NOT_FOUND"));
  const auto renamed = "GET " + projects + "/details?projectIdentifier=ml-team%2Flabor";
  answers.on(renamed, R"({"id":"lab-id","name":"labor","visibility":"pub"})");
  EXPECT_TRUE(manage(ProjectUpdate{lab, Visibility::pub, {}, "labor", {}}));
  const auto other = manage(ProjectUpdate{lab, Visibility::priv, {}, "labor", {}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().status, 404);
}

TEST_F(Projects, ARenamingIsNotDoneByABareNotFoundWhileTheOldNameIsThere) {
  answers.on(update, http_reply(404));
  answers.on(list_of_team, R"({"entries":[{"name":"lab"},{"name":"labor"}],"matchingItemCount":2})");
  const auto reply = manage(ProjectUpdate{lab, {}, {}, "labor", {}});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "http_404");
}

TEST_F(Projects, AnUpdateOfAProjectThatIsNotThereIsRefused) {
  answers.on(update, refusal_of(404, "PROJECT_NOT_FOUND"));
  const auto reply = manage(ProjectUpdate{lab, {}, "New", {}, {}});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_TRUE(speaks_of_the_change(reply.error()));
}

TEST_F(Projects, ARemovalIsNotDoneByABareNotFoundUnlessTheWorkspaceListsNoSuchProject) {
  const auto limit = "DELETE " + projects + "/storage-limit" + which;
  for (const auto& bare : {http_reply(404), http_reply(404, R"({"code":404,"message":"no such route"})"),
                           http_reply(404, R"({"type":"about:blank","status":404})")}) {
    for (const Management& removal : {Management(ProjectDelete{lab}), Management(StorageLimit{lab, {}})}) {
      answers = {};
      answers.on(remove_lab, bare);
      answers.on(limit, bare);
      answers.on(list_of_team, R"({"entries":[{"name":"Lab"}],"matchingItemCount":1})");
      answers.on(list_of_team, http_reply(404));
      answers.on(list_of_team, R"({"entries":[{"name":"other"}],"matchingItemCount":1})");
      for (int i = 0; i < 2; ++i) {
        const auto reply = manage(removal);
        ASSERT_FALSE(reply);
        EXPECT_TRUE(speaks_of_the_route(reply.error())) << reply.error().code;
      }
      EXPECT_TRUE(manage(removal));
    }
  }
}

TEST_F(Projects, ADeleteThatFindsNothingIsASuccess) {
  answers.on(remove_lab, http_reply(200));
  answers.on(remove_lab, refusal_of(404, "PROJECT_NOT_FOUND"));
  expect_one_call(ProjectDelete{lab}, remove_lab, "");
  expect_one_call(ProjectDelete{lab}, remove_lab, "");
}

TEST_F(Projects, NoAnswerOfTheAuthenticationIsTakenForOneToTheCall) {
  neptune.meddle = [](const Received& request) -> std::optional<Reply> {
    if (request.target.starts_with("/api/backend/v1/clients/config")) return http_reply(404);
    return std::nullopt;
  };
  const auto reply = manage(ProjectDelete{lab});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::busy);
  EXPECT_TRUE(answers.calls.empty());
  EXPECT_FALSE(run(server->has_ingest()));
}

TEST_F(Projects, SetsAndRemovesAStorageLimit) {
  const auto path = projects + "/storage-limit" + which;
  answers.on("PUT " + path, "{}");
  answers.on("DELETE " + path, http_reply(200));
  answers.on("DELETE " + path, refusal_of(404, "PROJECT_NOT_FOUND"));
  expect_one_call(StorageLimit{lab, 50'000'000'000}, "PUT " + path, R"({"maxStorageSize":50000000000})");
  expect_one_call(StorageLimit{lab, {}}, "DELETE " + path, "");
  expect_one_call(StorageLimit{lab, {}}, "DELETE " + path, "");
}

TEST_F(Projects, EncodesNames) {
  const auto odd = "DELETE " + projects + "?projectIdentifier=ml-team%2Fa%20b%26c%3Dd%2B%C3%BC";
  answers.on(odd, http_reply(200));
  EXPECT_TRUE(manage(ProjectDelete{{"ml-team", "a b&c=d+ü"}}));
}

TEST_F(Projects, ListsAWorkspacesProjectsPageByPage) {
  const auto page = [](int offset) {
    return "GET " + projects + "/listForOrganization?organizationIdentifier=ml-team&offset=" + std::to_string(offset) +
           "&limit=500";
  };
  answers.on(page(0), R"({"entries":[{"name":"b","id":"2","projectKey":"B","visibility":"pub","archived":true}],)"
                      R"("matchingItemCount":2,"totalItemCount":2})");
  answers.on(page(1), R"({"entries":[{"name":"a","id":"1","projectKey":"A","visibility":"priv"}],)"
                      R"("matchingItemCount":2})");
  const auto found = run(server->projects("ml-team"));
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ(found->front().name.full(), "ml-team/a");
  EXPECT_FALSE(found->front().archived);
  EXPECT_EQ(found->back().visibility, "pub");
  EXPECT_TRUE(found->back().archived);
}

TEST_F(Projects, KnowsWhoseAWorkspaceIsForAnHour) {
  const auto get = "GET /api/backend/v1/organizations2/ml-team";
  answers.on(get, R"({"organizationType":"individual"})");
  answers.on(get, R"({"organizationType":"team"})");
  EXPECT_EQ(run(server->workspace_type("ml-team")).value(), WorkspaceType::individual);
  clock.advance(59min);
  EXPECT_EQ(run(server->workspace_type("ml-team")).value(), WorkspaceType::individual);
  clock.advance(2min);
  EXPECT_EQ(run(server->workspace_type("ml-team")).value(), WorkspaceType::team);
}

TEST_F(Projects, AWorkspaceThatTheServerSaysNothingOfIsUnknownForFiveMinutes) {
  const auto get = "GET /api/backend/v1/organizations2/ml-team";
  answers.on(get, http_reply(403));
  answers.on(get, http_reply(404));
  EXPECT_EQ(run(server->workspace_type("ml-team")).value(), WorkspaceType::unknown);
  clock.advance(4min);
  EXPECT_EQ(run(server->workspace_type("ml-team")).value(), WorkspaceType::unknown);
  EXPECT_EQ(answers.calls.size(), 1u);
  clock.advance(2min);
  EXPECT_EQ(run(server->workspace_type("ml-team")).value(), WorkspaceType::unknown);
  EXPECT_EQ(answers.calls.size(), 2u);
}

TEST_F(Projects, AWorkspaceCannotBeToldWhileTheServerIsBusy) {
  answers.on("GET /api/backend/v1/organizations2/ml-team", http_reply(503));
  EXPECT_FALSE(run(server->workspace_type("ml-team")));
}

}  // namespace
}  // namespace neptune::server
