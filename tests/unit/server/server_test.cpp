#include "server/server.h"

#include <fmt/format.h>

#include "changes/limits.h"
#include "proto/ingest_pub.pb.h"
#include "server/impl/text.h"
#include "tests/unit/server/fixture.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = Failure::Kind;
namespace pub = ingest::v1::pub;

using ServerTest = WithNeptune;

TEST_F(ServerTest, SubmitsAStreamedRequestAndTellsTheLastId) {
  neptune.call = [](const Received&) {
    pub::SubmitResponse answer;
    answer.set_request_id("old");
    answer.add_request_ids("first");
    answer.add_request_ids("last");
    return http_reply(200, answer.SerializeAsString());
  };
  const auto server = make_server();
  const auto id = run(server->submit(streamed("head", {"-one", "-two"})));
  ASSERT_TRUE(id) << id.error().message;
  EXPECT_EQ(*id, "last");
  const auto& seen = peer.requests().back();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/api/client/v1/ingest");
  EXPECT_EQ(seen.body, "head-one-two");
  EXPECT_EQ(seen.headers.at("content-type"), "application/x-protobuf");
  EXPECT_EQ(seen.headers.at("user-agent"), "neptune-syncd/test");
  EXPECT_EQ(seen.headers.at("authorization"), "Bearer " + neptune.valid);
}

TEST_F(ServerTest, TakesTheOldSingleIdToo) {
  neptune.call = [](const Received&) {
    pub::SubmitResponse answer;
    answer.set_request_id("old");
    return http_reply(200, answer.SerializeAsString());
  };
  EXPECT_EQ(run(make_server()->submit(in_memory("x"))).value_or(""), "old");
}

TEST_F(ServerTest, AnAnswerThatCannotBeReadIsAServerError) {
  const auto server = make_server();
  for (const std::string& body : {std::string(), std::string("<html>"), std::string("\x0a\xff")}) {
    neptune.call = [&](const Received&) { return http_reply(200, body); };
    const auto id = run(server->submit(in_memory("x")));
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().kind, Kind::server_error);
    EXPECT_EQ(id.error().code, "invalid_answer");
    const auto status = run(server->workspace_status("ml-team"));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, Kind::server_error);
  }
}

TEST_F(ServerTest, ChecksIdsInTheirOrder) {
  pub::RequestIdList asked;
  neptune.call = [&](const Received& request) {
    EXPECT_EQ(request.target, "/api/client/v1/ingest/check?projectIdentifier=ml-team%2Fclassi%20fication");
    EXPECT_TRUE(asked.ParseFromString(request.body));
    pub::BulkRequestStatus answer;
    auto* code = answer.add_statuses()->add_code_by_count();
    code->set_count(3);
    auto* mixed = answer.add_statuses();
    code = mixed->add_code_by_count();
    code->set_count(2);
    code = mixed->add_code_by_count();
    code->set_code(14);
    code->set_count(1);
    auto* refused = answer.add_statuses();
    code = refused->add_code_by_count();
    code->set_code(3);
    code->set_count(1);
    code->set_detail(63);
    refused->set_shared_error_message("suspended");
    answer.add_statuses();
    return http_reply(200, answer.SerializeAsString());
  };
  const auto server = make_server();
  const auto statuses = run(server->check({"ml-team", "classi fication"}, {"a", "b", "c", "d"}));
  ASSERT_TRUE(statuses) << statuses.error().message;
  ASSERT_EQ(asked.ids_size(), 4);
  EXPECT_EQ(asked.ids(2).value(), "c");
  ASSERT_EQ(statuses->size(), 4u);
  EXPECT_FALSE((*statuses)[0].pending);
  EXPECT_EQ((*statuses)[0].counts.at(0).count, 3);
  EXPECT_TRUE((*statuses)[1].pending);
  EXPECT_FALSE((*statuses)[2].pending);
  EXPECT_EQ((*statuses)[2].counts.at(0).detail, IngestCode::ingest_suspended);
  EXPECT_EQ((*statuses)[2].message, "suspended");
  EXPECT_TRUE((*statuses)[3].pending) << "a status that says nothing confirms nothing";
}

TEST_F(ServerTest, ACheckThatAnswersForAnotherNumberOfIdsConfirmsNothing) {
  neptune.call = [&](const Received&) {
    pub::BulkRequestStatus answer;
    answer.add_statuses()->add_code_by_count()->set_count(1);
    return http_reply(200, answer.SerializeAsString());
  };
  const auto statuses = run(make_server()->check({"ml-team", "p"}, {"a", "b"}));
  ASSERT_FALSE(statuses);
  EXPECT_EQ(statuses.error().kind, Kind::server_error);
}

TEST_F(ServerTest, ChecksNothingAndTooMuchWithoutAskingTheServer) {
  const auto server = make_server();
  EXPECT_TRUE(run(server->check({"ml-team", "p"}, {})).has_value());
  const auto many = run(server->check({"ml-team", "p"}, std::vector<std::string>(limits::check_ids + 1, "x")));
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().kind, Kind::rejected);
  EXPECT_TRUE(peer.requests().empty());
}

TEST_F(ServerTest, TellsAWorkspacesModeAndLimits) {
  neptune.call = [](const Received& request) {
    EXPECT_EQ(request.target, "/api/backend/v1/payments/ml%20team/status");
    return http_reply(200, R"({"mode":"read_only","storageBytesLimit":100,"storageBytesAvailable":-5,
      "activeProjectsUsage":3,"subscription":{"status":"past_due"},"unknown":[1]})");
  };
  const auto status = run(make_server()->workspace_status("ml team"));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(status->read_only);
  EXPECT_EQ(status->storage_limit, 100);
  EXPECT_EQ(status->storage_available, -5);
  EXPECT_EQ(status->active_projects, 3);
  EXPECT_EQ(status->monitoring_seconds_available, std::nullopt);
  EXPECT_EQ(status->subscription, "past_due");
}

TEST_F(ServerTest, AModeItDoesNotKnowIsNoMode) {
  neptune.call = [](const Received&) { return http_reply(200, R"({"mode":"lukewarm"})"); };
  const auto status = run(make_server()->workspace_status("ml-team"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, Kind::server_error);
}

TEST_F(ServerTest, AServerWithoutTheStatusCallSaysRejectedOrForbidden) {
  const auto server = make_server();
  for (const auto& [code, kind] : {std::pair{404, Kind::rejected}, std::pair{405, Kind::rejected},
                                   std::pair{501, Kind::rejected}, std::pair{403, Kind::forbidden}}) {
    neptune.call = [code = code](const Received&) { return http_reply(code); };
    const auto status = run(server->workspace_status("ml-team"));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, kind) << code;
  }
}

TEST_F(ServerTest, RecognisesReadOnlyModeOnASubmit) {
  neptune.call = [](const Received&) {
    return http_reply(403, R"({"errorType":"WORKSPACE_IN_READ_ONLY_MODE","title":"Storage is full"})");
  };
  const auto failed = run(make_server()->submit(streamed("h", {"abc"})));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::read_only);
  EXPECT_NE(failed.error().message.find("Storage is full"), std::string::npos);
}

TEST_F(ServerTest, DoesNotFollowRedirects) {
  neptune.call = [](const Received&) { return http_reply(302, "", {"Location: http://elsewhere.example/"}); };
  const auto failed = run(make_server()->submit(in_memory("x")));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::server_error);
  EXPECT_NE(failed.error().message.find("redirect"), std::string::npos);
}

TEST_F(ServerTest, KeepsThePathOfItsAddress) {
  neptune.base = peer.url() + "/behind/a/proxy";
  std::string target;
  neptune.meddle = [&](const Received& request) {
    target = request.target;
    return http_reply(500);
  };
  const auto server = make_server();
  EXPECT_EQ(server->url(), peer.url() + "/behind/a/proxy");
  EXPECT_FALSE(run(server->submit(in_memory("x"))));
  EXPECT_EQ(target, "/behind/a/proxy/api/backend/v1/clients/config");
}

TEST_F(ServerTest, IsNotMadeFromOptionsItCannotUse) {
  const auto code = [&](std::function<void(Options&)> change) {
    Options options;
    options.api_token = neptune.api_token();
    change(options);
    const auto server = Server::make(loop.get_executor(), clock, std::move(options));
    return server ? std::string("made") : server.error().code;
  };
  EXPECT_EQ(code([](Options&) {}), "made");
  EXPECT_EQ(code([](Options& options) { options.api_token = "x"; }), "invalid_api_token");
  EXPECT_EQ(code([](Options& options) { options.ca_file = "/no/such/file"; }), "invalid_ca_file");
  EXPECT_EQ(code([](Options& options) { options.proxy = "socks5://proxy"; }), "invalid_proxy");
}

TEST_F(ServerTest, ACallOutlivesItsServer) {
  auto server = make_server();
  auto call = start(server->submit(streamed("h", {"abc"})));
  loop.poll_one();
  server.reset();
  run_until([&] { return call->ended; });
  ASSERT_TRUE(call->value && *call->value);
  EXPECT_EQ(**call->value, "id-1");
}

}  // namespace
}  // namespace neptune::server
