#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

const std::string backend = "/api/backend/v1";
const std::string projects = backend + "/projects";

std::string which(const std::string& name) {
  return "?projectIdentifier=" + name;
}

class Management : public ::testing::Test {
 protected:
  std::string create(const std::string& members) { return R"({"organizationIdentifier": "ml-team", )" + members + "}"; }
  boost::json::value made(const std::string& name) {
    return served_.done("POST", projects, create("\"name\": \"" + name + "\""));
  }
  boost::json::value told(const std::string& name) { return served_.state().at("projects").at(name); }

  Served served_{{"--workspace", "ml-team", "--workspace", "ann:individual"}};
};

TEST_F(Management, CreatesAProjectAsItIsAskedTo) {
  const auto project = served_.done(
      "POST", projects,
      create(R"("name": "Vision", "visibility": "workspace", "description": "all of it", "projectKey": "VIS2")"));
  EXPECT_EQ(project.at("projectKey").as_string(), "VIS2");
  EXPECT_EQ(project.at("organizationType").as_string(), "team");
  EXPECT_EQ(served_.done("GET", projects + "/get" + which("ml-team/Vision")).at("id"), project.at("id"));
  const auto details = served_.done("GET", projects + "/details" + which("ml-team/Vision"));
  EXPECT_EQ(details.at("visibility").as_string(), "workspace");
  EXPECT_FALSE(details.at("archived").as_bool());
  EXPECT_EQ(told("ml-team/Vision").at("description").as_string(), "all of it");
}

TEST_F(Management, RefusesNamesKeysAndVisibilitiesThatBreakTheRules) {
  made("vision");
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "VISION")")), "409 PROJECT_NAME_COLLISION");
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "ab")")), "400 PROJECT_NAME_INVALID");
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "a/bc")")), "400 PROJECT_NAME_INVALID");
  EXPECT_EQ(served_.refusal("POST", projects, create("\"name\": \"" + std::string(129, 'a') + "\"")),
            "400 PROJECT_NAME_INVALID");
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "new", "projectKey": "123")")),
            "400 PROJECT_KEY_INVALID");
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "new", "projectKey": "VISION")")),
            "409 PROJECT_KEY_COLLISION");
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "new", "visibility": "all")")), "400 ");
  EXPECT_EQ(served_.refusal("POST", projects,
                            R"({"organizationIdentifier": "ann", "name": "new", "visibility": "workspace"})"),
            "422 VISIBILITY_RESTRICTED");
  EXPECT_EQ(served_.refusal("POST", projects, R"({"organizationIdentifier": "nobody", "name": "new"})"),
            "404 ORGANIZATION_NOT_FOUND");
  EXPECT_EQ(served_.state().at("projects").as_object().size(), 1u);
}

TEST_F(Management, ChangesAProjectUnderTheSameId) {
  const auto id = made("vision").at("id");
  served_.done("PUT", projects + which("ml-team/vision"),
               R"({"name": "sight", "description": "new", "visibility": "pub"})");
  const auto now = served_.done("GET", projects + "/details" + which("ml-team/sight"));
  EXPECT_EQ(now.at("id"), id);
  EXPECT_EQ(now.at("description").as_string(), "new");
  EXPECT_EQ(now.at("visibility").as_string(), "pub");
  EXPECT_EQ(served_.refusal("GET", projects + "/get" + which("ml-team/vision")), "404 PROJECT_NOT_FOUND");
}

TEST_F(Management, LetsAnArchivedProjectBeBroughtBackAndNothingElse) {
  made("vision");
  served_.done("PUT", projects + which("ml-team/vision"), R"({"archived": true})");
  EXPECT_EQ(served_.refusal("PUT", projects + which("ml-team/vision"), R"({"description": "x"})"),
            "403 WRITE_ACCESS_DENIED_TO_ARCHIVED_PROJECT");
  served_.done("PUT", projects + which("ml-team/vision"), R"({"archived": false})");
  EXPECT_FALSE(told("ml-team/vision").at("archived").as_bool());
}

TEST_F(Management, DeletesAProjectAndMakesAnotherOneOfItsName) {
  const auto id = made("vision").at("id");
  served_.done("DELETE", projects + which("ml-team/vision"));
  EXPECT_EQ(served_.refusal("DELETE", projects + which("ml-team/vision")), "404 PROJECT_NOT_FOUND");
  EXPECT_NE(made("vision").at("id"), id);
}

TEST_F(Management, SetsAndLiftsAStorageLimit) {
  made("vision");
  const auto limit = projects + "/storage-limit" + which("ml-team/vision");
  served_.done("PUT", limit, R"({"maxStorageSize": 10})");
  EXPECT_EQ(told("ml-team/vision").at("storage_limit").as_int64(), 10);
  served_.done("DELETE", limit);
  EXPECT_TRUE(told("ml-team/vision").at("storage_limit").is_null());
}

TEST_F(Management, ListsTheProjectsOfAWorkspace) {
  made("one");
  made("two");
  served_.done("POST", projects, R"({"organizationIdentifier": "ann", "name": "three"})");
  const auto list = served_.done("GET", projects + "/listForOrganization?organizationIdentifier=ml-team&limit=1");
  EXPECT_EQ(list.at("matchingItemCount").as_int64(), 2);
  EXPECT_EQ(list.at("entries").as_array().size(), 1u);
}

TEST_F(Management, KeepsTheMembersOfAProject) {
  made("vision");
  const auto members = projects + "/members" + which("ml-team/vision");
  served_.done("POST", members, R"({"userId": "bob", "role": "viewer"})");
  EXPECT_EQ(served_.refusal("POST", members, R"({"userId": "bob", "role": "viewer"})"), "409 ");
  EXPECT_EQ(served_.refusal("POST", members, R"({"userId": "eve", "role": "owner"})"), "400 ");
  served_.done("PATCH", projects + "/members/bob" + which("ml-team/vision"), R"({"role": "manager"})");
  EXPECT_EQ(told("ml-team/vision").at("members").at("bob").as_string(), "manager");
  const auto list = served_.done("GET", projects + "/membersOf" + which("ml-team/vision"));
  EXPECT_EQ(list.as_array().at(0).at("registeredMemberInfo").at("username").as_string(), "bob");
  served_.done("DELETE", projects + "/members/bob" + which("ml-team/vision"));
  EXPECT_EQ(served_.refusal("DELETE", projects + "/members/bob" + which("ml-team/vision")), "422 USER_NOT_IN_PROJECT");
}

TEST_F(Management, TakesNoOutsidersIntoATeamAndNobodyIntoAPrivateProjectOfOne) {
  made("vision");
  served_.control(R"({"workspace": "ml-team", "members": ["bob"]})");
  const auto members = projects + "/members" + which("ml-team/vision");
  EXPECT_EQ(served_.refusal("POST", members, R"({"userId": "eve", "role": "viewer"})"),
            "422 CANNOT_ADD_OUTSIDERS_TO_TEAM_PROJECT");
  served_.done("POST", projects, R"({"organizationIdentifier": "ann", "name": "mine"})");
  const auto mine = projects + "/members" + which("ann/mine");
  EXPECT_EQ(served_.refusal("POST", mine, R"({"userId": "bob", "role": "viewer"})"),
            "422 CANNOT_ADD_MEMBERS_TO_PRIVATE_INDIVIDUAL_PROJECT");
  served_.done("PUT", projects + which("ann/mine"), R"({"visibility": "pub"})");
  served_.done("POST", mine, R"({"userId": "bob", "role": "viewer"})");
}

TEST_F(Management, KnowsServiceAccountsByIdAndListsTheirNames) {
  made("vision");
  served_.control(R"({"workspace": "ml-team", "service_accounts": ["ci"]})");
  const auto known = served_.done("GET", backend + "/serviceAccounts?organizationIdentifier=ml-team").as_array();
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known[0].at("name").as_string(), "ci");
  const auto id = std::string(known[0].at("id").as_string());
  const auto accounts = projects + "/service_accounts";
  served_.done("POST", accounts + which("ml-team/vision"),
               R"({"serviceAccountId": ")" + id + R"(", "role": "member"})");
  served_.done("PATCH", accounts + "/" + id + which("ml-team/vision"), R"({"role": "viewer"})");
  EXPECT_EQ(told("ml-team/vision").at("service_accounts").at(id).as_string(), "viewer");
  served_.done("DELETE", accounts + "/" + id + which("ml-team/vision"));
  EXPECT_EQ(served_.refusal("DELETE", accounts + "/" + id + which("ml-team/vision")),
            "422 SERVICE_ACCOUNT_NOT_IN_PROJECT");
  EXPECT_EQ(served_.refusal("DELETE", accounts + "/unknown" + which("ml-team/vision")), "404 ");
}

TEST_F(Management, InvitesIntoTeamsOnlyAndNobodyTwice) {
  const auto invite = [](const std::string& workspace) {
    return R"({"organizationIdentifier": ")" + workspace +
           R"(", "invitationsEntries": [{"invitee": "bob", "invitationType": "user", "roleGrant": "member",
              "addToAllProjects": true}]})";
  };
  const auto invitations = backend + "/invitations/organization";
  const auto answer = served_.done("POST", invitations, invite("ml-team"));
  EXPECT_EQ(answer.at("invitations").as_array().at(0).at("invitee").as_string(), "bob");
  EXPECT_EQ(served_.refusal("POST", invitations, invite("ml-team")), "409 ");
  EXPECT_EQ(served_.refusal("POST", invitations, invite("ann")), "403 ");
  const auto told = served_.state().at("workspaces").at("ml-team").at("invitations").as_array();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].at("add_to_all_projects").as_bool());
  const auto one = invitations + "/" + std::string(told[0].at("id").as_string());
  EXPECT_EQ(served_.done("PUT", one, R"({"roleGrant": "owner"})").at("roleGrant").as_string(), "owner");
  EXPECT_EQ(served_.refusal("PUT", one, R"({"roleGrant": "king"})"), "400 ");
  EXPECT_EQ(served_.refusal("PUT", invitations + "/nobody", R"({"roleGrant": "owner"})"), "404 ");
}

TEST_F(Management, TellsWhatWorkspacesThereAre) {
  EXPECT_EQ(served_.done("GET", backend + "/organizations2/ann").at("organizationType").as_string(), "individual");
  EXPECT_EQ(served_.done("GET", backend + "/myOrganizations").as_array().size(), 2u);
}

TEST_F(Management, LetsOnlyRemovalsPassWhileTheWorkspaceIsReadOnly) {
  made("vision");
  served_.done("POST", projects + "/members" + which("ml-team/vision"), R"({"userId": "bob", "role": "viewer"})");
  served_.control(R"({"workspace": "ml-team", "mode": "read_only"})");
  const std::string read_only = "403 WORKSPACE_IN_READ_ONLY_MODE";
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "new")")), read_only);
  EXPECT_EQ(served_.refusal("PUT", projects + which("ml-team/vision"), R"({"visibility": "pub"})"), read_only);
  EXPECT_EQ(served_.refusal("PATCH", projects + "/members/bob" + which("ml-team/vision"), R"({"role": "member"})"),
            read_only);
  served_.done("DELETE", projects + "/members/bob" + which("ml-team/vision"));
  served_.done("PUT", projects + which("ml-team/vision"), R"({"archived": true})");
  EXPECT_EQ(served_.refusal("PUT", projects + which("ml-team/vision"), R"({"archived": false})"), read_only);
  served_.done("DELETE", projects + which("ml-team/vision"));
}

TEST_F(Management, LosesTheAnswerOfACallThatTookEffect) {
  served_.control(R"({"fault": {"path": "/api/backend/v1/projects", "method": "POST", "workspace": "ml-team",
                                "drop": "before_answer", "times": 1}})");
  EXPECT_THROW((void)served_.call("POST", projects, create(R"("name": "vision")")), std::exception);
  EXPECT_EQ(served_.refusal("POST", projects, create(R"("name": "vision")")), "409 PROJECT_NAME_COLLISION");
}

TEST(ManagementState, SurvivesAKill) {
  Served served({"--workspace", "ml-team"}, Served::Keeps::state);
  served.done("POST", projects, R"({"organizationIdentifier": "ml-team", "name": "vision", "visibility": "pub"})");
  served.done("POST", projects + "/members" + which("ml-team/vision"), R"({"userId": "bob", "role": "viewer"})");
  served.done("PUT", projects + which("ml-team/vision"), R"({"name": "sight"})");
  const auto before = served.state();
  served.sandbox().kill();
  served.sandbox().start();
  EXPECT_EQ(testing::first_difference(before.at("projects"), served.state().at("projects")), "");
  EXPECT_EQ(testing::first_difference(before.at("containers"), served.state().at("containers")), "");
}

}  // namespace
}  // namespace neptune::sandbox
