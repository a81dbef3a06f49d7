#include <gmock/gmock.h>

#include "tests/unit/server/answers.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;
using ::testing::HasSubstr;

const std::string members = projects + "/members";
const std::string accounts = projects + "/service_accounts";
const std::string list_accounts = "GET /api/backend/v1/serviceAccounts?organizationIdentifier=ml-team";
const std::string invite = "POST /api/backend/v1/invitations/organization";
const std::string list_workspace = "GET /api/backend/v1/organizations2/ml-team/members";

Membership member(MembershipAct act, Role role = Role::viewer) {
  return {lab, act, false, "jackie", role};
}

Membership account(MembershipAct act, Role role = Role::viewer) {
  return {lab, act, true, "ci@ml-team", role};
}

Invitation invitation() {
  return {"ml-team", "sam@example.org", true, false, true};
}

using Members = WithAnswers;

TEST_F(Members, AreAddedChangedAndRemovedByTheirNames) {
  answers.on("POST " + members + which, "{}");
  answers.on("PATCH " + members + "/jackie" + which, "{}");
  answers.on("DELETE " + members + "/jackie" + which, http_reply(200));
  expect_one_call(member(MembershipAct::add, Role::member), "POST " + members + which,
                  R"({"role":"member","userId":"jackie"})");
  expect_one_call(member(MembershipAct::update, Role::manager), "PATCH " + members + "/jackie" + which,
                  R"({"role":"manager"})");
  expect_one_call(member(MembershipAct::remove), "DELETE " + members + "/jackie" + which, "");
}

TEST_F(Members, RemovingSomebodyWhoIsGoneIsASuccess) {
  for (const auto& gone : {refusal_of(404, "USER_NOT_IN_PROJECT"), refusal_of(422, "USER_NOT_IN_PROJECT"),
                           refusal_of(404, "PROJECT_NOT_FOUND")}) {
    answers = {};
    answers.on("DELETE " + members + "/jackie" + which, gone);
    EXPECT_TRUE(manage(member(MembershipAct::remove)));
  }
}

TEST_F(Members, NobodyIsRemovedByABareNotFoundUnlessTheMembersLackThem) {
  answers.on("DELETE " + members + "/jackie" + which, http_reply(404));
  answers.on("GET " + projects + "/membersOf" + which,
             R"([{"role":"viewer","registeredMemberInfo":{"username":"jackie"}}])");
  answers.on("GET " + projects + "/membersOf" + which, http_reply(404));
  answers.on("GET " + projects + "/membersOf" + which, "[]");
  answers.on(list_accounts, R"([{"id":"sa1","name":"ci@ml-team"}])");
  answers.on("DELETE " + accounts + "/sa1" + which, http_reply(404));
  answers.on("GET " + accounts + which, R"([{"role":"member","serviceAccountInfo":{"id":"sa1","name":"ci@ml-team"}}])");
  answers.on("GET " + accounts + which, http_reply(404));
  answers.on("GET " + accounts + which, "[]");
  for (const auto& removal : {member(MembershipAct::remove), account(MembershipAct::remove)}) {
    for (int i = 0; i < 2; ++i) {
      const auto reply = manage(removal);
      ASSERT_FALSE(reply);
      EXPECT_TRUE(speaks_of_the_route(reply.error())) << reply.error().code;
      EXPECT_THAT(reply.error().message, HasSubstr("something before the server answered"));
    }
    EXPECT_TRUE(manage(removal));
  }
}

TEST_F(Members, NoAccountIsMissingByABareNotFound) {
  answers.on(list_accounts, http_reply(404));
  for (const auto act : {MembershipAct::add, MembershipAct::remove}) {
    const auto reply = manage(account(act));
    ASSERT_FALSE(reply);
    EXPECT_TRUE(speaks_of_the_route(reply.error())) << reply.error().code;
  }
}

TEST_F(Members, ChangingTheRoleOfSomebodyWhoIsGoneIsRefused) {
  answers.on("PATCH " + members + "/jackie" + which, refusal_of(404, "USER_NOT_IN_PROJECT"));
  const auto reply = manage(member(MembershipAct::update));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
}

TEST_F(Members, AddingSomebodyWhoIsThereIsASuccessAndAnotherRoleIsChanged) {
  answers.on("POST " + members + which, http_reply(409));
  answers.on("PATCH " + members + "/jackie" + which, "{}");
  answers.on("GET " + projects + "/membersOf" + which,
             R"([{"role":"manager","invitationInfo":{}},{"role":"viewer","registeredMemberInfo":{"username":"jo"}},)"
             R"({"role":"viewer","registeredMemberInfo":{"username":"jackie"}}])");
  EXPECT_TRUE(manage(member(MembershipAct::add, Role::viewer)));
  EXPECT_EQ(answers.calls.back(), "GET " + projects + "/membersOf" + which);
  EXPECT_TRUE(manage(member(MembershipAct::add, Role::manager)));
  EXPECT_EQ(answers.calls.back(), "PATCH " + members + "/jackie" + which);
  EXPECT_EQ(answers.bodies.back(), R"({"role":"manager"})");
}

TEST_F(Members, ACollisionWithSomebodyWhoIsNotListedIsRefused) {
  answers.on("POST " + members + which, refusal_of(409, "USER_ALREADY_INVITED"));
  answers.on("GET " + projects + "/membersOf" + which, "[]");
  const auto reply = manage(member(MembershipAct::add));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_EQ(reply.error().code, "USER_ALREADY_INVITED");
}

TEST_F(Members, AChangeOfRoleAfterACollisionFailsAsTheServerSays) {
  answers.on("POST " + members + which, http_reply(409));
  answers.on("GET " + projects + "/membersOf" + which,
             R"([{"role":"viewer","registeredMemberInfo":{"username":"jackie"}}])");
  answers.on("PATCH " + members + "/jackie" + which, refusal_of(403, "WORKSPACE_IN_READ_ONLY_MODE"));
  const auto reply = manage(member(MembershipAct::add, Role::manager));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::read_only);
}

TEST_F(Members, ServiceAccountsAreNamedByIdsThatAreLookedUpOnce) {
  answers.on(list_accounts, R"([{"id":"other","name":"nightly@ml-team"},{"id":"sa/1","name":"ci@ml-team"}])");
  answers.on("POST " + accounts + which, "{}");
  answers.on("PATCH " + accounts + "/sa%2F1" + which, "{}");
  answers.on("DELETE " + accounts + "/sa%2F1" + which, http_reply(200));
  EXPECT_TRUE(manage(account(MembershipAct::add, Role::member)));
  EXPECT_EQ(answers.bodies.back(), R"({"role":"member","serviceAccountId":"sa/1"})");
  expect_one_call(account(MembershipAct::update), "PATCH " + accounts + "/sa%2F1" + which, R"({"role":"viewer"})");
  expect_one_call(account(MembershipAct::remove), "DELETE " + accounts + "/sa%2F1" + which, "");
}

TEST_F(Members, AnAccountThatWasMadeAnewIsFoundByItsNewId) {
  answers.on(list_accounts, R"([{"id":"old","name":"ci@ml-team"}])");
  answers.on(list_accounts, R"([{"id":"new","name":"ci@ml-team"}])");
  answers.on("DELETE " + accounts + "/old" + which, http_reply(200));
  answers.on("DELETE " + accounts + "/old" + which, http_reply(404));
  answers.on("DELETE " + accounts + "/new" + which, http_reply(200));
  EXPECT_TRUE(manage(account(MembershipAct::remove)));
  EXPECT_TRUE(manage(account(MembershipAct::remove)));
  EXPECT_EQ(answers.calls.back(), "DELETE " + accounts + "/new" + which);
}

TEST_F(Members, AnAccountThatTheWorkspaceLacksCanOnlyBeRemoved) {
  answers.on(list_accounts, "[]");
  EXPECT_TRUE(manage(account(MembershipAct::remove)));
  const auto reply = manage(account(MembershipAct::add));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_THAT(reply.error().message, HasSubstr("no service account 'ci@ml-team'"));
}

TEST_F(Members, AddingAnAccountThatIsThereIsASuccessAndAnotherRoleIsChanged) {
  answers.on(list_accounts, R"([{"id":"sa1","name":"ci@ml-team"}])");
  answers.on("POST " + accounts + which, http_reply(409));
  answers.on("GET " + accounts + which, R"([{"role":"member","serviceAccountInfo":{"id":"sa1","name":"ci@ml-team"}}])");
  EXPECT_TRUE(manage(account(MembershipAct::add, Role::member)));
  answers.on("PATCH " + accounts + "/sa1" + which, "{}");
  EXPECT_TRUE(manage(account(MembershipAct::add, Role::viewer)));
  EXPECT_EQ(answers.calls.back(), "PATCH " + accounts + "/sa1" + which);
  EXPECT_EQ(answers.bodies.back(), R"({"role":"viewer"})");
}

TEST_F(Members, TheLimitOfMembersStopsThisChangeOnly) {
  answers.on("POST " + members + which, refusal_of(422, "LIMIT_OF_PROJECT_MEMBERS_REACHED"));
  const auto reply = manage(member(MembershipAct::add));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
}

TEST_F(Members, AreListedWithTheServiceAccounts) {
  answers.on("GET " + projects + "/membersOf" + which,
             R"([{"role":"manager","registeredMemberInfo":{"username":"jackie"}}])");
  answers.on("GET " + accounts + which, R"([{"role":"member","serviceAccountInfo":{"id":"sa1","name":"ci@ml-team"}}])");
  const auto found = run(server->members(lab));
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ(found->front().name, "jackie");
  EXPECT_EQ(found->front().role, "manager");
  EXPECT_TRUE(found->back().service_account);
}

TEST_F(Members, AreInvitedIntoAWorkspace) {
  answers.on(invite, R"({"invitations":[{}]})");
  expect_one_call(invitation(), invite,
                  R"({"organizationIdentifier":"ml-team","invitationsEntries":[{"invitee":"sam@example.org",)"
                  R"("invitationType":"emailRecipient","roleGrant":"member","addToAllProjects":true}]})");
  expect_one_call(Invitation{"ml-team", "sam", false, true, false}, invite,
                  R"({"organizationIdentifier":"ml-team","invitationsEntries":[{"invitee":"sam",)"
                  R"("invitationType":"user","roleGrant":"owner","addToAllProjects":false}]})");
}

TEST_F(Members, AnInvitationThatIsOutAlreadyIsASuccessAndAnotherRoleIsChanged) {
  answers.on(invite, http_reply(409));
  answers.on(list_workspace,
             R"([{"role":"owner","registeredMemberInfo":{"username":"sam"}},)"
             R"({"role":"member","invitationInfo":{"id":"i/1","invitee":"Sam@Example.org","roleGrant":"member"},)"
             R"("numberOfProjects":3,"totalNumberOfProjects":3}])");
  answers.on("PUT /api/backend/v1/invitations/organization/i%2F1", "{}");
  EXPECT_TRUE(manage(invitation()));
  EXPECT_EQ(answers.calls.back(), list_workspace);
  auto owner = invitation();
  owner.owner = true;
  EXPECT_TRUE(manage(owner));
  EXPECT_EQ(answers.calls.back(), "PUT /api/backend/v1/invitations/organization/i%2F1");
  EXPECT_EQ(answers.bodies.back(), R"({"roleGrant":"owner"})");
}

/// How the workspace lists somebody who is invited as a member, or is one.
std::string invited(const std::string& more) {
  return R"([{"role":"member","invitationInfo":{"id":"i1","invitee":"sam@example.org","roleGrant":"member"})" + more +
         "}]";
}
std::string belongs(const std::string& more) {
  return R"([{"role":"member","registeredMemberInfo":{"username":"sam"})" + more + "}]";
}

TEST_F(Members, AnInvitationThatIsOutAndDoesNotLeadIntoAllProjectsIsMadeAnew) {
  for (const std::string more : {R"(,"numberOfProjects":1,"totalNumberOfProjects":3)", ""}) {
    answers = {};
    answers.on(invite, http_reply(409));
    answers.on(list_workspace, invited(more));
    answers.on("DELETE /api/backend/v1/invitations/organization/i1", http_reply(200));
    answers.on(invite, R"({"invitations":[{}]})");
    EXPECT_TRUE(manage(invitation()));
    ASSERT_GE(answers.calls.size(), 2u);
    EXPECT_EQ(answers.calls[answers.calls.size() - 2], "DELETE /api/backend/v1/invitations/organization/i1");
    EXPECT_EQ(answers.calls.back(), invite);
    EXPECT_THAT(answers.bodies.back(), HasSubstr(R"("addToAllProjects":true)"));
  }
}

TEST_F(Members, AnInvitationIntoAllProjectsIsRefusedForAMemberWhoIsNotInAllOfThem) {
  const Invitation into_all{"ml-team", "sam", false, false, true};
  answers.on(invite, http_reply(409));
  answers.on(list_workspace, belongs(R"(,"numberOfProjects":1,"totalNumberOfProjects":3)"));
  const auto reply = manage(into_all);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::rejected);
  EXPECT_THAT(reply.error().message, HasSubstr("not to all of its projects"));
  answers = {};
  answers.on(invite, http_reply(409));
  answers.on(list_workspace, belongs(R"(,"numberOfProjects":3,"totalNumberOfProjects":3)"));
  EXPECT_TRUE(manage(into_all));
}

TEST_F(Members, AnInvitationDoesNotChangeTheRoleOfAMember) {
  answers.on(invite, http_reply(409));
  answers.on(list_workspace, R"([{"role":"owner","registeredMemberInfo":{"username":"sam"}}])");
  EXPECT_TRUE(manage(Invitation{"ml-team", "sam", false, true, false}));
  const auto other = manage(Invitation{"ml-team", "sam", false, false, false});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, Kind::rejected);
  EXPECT_THAT(other.error().message, HasSubstr("as owner and not as member"));
}

}  // namespace
}  // namespace neptune::server
