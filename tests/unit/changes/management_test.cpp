#include "changes/management.h"

#include <gmock/gmock.h>

#include "tests/unit/changes/parsed.h"

/// Management changes read back from what is queued.
namespace neptune {
namespace {

using ::testing::ElementsAre;

template <class T>
T read_back(std::string_view body) {
  const auto change = accepted(body);
  const auto management = read_management(change.payload);
  if (!management || !std::holds_alternative<T>(*management)) {
    ADD_FAILURE() << change.payload << (management ? "" : management.error().message);
    return {};
  }
  return std::get<T>(*management);
}

TEST(Management, AProjectsCreate) {
  const auto full = read_back<ProjectCreate>(
      R"({"kind":"project.create","project":"ml-team/lab","visibility":"public","description":"a \"b\"\n\u0001ä","key":"LAB1"})");
  EXPECT_EQ(full.project, lab);
  EXPECT_EQ(full.visibility, Visibility::pub);
  EXPECT_EQ(full.description, "a \"b\"\n\x01ä");
  EXPECT_EQ(full.key, "LAB1");
  const auto bare = read_back<ProjectCreate>(R"({"kind":"project.create","project":"ml-team/lab"})");
  EXPECT_FALSE(bare.visibility || bare.description || bare.key);
}

TEST(Management, VisibilityAndRolesAreTakenInTheServersWordsAndPeoples) {
  const auto visibility = [](std::string_view word) {
    return read_back<ProjectCreate>(R"({"kind":"project.create","project":"ml-team/lab","visibility":")" +
                                    std::string(word) + "\"}")
        .visibility;
  };
  EXPECT_EQ(visibility("priv"), Visibility::priv);
  EXPECT_EQ(visibility("private"), Visibility::priv);
  EXPECT_EQ(visibility("workspace"), Visibility::workspace);
  EXPECT_EQ(visibility("pub"), Visibility::pub);
  EXPECT_EQ(visibility("public"), Visibility::pub);
  const auto role = [](std::string_view word) {
    return read_back<Membership>(R"({"kind":"member.add","project":"ml-team/lab","user":"jo","role":")" +
                                 std::string(word) + "\"}")
        .role;
  };
  EXPECT_EQ(role("viewer"), Role::viewer);
  EXPECT_EQ(role("member"), Role::member);
  EXPECT_EQ(role("contributor"), Role::member);
  EXPECT_EQ(role("manager"), Role::manager);
  EXPECT_EQ(role("owner"), Role::manager);
}

TEST(Management, ThatOnlyATeamWorkspaceHasIsRefusedForThatOnceItsTypeIsKnown) {
  for (const auto* body : {R"({"kind":"project.create","project":"ml-team/lab","visibility":"workspace"})",
                           R"({"kind":"workspace.invite","workspace":"ml-team","user":"jo","role":"member"})"}) {
    const auto change = accepted(body);
    EXPECT_TRUE(read_management(change.payload, WorkspaceType::team));
    const auto refused = read_management(change.payload, WorkspaceType::individual);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "individual_workspace");
    EXPECT_THAT(refused.error().message, ::testing::StartsWith("The workspace 'ml-team' belongs to one user"));
  }
}

TEST(Management, AProjectsUpdate) {
  const auto update = read_back<ProjectUpdate>(
      R"({"kind":"project.update","project":"ml-team/lab","visibility":"workspace","description":"","name":"other"})");
  EXPECT_EQ(update.visibility, Visibility::workspace);
  EXPECT_EQ(update.description, "");
  EXPECT_EQ(update.name, "other");
  EXPECT_FALSE(update.archived);
  EXPECT_EQ(read_back<ProjectUpdate>(R"({"kind":"project.update","project":"ml-team/lab","archived":false})").archived,
            false);
}

TEST(Management, WhatNamesAProjectOnly) {
  EXPECT_EQ(read_back<ProjectDelete>(R"({"kind":"project.delete","project":"ml-team/lab"})").project, lab);
  EXPECT_EQ(read_back<TrashEmpty>(R"({"kind":"trash.empty","project":"ml-team/lab"})").project, lab);
}

TEST(Management, AStorageLimitAndItsEnd) {
  EXPECT_EQ(read_back<StorageLimit>(
                R"({"kind":"project.set_storage_limit","project":"ml-team/lab","bytes":9000000000000000000})")
                .bytes,
            9'000'000'000'000'000'000);
  EXPECT_EQ(
      read_back<StorageLimit>(R"({"kind":"project.set_storage_limit","project":"ml-team/lab","bytes":null})").bytes,
      std::nullopt);
}

TEST(Management, Memberships) {
  for (const bool account : {false, true})
    for (const auto& [word, act] : {std::pair("add", MembershipAct::add), std::pair("update", MembershipAct::update),
                                    std::pair("remove", MembershipAct::remove)}) {
      std::string body = R"({"project":"ml-team/lab","kind":")";
      body += account ? "service_account." : "member.";
      body += word;
      body += account ? R"(","account":"jo")" : R"(","user":"jo")";
      body += act == MembershipAct::remove ? "}" : R"(,"role":"owner"})";
      const auto membership = read_back<Membership>(body);
      EXPECT_EQ(membership.act, act);
      EXPECT_EQ(membership.service_account, account);
      EXPECT_EQ(membership.who, "jo");
      EXPECT_EQ(membership.role, act == MembershipAct::remove ? Role::viewer : Role::manager);
    }
}

TEST(Management, Invitations) {
  const auto user =
      read_back<Invitation>(R"({"kind":"workspace.invite","workspace":"ml-team","user":"jo","role":"member"})");
  EXPECT_EQ(user.workspace, "ml-team");
  EXPECT_EQ(user.invitee, "jo");
  EXPECT_FALSE(user.by_email || user.owner || user.add_to_all_projects);
  const auto email = read_back<Invitation>(
      R"({"kind":"workspace.invite","workspace":"ml-team","email":"jo@x.org","role":"owner","add_to_all_projects":true})");
  EXPECT_EQ(email.invitee, "jo@x.org");
  EXPECT_TRUE(email.by_email && email.owner && email.add_to_all_projects);
}

TEST(Management, RunsAreNamedOnceEach) {
  for (const auto& [word, act] : {std::pair("trash", RunsAct::trash), std::pair("restore", RunsAct::restore),
                                  std::pair("delete", RunsAct::remove), std::pair("archive", RunsAct::archive),
                                  std::pair("unarchive", RunsAct::unarchive)}) {
    const auto change = read_back<RunsChange>(R"({"kind":"run.)" + std::string(word) +
                                              R"(","project":"ml-team/lab","runs":["LAB-1","b","LAB-1"]})");
    EXPECT_EQ(change.act, act);
    EXPECT_THAT(change.runs, ElementsAre("LAB-1", "b"));
  }
}

TEST(Management, ModelsAndVersions) {
  const auto model =
      read_back<ModelCreate>(R"({"kind":"model.create","project":"ml-team/lab","key":"FOREST","name":"Trees"})");
  EXPECT_EQ(model.key, "FOREST");
  EXPECT_EQ(model.name, "Trees");
  EXPECT_EQ(
      read_back<ModelVersionCreate>(R"({"kind":"model_version.create","project":"ml-team/lab","model":"LAB-FOREST"})")
          .model,
      "LAB-FOREST");
}

TEST(Management, WhatIsNoManagementOrDamagedIsAnError) {
  EXPECT_EQ(read_management("").error().code, "unreadable_change");
  EXPECT_EQ(read_management(R"({"kind":"project.explode"})").error().code, "unreadable_change");
  EXPECT_EQ(read_management(R"({"kind":"project.delete"})").error().code, "unreadable_change");
  EXPECT_EQ(read_management(R"({"kind":"project.metadata","project":"a/b","assign":{"a":1}})").error().code,
            "not_management");
}

}  // namespace
}  // namespace neptune
