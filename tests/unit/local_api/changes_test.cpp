#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/lib/json.h"
#include "tests/unit/local_api/served.h"

// POST /v1/changes: what is taken, from whom, and what is said otherwise.
namespace neptune::local_api {
namespace {

using namespace std::chrono_literals;
using test::body_of;
using test::FixedControl;
using test::RawSocket;
using test::Served;
using test::status_of;
using testing::HasSubstr;

constexpr std::string_view point =
    R"({"kind": "run.update", "project": "ml-team/lab", "run": "r1", "step": 1, "append": {"loss": 0.5}})";
constexpr std::string_view removal = R"({"kind": "project.delete", "project": "ml-team/lab"})";

std::string request(std::string_view body, std::string_view type = "application/json") {
  std::string text = "POST /v1/changes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  if (!type.empty()) text += "Content-Type: " + std::string(type) + "\r\n";
  return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string submit(Served& served, std::string_view body, std::string_view type = "application/json") {
  return RawSocket(served.path()).send(request(body, type)).read_to_end();
}

std::string as_nobody(Served& served, std::string_view body) {
  return RawSocket::as(65534, 65534, served.path()).send(request(body)).read_to_end();
}

api::SubmitReply reply_of(std::string_view response) {
  EXPECT_EQ(status_of(response), 202) << response;
  return api::from_json<api::SubmitReply>(body_of(response)).value_or(api::SubmitReply{});
}

api::ErrorReply error_of(std::string_view response) {
  return api::from_json<api::ErrorReply>(body_of(response)).value_or(api::ErrorReply{});
}

std::size_t accepted(Served& served) {
  return served.on_loop([](FixedControl& control) { return control.accepted.size(); });
}

/// Waits until the daemon has taken in all that was sent.
bool all_read(Served& served, const RawSocket& socket) {
  const auto give_up = std::chrono::steady_clock::now() + 5s;
  while (std::chrono::steady_clock::now() < give_up) {
    int unread = 0;
    if (::ioctl(socket.fd(), TIOCOUTQ, &unread) != 0) return false;
    if (unread == 0) return served.on_loop([](FixedControl&) { return true; });
    std::this_thread::yield();
  }
  return false;
}

TEST(Submitting, OneObjectAnArrayOrNdjsonAreAnsweredWithIdsInOrder) {
  Served served;
  const std::string one(point), two = one + "\n" + one + "\n";
  EXPECT_EQ(reply_of(submit(served, one)).ids, std::vector<std::int64_t>{1});
  EXPECT_EQ(reply_of(submit(served, "[" + one + ", " + one + "]")).ids, (std::vector<std::int64_t>{2, 3}));
  const auto lines = reply_of(submit(served, two, "application/x-ndjson; charset=utf-8"));
  EXPECT_EQ(lines.ids, (std::vector<std::int64_t>{4, 5}));
  EXPECT_EQ(lines.accepted, 2u);
  EXPECT_EQ(lines.scopes, std::vector<std::string>{"ml-team/lab"});
}

TEST(Submitting, WhatIsNoJsonIsToldWithItsLineAlsoOfTheFileItIsAPartOf) {
  Served served;
  const auto body = std::string(point) + "\n{]\n";
  const auto told = error_of(submit(served, body, "application/x-ndjson"));
  EXPECT_THAT(told.message, HasSubstr("at line 2, column 2: "));
  EXPECT_EQ(told.field, "1");
  const auto part = [&body](const std::string& first_line) {
    auto text = request(body, "application/x-ndjson");
    return text.replace(text.find(" HTTP"), 0, "?first_line=" + first_line);
  };
  EXPECT_THAT(error_of(RawSocket(served.path()).send(part("100001")).read_to_end()).message,
              HasSubstr("at line 100002, column 2: "));
  EXPECT_EQ(error_of(RawSocket(served.path()).send(part("0")).read_to_end()).field, "first_line");
}

TEST(Submitting, ABodyWithoutATypeIsReadForWhatItIs) {
  Served served;
  const std::string one(point);
  EXPECT_EQ(reply_of(submit(served, one, "")).accepted, 1u);
  EXPECT_EQ(reply_of(submit(served, "\n [" + one + "]", "")).accepted, 1u);
  EXPECT_EQ(reply_of(submit(served, one + "\n\n" + one, "")).accepted, 2u);
  const std::string over_lines =
      "{\n\"kind\": \"run.update\", \"project\": \"ml-team/lab\",\n\"run\": \"a } \\\" { b\", \"step\": 1,\n"
      "\"append\": {\"loss\": 0.5}\n}\n";
  EXPECT_EQ(reply_of(submit(served, over_lines, "")).accepted, 1u);
  EXPECT_EQ(status_of(submit(served, "loss=0.5", "")), 400);
  EXPECT_EQ(status_of(submit(served, "", "")), 400);
}

TEST(Submitting, ABodyMayBeginWithAByteOrderMark) {
  Served served;
  const std::string mark = "\xEF\xBB\xBF", one(point);
  EXPECT_EQ(reply_of(submit(served, mark + one)).accepted, 1u);
  EXPECT_EQ(reply_of(submit(served, mark + "[" + one + "]", "")).accepted, 1u);
  EXPECT_EQ(reply_of(submit(served, mark + one + "\n" + one, "")).accepted, 2u);
}

TEST(Submitting, AnotherTypeIsRefusedWithTheRightOnes) {
  Served served;
  const auto response = submit(served, point, "application/x-www-form-urlencoded");
  EXPECT_EQ(status_of(response), 415);
  EXPECT_THAT(error_of(response).message, HasSubstr("application/x-ndjson"));
  EXPECT_EQ(accepted(served), 0u);
}

TEST(Submitting, TheEngineIsToldWhoItWas) {
  Served served;
  EXPECT_EQ(status_of(submit(served, point)), 202);
  const auto by = served.on_loop([](FixedControl& control) { return control.accepted.at(0).second; });
  EXPECT_EQ(by.uid, ::geteuid());
  const auto* user = ::getpwuid(::geteuid());
  EXPECT_EQ(by.name, user ? user->pw_name : "uid " + std::to_string(::geteuid()));
}

TEST(Submitting, ABadChangeIsNamedByIndexAndFieldAndNothingIsTaken) {
  Served served;
  const std::string bad = R"({"kind": "project.create", "project": "ml-team/lab", "visibility": "secret"})";
  const auto one = submit(served, bad);
  EXPECT_EQ(status_of(one), 400);
  EXPECT_EQ(error_of(one).field, "visibility");
  const auto second = submit(served, "[" + std::string(point) + "," + bad + "]");
  EXPECT_EQ(status_of(second), 400);
  EXPECT_EQ(error_of(second).field, "1.visibility");
  EXPECT_EQ(accepted(served), 0u);
}

TEST(Submitting, AFileThatTheEngineCannotTakeIsNamedAsTheFieldAtFault) {
  Served served;
  const std::string upload =
      R"({"kind": "run.upload", "project": "a/b", "run": "r", "attribute": "x", "file": "/nowhere"})";
  const auto fail_at = [&served](const char* code, std::optional<std::size_t> change) {
    served.on_loop([&](FixedControl& control) {
      control.failure = Error{code, "A sentence."};
      control.at_fault = change;
    });
  };
  const auto two = "[" + upload + "," + upload + "]";
  fail_at("file_missing", 0);
  EXPECT_EQ(error_of(submit(served, upload)).field, "file");
  EXPECT_EQ(error_of(submit(served, two)).field, "0.file");
  fail_at("file_missing", 1);
  EXPECT_EQ(error_of(submit(served, two)).field, "1.file");
  fail_at("held_writes", 1);
  EXPECT_EQ(error_of(submit(served, two)).field, "1");
  EXPECT_EQ(status_of(submit(served, two)), 409);
  fail_at("queue_full", std::nullopt);
  EXPECT_EQ(error_of(submit(served, two)).field, std::nullopt);
}

TEST(Submitting, AChangeOverItsLimitIsTooLargeAndSoIsABody) {
  Options options;
  options.max_changes_bytes = 4 << 20;
  Served served(options);
  std::string change = R"({"kind": "model.update", "project": "a/lab", "model": "M", "assign": {)";
  for (int i = 0; i < 3; ++i)
    change += (i ? ",\"t" : "\"t") + std::to_string(i) + "\":\"" + std::string(900'000, 'x') + "\"";
  const auto response = submit(served, change + "}}");
  EXPECT_EQ(status_of(response), 413) << response;
  EXPECT_EQ(error_of(response).code, "change_too_large");
  const auto announced = RawSocket(served.path())
                             .send("POST /v1/changes HTTP/1.1\r\nHost: x\r\nContent-Length: 4194305\r\n\r\n")
                             .read_to_end();
  EXPECT_EQ(error_of(announced).code, "body_too_large") << "it must not wait for a body it will not take";
  EXPECT_EQ(accepted(served), 0u);
}

TEST(Submitting, ALargeBodyIsReadBesideTheLoopWithWhatIsKnownOfItsWorkspaces) {
  Served served;
  std::string lines;
  for (int i = 0; i < 3'000; ++i) lines += std::string(point) + "\n";
  EXPECT_EQ(status_of(submit(served, lines)), 400) << "that was said to be one object";
  EXPECT_EQ(reply_of(submit(served, lines, "")).accepted, 3'000u);
  lines += R"({"kind": "project.create", "project": "ml-team/lab", "visibility": "workspace"})";
  EXPECT_EQ(reply_of(submit(served, lines, "")).accepted, 3'001u);
  served.on_loop([](FixedControl& control) { control.type = WorkspaceType::individual; });
  const auto response = submit(served, lines, "");
  EXPECT_EQ(status_of(response), 400);
  EXPECT_EQ(error_of(response).field, "3000.visibility");
}

TEST(Submitting, OtherRoutesKeepTheirSmallLimit) {
  Served served;
  const auto response = test::ask(served.path(), "POST", "/v1/flush", "Content-Length: 70000\r\n\r\n");
  EXPECT_EQ(status_of(response), 413);
}

TEST(Submitting, ErrorsOfTheEngineHaveTheirStatus) {
  Served served;
  for (const auto& [code, status] : std::map<std::string, int>{
           {"queue_full", 507}, {"disk_full", 507}, {"low_disk", 507}, {"held_writes", 409}, {"draining", 503}}) {
    served.on_loop([&](FixedControl& control) { control.failure = Error{code, "A sentence.", true}; });
    const auto response = submit(served, point);
    EXPECT_EQ(status_of(response), status) << code;
    EXPECT_EQ(error_of(response).code, code);
  }
}

TEST(Submitting, OneUsersLargeBodiesLeaveRoomForTheOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to connect as somebody else";
  Options options;
  options.max_bodies_bytes = 400'000;
  Served served(options);
  const std::string body = std::string(point) + std::string(150'000, ' ');
  auto half = RawSocket(served.path());
  half.send(request(body).substr(0, 120'000));
  ASSERT_TRUE(all_read(served, half));
  const auto response = submit(served, body);
  EXPECT_EQ(status_of(response), 503) << "with the first, that is more than half of all";
  EXPECT_THAT(response, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_EQ(status_of(as_nobody(served, body)), 202);
  EXPECT_EQ(status_of(submit(served, point)), 202) << "a small one needs no room";
  half.send(request(body).substr(120'000));
  EXPECT_EQ(status_of(half.read_to_end()), 202);
}

TEST(Submitting, LargeBodiesOfOneUserSideBySideDoNotKeepEachOtherFromTheirEnds) {
  Options options;
  options.max_bodies_bytes = 400'000;
  Served served(options);
  const std::string body = std::string(point) + std::string(150'000, ' ');
  std::string chunked =
      "POST /v1/changes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 3; ++i)
    chunked += "C350\r\n" + (i ? std::string() : std::string(point)) +
               std::string(50'000 - (i ? 0 : point.size()), ' ') + "\r\n";
  chunked += "0\r\n\r\n";
  for (const auto& text : {request(body), chunked}) {
    RawSocket first(served.path()), second(served.path()), third(served.path());
    for (auto* socket : {&first, &second, &third}) {
      socket->send(std::string_view(text).substr(0, 66'300));
      ASSERT_TRUE(all_read(served, *socket));
    }
    // All go on at the same moment.
    served.on_loop([&](FixedControl&) {
      for (auto* socket : {&first, &second, &third}) socket->send(std::string_view(text).substr(66'300, 20'000));
    });
    EXPECT_EQ(status_of(first.send(std::string_view(text).substr(86'300)).read_to_end()), 202);
    EXPECT_EQ(status_of(second.read_to_end()), 503);
    EXPECT_EQ(status_of(third.read_to_end()), 503);
    EXPECT_EQ(status_of(RawSocket(served.path()).send(text).read_to_end()), 202) << "the room came back";
  }
}

TEST(Submitting, WhoIsRefusedWhileStillSendingMaySendToTheEndAndReadsWhy) {
  Options options;
  options.max_bodies_bytes = 400'000;
  Served served(options);
  for (const auto& [size, code] :
       std::map<std::size_t, std::string>{{1'000'000, "too_many_bodies"}, {20'000'000, "body_too_large"}}) {
    const auto text = request(std::string(size, ' '));
    RawSocket socket(served.path());
    ASSERT_EQ(::send(socket.fd(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(error_of(socket.read_to_end()).code, code);
  }
  EXPECT_TRUE(served.reaches_connections(0));
}

TEST(Submitting, WhoGoesOnSendingAfterARefusalIsCutOffInTheEnd) {
  Options options;
  options.request_timeout = 200ms;
  Served served(options);
  RawSocket socket(served.path());
  socket.send("POST /v1/changes HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(error_of(socket.read_to_end()).code, "body_too_large");
  EXPECT_TRUE(served.reaches_connections(0));
  EXPECT_LT(::send(socket.fd(), "x", 1, MSG_NOSIGNAL), 0);
}

TEST(Submitting, ARefusalThatIsStillBeingListenedToDoesNotKeepTheDaemonFromStopping) {
  Served served;
  RawSocket socket(served.path());
  socket.send("POST /v1/changes HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(error_of(socket.read_to_end()).code, "body_too_large");
  EXPECT_EQ(served.connections(), 1u);
  EXPECT_LT(served.stop(), 500ms);
}

TEST(Submitting, ABodyThatDripsIsGivenUpAndOneThatFlowsIsNot) {
  Options options;
  options.request_timeout = 300ms;
  Served served(options);
  RawSocket drips(served.path());
  drips.send("POST /v1/changes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + std::string(100'000, ' '));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(drips.read_to_end(), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  EXPECT_TRUE(served.reaches_connections(0));
  EXPECT_EQ(status_of(submit(served, std::string(point) + std::string(8 << 20, ' '))), 202);
}

TEST(Submitting, TooManyAtOnceAreToldWhenToComeBack) {
  Options options;
  options.intake_per_second = 0.5;
  options.intake_burst = 2;
  Served served(options);
  EXPECT_EQ(status_of(submit(served, point)), 202);
  EXPECT_EQ(status_of(submit(served, point)), 202);
  const auto response = submit(served, point);
  EXPECT_EQ(status_of(response), 429);
  EXPECT_THAT(response, HasSubstr("Retry-After: 2\r\n"));
  EXPECT_EQ(accepted(served), 2u);
  EXPECT_EQ(status_of(test::ask(served.path(), "GET", "/v1/status")), 200) << "looking is not limited";
}

TEST(Submitting, AClientThatGoesAwayHalfwayLeavesNothing) {
  Served served;
  for (int i = 0; i < 20; ++i) {
    RawSocket gone(served.path());
    gone.send("POST /v1/changes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + std::string(100'000, ' '));
  }
  EXPECT_TRUE(served.reaches_connections(0));
  EXPECT_EQ(accepted(served), 0u);
}

class Power : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to connect as somebody else";
    options_.operator_group = "no-such-group";
  }
  Options options_;
};

TEST_F(Power, MetadataIsEverybodysAndManagementIsNot) {
  Served served(options_);
  EXPECT_EQ(status_of(as_nobody(served, point)), 202);
  const auto refused = as_nobody(served, removal);
  EXPECT_EQ(status_of(refused), 403);
  const auto error = error_of(refused);
  EXPECT_EQ(error.code, "not_permitted");
  EXPECT_EQ(error.field, "kind");
  EXPECT_THAT(error.message, HasSubstr("A project.delete in ml-team is not for the user nobody"));
  EXPECT_THAT(error.message, HasSubstr("no-such-group"));
  EXPECT_THAT(error.message, HasSubstr("allow_users"));
  EXPECT_EQ(status_of(submit(served, removal)), 202) << "root may";
}

TEST_F(Power, OneThatIsNotPermittedKeepsOutTheWholeBody) {
  Served served(options_);
  const auto refused = as_nobody(served, "[" + std::string(point) + "," + std::string(removal) + "]");
  EXPECT_EQ(status_of(refused), 403);
  EXPECT_EQ(error_of(refused).field, "1.kind");
  EXPECT_EQ(accepted(served), 0u);
}

TEST_F(Power, OfAWorkspaceIsForItsAllowedUsers) {
  options_.allow_users = {{"ml-team", {"no-such-user", "nobody"}}, {"other", {"no-such-user"}}};
  Served served(options_);
  EXPECT_EQ(status_of(as_nobody(served, removal)), 202);
  EXPECT_EQ(status_of(as_nobody(served, R"({"kind": "project.delete", "project": "other/lab"})")), 403);
  EXPECT_EQ(status_of(RawSocket::as(65534, 65534, served.path())
                          .send("POST /v1/scopes/ml-team/hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                          .read_to_end()),
            403)
      << "holding is for operators";
}

TEST_F(Power, OfEveryWorkspaceIsForTheGroup) {
  options_.operator_group = "nogroup";  // nobody's own
  Served served(options_);
  EXPECT_EQ(status_of(as_nobody(served, removal)), 202);
}

}  // namespace
}  // namespace neptune::local_api
