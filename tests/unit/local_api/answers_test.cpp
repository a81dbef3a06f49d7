#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/lib/json.h"
#include "tests/integration/support/temp_dir.h"
#include "tests/unit/local_api/served.h"

// What each route answers, and to whom.
namespace neptune::local_api {
namespace {

using test::ask;
using test::body_of;
using test::FixedControl;
using test::RawSocket;
using test::Served;
using test::status_of;

std::string get(Served& served, std::string_view target) {
  return ask(served.path(), "GET", target);
}
std::string post(Served& served, std::string_view target) {
  return ask(served.path(), "POST", target);
}
std::string error_code(std::string_view response) {
  return api::from_json<api::ErrorReply>(body_of(response)).value().code;
}
std::vector<std::string> calls(Served& served) {
  return served.on_loop([](FixedControl& control) { return control.calls; });
}

api::Rejected rejected(std::int64_t id) {
  api::Rejected one;
  one.id = id;
  one.code = "SERIES_STEP_NON_INCREASING";
  return one;
}

TEST(Answers, StatusAndWorkspaces) {
  Served served;
  served.on_loop([](FixedControl& control) {
    control.status_now.pid = 42;
    control.status_now.workspaces.emplace_back().name = "ml-team";
  });
  EXPECT_EQ(api::from_json<api::Status>(body_of(get(served, "/v1/status"))).value().pid, 42);
  EXPECT_EQ(api::from_json<api::WorkspaceList>(body_of(get(served, "/v1/workspaces"))).value().workspaces.size(), 1u);
  EXPECT_EQ(api::from_json<api::WorkspaceStatus>(body_of(get(served, "/v1/workspaces/ml%2Dteam"))).value().name,
            "ml-team");
  const auto unknown = get(served, "/v1/workspaces/other");
  EXPECT_EQ(status_of(unknown), 404);
  EXPECT_NE(unknown.find("Known: ml-team."), std::string::npos);
}

TEST(Answers, AnErrorIsTheOneOfThePage) {
  Served served;
  served.on_loop([](FixedControl& control) {
    for (const auto* name : {"ml-team", "vision"}) control.status_now.workspaces.emplace_back().name = name;
  });
  std::ostringstream page;
  page << std::ifstream(NEPTUNE_DOCS "/local-api.md").rdbuf();
  const auto text = page.str();
  const std::string mark = "```json tested by tests/unit/local_api/answers_test.cpp\n";
  const auto at = text.find(mark);
  ASSERT_NE(at, std::string::npos);
  const auto shown = text.substr(at + mark.size(), text.find("```", at + mark.size()) - at - mark.size());
  EXPECT_EQ(boost::json::parse(body_of(get(served, "/v1/workspaces/visoin"))), boost::json::parse(shown));
}

TEST(Answers, StreamsOfAProjectOrARun) {
  Served served;
  served.on_loop([](FixedControl& control) {
    control.streams_now.resize(3);
    control.streams_now[0].project = "a/x", control.streams_now[0].container = "r1";
    control.streams_now[1].project = "a/y", control.streams_now[1].container = "r1";
    control.streams_now[2].project = "b/x", control.streams_now[2].container = "r2";
  });
  const auto count = [&](std::string_view target) {
    return api::from_json<api::StreamList>(body_of(get(served, target))).value().streams.size();
  };
  EXPECT_EQ(count("/v1/streams"), 3u);
  EXPECT_EQ(count("/v1/streams?project=a"), 2u);
  EXPECT_EQ(count("/v1/streams?project=a%2Fy"), 1u);
  EXPECT_EQ(count("/v1/streams?run=r1"), 2u);
  EXPECT_EQ(status_of(get(served, "/v1/streams?project=a%2Fb%2Fc")), 400);
}

TEST(Answers, AFileIsAskedForByItsAbsolutePath) {
  Served served;
  const auto response = ask(served.path(), "GET", "/v1/streams?file=best.pt");
  EXPECT_EQ(status_of(response), 400);
  EXPECT_NE(response.find(R"("field":"file")"), std::string::npos) << response;
  EXPECT_EQ(status_of(ask(served.path(), "GET", "/v1/streams?file=/best.pt")), 200);
}

TEST(Answers, RejectedInPagesNewestFirst) {
  Served served;
  served.on_loop([](FixedControl& control) {
    for (const int id : {9, 7, 4}) control.rejected_now.push_back(rejected(id));
  });
  const auto page = [&](std::string_view target) {
    return api::from_json<api::RejectedList>(body_of(get(served, target))).value();
  };
  auto first = page("/v1/rejected?limit=2");
  ASSERT_EQ(first.rejected.size(), 2u);
  EXPECT_EQ(first.next_before, 7);
  const auto second = page("/v1/rejected?limit=2&before=7");
  ASSERT_EQ(second.rejected.size(), 1u);
  EXPECT_EQ(second.rejected[0].id, 4);
  EXPECT_EQ(second.next_before, std::nullopt);
  EXPECT_EQ(status_of(get(served, "/v1/rejected?limit=0")), 400);
  EXPECT_EQ(status_of(get(served, "/v1/rejected?limit=1001")), 400);
  EXPECT_EQ(status_of(get(served, "/v1/rejected?before=x")), 400);
}

TEST(Answers, OneRejectedChangeAndItsBytes) {
  Served served;
  const std::string bytes("\0\xff\r\n\r\nx", 7);
  served.on_loop([&](FixedControl& control) {
    control.rejected_now.push_back(rejected(7));
    control.payload = bytes;
  });
  EXPECT_EQ(api::from_json<api::Rejected>(body_of(get(served, "/v1/rejected/7"))).value().code,
            "SERIES_STEP_NON_INCREASING");
  EXPECT_EQ(status_of(get(served, "/v1/rejected/8")), 404);
  EXPECT_EQ(status_of(get(served, "/v1/rejected/6")), 404);
  EXPECT_EQ(status_of(get(served, "/v1/rejected/seven")), 400);
  const auto payload = get(served, "/v1/rejected/7/payload");
  EXPECT_NE(payload.find("Content-Type: application/octet-stream\r\n"), std::string::npos);
  EXPECT_EQ(body_of(payload), bytes);
}

TEST(Answers, WhatTheServerListsIsAskedForNow) {
  Served served;
  const auto projects = get(served, "/v1/workspaces/ml-team/projects");
  EXPECT_EQ(api::from_json<api::ServerProjectList>(body_of(projects)).value().projects.at(0).name, "ml-team/lab");
  const auto members = get(served, "/v1/projects/ml-team%2Flab/members");
  EXPECT_EQ(api::from_json<api::MemberList>(body_of(members)).value().members.at(0).role, "owner");
  EXPECT_EQ(status_of(get(served, "/v1/projects/lab/members")), 400) << "a project has a workspace";
  served.on_loop([](FixedControl& control) { control.failure = Error{"unreachable", "nobody answers", true}; });
  EXPECT_EQ(status_of(get(served, "/v1/workspaces/ml-team/projects")), 503);
}

TEST(Answers, OperatorsVerbsReachTheEngineWithWhoAsked) {
  Served served;
  EXPECT_EQ(status_of(post(served, "/v1/rejected/7/retry")), 200);
  EXPECT_EQ(status_of(post(served, "/v1/rejected/7/discard")), 200);
  EXPECT_EQ(status_of(post(served, "/v1/flush")), 200);
  EXPECT_EQ(api::from_json<api::ScopeReply>(body_of(post(served, "/v1/scopes/ml-team%2Fx/hold"))).value().mode, "held");
  EXPECT_EQ(status_of(post(served, "/v1/scopes/ml-team/release")), 200);
  EXPECT_EQ(status_of(post(served, "/v1/scopes/ml-team/probe")), 200);
  auto said = calls(served);
  if (::geteuid() != 0) GTEST_SKIP() << "the names below are root's";
  EXPECT_EQ(said, (std::vector<std::string>{"retry 7", "discard 7", "flush", "hold ml-team/x by root",
                                            "release ml-team by root", "probe ml-team"}));
}

TEST(Answers, ADryRunOfAReleaseReleasesNothing) {
  Served served;
  const auto plan = api::from_json<api::ReleasePlan>(body_of(post(served, "/v1/scopes/ml-team/release?dry_run=1")));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->changes, 12u);
  EXPECT_TRUE(calls(served).empty());
  EXPECT_EQ(status_of(post(served, "/v1/scopes/ml-team/release?dry_run=maybe")), 400);
  EXPECT_TRUE(calls(served).empty());
}

TEST(Answers, AScopeThatIsNoneIsNamedAsTheFieldAtFault) {
  Served served;
  const auto response = post(served, "/v1/scopes/a%2Fb%2Fc/hold");
  EXPECT_EQ(status_of(response), 400);
  EXPECT_EQ(api::from_json<api::ErrorReply>(body_of(response)).value().field, "scope");
}

TEST(Answers, AnErrorOfTheEngineComesThroughWithItsSentence) {
  Served served;
  served.on_loop([](FixedControl& control) { control.failure = Error{"unknown_scope", "No such scope.", false}; });
  for (const char* target : {"/v1/scopes/a/hold", "/v1/scopes/a/release", "/v1/scopes/a/release?dry_run=1",
                             "/v1/scopes/a/probe", "/v1/rejected/1/retry", "/v1/rejected/1/discard"}) {
    const auto response = post(served, target);
    EXPECT_EQ(status_of(response), 404) << target;
    EXPECT_EQ(body_of(response), R"({"error":{"code":"unknown_scope","message":"No such scope."}})");
  }
  EXPECT_EQ(status_of(get(served, "/v1/rejected")), 404);
  EXPECT_EQ(status_of(get(served, "/v1/rejected/1/payload")), 404);
}

TEST(Answers, AWrongMethodIsToldTheRightOne) {
  Served served;
  const auto response = get(served, "/v1/flush");
  EXPECT_EQ(status_of(response), 405);
  EXPECT_NE(response.find("Allow: POST\r\n"), std::string::npos);
  EXPECT_EQ(status_of(post(served, "/v1/status")), 405);
  EXPECT_EQ(error_code(get(served, "/")), "unknown_route");
}

TEST(Answers, MetricsAreTextForPrometheus) {
  Served served;
  const auto response = get(served, "/metrics");
  EXPECT_NE(response.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), std::string::npos);
  EXPECT_NE(body_of(response).find("neptune_sync_build_info{version=\"1.2.3\"} 1\n"), std::string::npos);
}

class Permissions : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to connect as somebody else";
  }
  static std::string as_nobody(Served& served, std::string_view line) {
    auto socket = RawSocket::as(65534, 65534, served.path());
    socket.send(std::string(line) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return socket.read_to_end();
  }
};

TEST_F(Permissions, AnybodyMayReadAndNudge) {
  Served served;
  for (const char* line : {"GET /v1/status", "GET /v1/workspaces", "GET /v1/streams", "GET /v1/rejected",
                           "GET /metrics", "GET /v1/events?follow=0", "POST /v1/flush"})
    EXPECT_EQ(status_of(as_nobody(served, line)), 200) << line;
}

TEST_F(Permissions, PayloadsAreReadByWhoeverHandedThemIn) {
  Served served;
  served.on_loop([](FixedControl& control) {
    control.rejected_now.push_back(rejected(9));
    control.rejected_now.push_back(rejected(8));
    control.rejected_now.push_back(rejected(7));
    control.rejected_now[1].uid = 65534;
    control.rejected_now[2].uid = 1000;
    control.payload = "bytes";
  });
  EXPECT_EQ(body_of(as_nobody(served, "GET /v1/rejected/8/payload")), "bytes");
  EXPECT_EQ(status_of(as_nobody(served, "GET /v1/rejected/7/payload")), 403) << "another user's";
  EXPECT_EQ(status_of(as_nobody(served, "GET /v1/rejected/9/payload")), 403) << "nobody knows whose";
  EXPECT_EQ(status_of(as_nobody(served, "GET /v1/rejected/6/payload")), 404);
  EXPECT_EQ(calls(served), std::vector<std::string>{"payload 8"});
}

TEST_F(Permissions, WhatTheServerListsIsForThoseWhoMayManageTheWorkspace) {
  Options options;
  options.allow_users = {{"ml-team", {"nobody"}}};
  Served served(options);
  EXPECT_EQ(status_of(as_nobody(served, "GET /v1/workspaces/ml-team/projects")), 200);
  EXPECT_EQ(status_of(as_nobody(served, "GET /v1/projects/ml-team%2Flab/members")), 200);
  EXPECT_EQ(status_of(as_nobody(served, "GET /v1/workspaces/other/projects")), 403);
  EXPECT_EQ(status_of(as_nobody(served, "GET /v1/projects/other%2Flab/members")), 403);
  EXPECT_EQ(calls(served), (std::vector<std::string>{"projects ml-team", "members ml-team/lab"}));
}

TEST_F(Permissions, TidyingIsAskedForWithWhoAsks) {
  Options options;
  options.operator_group = "no-such-group";
  Served served(options);
  EXPECT_EQ(status_of(as_nobody(served, "POST /v1/tidy?below=/data/runs&dry_run=1")), 200);
  EXPECT_EQ(status_of(post(served, "/v1/tidy")), 200);
  EXPECT_EQ(status_of(post(served, "/v1/tidy?below=runs")), 400) << "relative to what?";
  EXPECT_EQ(calls(served), (std::vector<std::string>{"tidy /data/runs dry uid 65534", "tidy  operator uid 0"}));
}

TEST_F(Permissions, OnlyOperatorsMayChangeSomething) {
  Options options;
  options.operator_group = "no-such-group";
  Served served(options);
  for (const char* line : {"POST /v1/rejected/1/retry", "POST /v1/rejected/1/discard", "POST /v1/scopes/a/hold",
                           "POST /v1/scopes/a/release"}) {
    const auto response = as_nobody(served, line);
    EXPECT_EQ(status_of(response), 403) << line;
    EXPECT_NE(response.find("no-such-group"), std::string::npos) << response;
  }
  EXPECT_TRUE(calls(served).empty());
}

TEST_F(Permissions, EverybodyMayThrowAwayHisOwnAndWhoMayManageEverybodys) {
  Served served;
  EXPECT_EQ(status_of(as_nobody(served, "POST /v1/scopes/ml-team%2Flab/discard?run=r1")), 200);
  EXPECT_EQ(status_of(post(served, "/v1/scopes/ml-team/discard")), 200);
  EXPECT_EQ(calls(served),
            (std::vector<std::string>{"discard own of ml-team/lab r1 by nobody", "discard all of ml-team by root"}));
}

TEST_F(Permissions, MembersOfTheGroupAreOperators) {
  Options options;
  options.operator_group = "nogroup";  // nobody's own
  Served served(options);
  EXPECT_EQ(status_of(as_nobody(served, "POST /v1/scopes/a/hold")), 200);
  EXPECT_EQ(calls(served), std::vector<std::string>{"hold a by nobody"});

  auto by_list = RawSocket::as(65534, 1, served.path());  // another group at hand, a member all the same
  by_list.send("POST /v1/scopes/a/hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto response = by_list.read_to_end();
  EXPECT_EQ(status_of(response), 403) << "nobody is not listed in the group, and did not come with it";
}

/// Somebody who came with another group asks for what operators may, where `/etc/group` lists him in the group of
/// operators, and where it does not: how many answers were wrong. In a mount namespace of its own; 77: there is none.
int asks_as_member_by_list() {
  testing::TempDir temp;
  const auto groups = temp / "group";
  std::filesystem::copy_file("/etc/group", groups);
  std::ofstream(groups, std::ios::app) << "neptune-sync:x:64990:root,nobody\nneptune-others:x:64991:root\n";
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount(groups.c_str(), "/etc/group", nullptr, MS_BIND, nullptr) != 0)
    return 77;
  int wrong = 0;
  for (const auto& [group, expected] : {std::pair("neptune-sync", 200), std::pair("neptune-others", 403)}) {
    Options options;
    options.operator_group = group;
    Served served(options);
    auto socket = RawSocket::as(65534, 1, served.path());
    socket.send("POST /v1/scopes/a/hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    if (status_of(socket.read_to_end()) != expected) wrong++;
  }
  return wrong;
}

TEST_F(Permissions, WhoIsListedInTheGroupIsAnOperatorWhateverGroupsHeCameWith) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(asks_as_member_by_list());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs root to have an /etc/group of its own";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "answers were wrong";
}

TEST_F(Permissions, SomebodyWhoIsNoOperatorCannotMakeTheDaemonCallTheServerAllTheTime) {
  Served served;
  EXPECT_EQ(status_of(as_nobody(served, "POST /v1/flush")), 200);
  const auto second = as_nobody(served, "POST /v1/scopes/a/probe");
  EXPECT_EQ(status_of(second), 429);
  EXPECT_NE(second.find("Retry-After: 1"), std::string::npos);
  EXPECT_EQ(status_of(post(served, "/v1/flush")), 200) << "an operator may";
}

}  // namespace
}  // namespace neptune::local_api
