#include <gtest/gtest.h>

#include <sstream>

#include "client/lib/json.h"
#include "tests/unit/local_api/served.h"

namespace neptune::local_api {
namespace {

using namespace std::chrono_literals;
using test::FixedControl;
using test::RawSocket;
using test::Served;
using test::status_of;

api::Event event(std::string type, std::string message = "It happened.") {
  api::Event one;
  one.type = std::move(type);
  one.message = std::move(message);
  return one;
}

void happen(Served& served, std::string type) {
  served.on_loop([&](FixedControl& control) { control.happen(event(type)); });
}

RawSocket follow(Served& served, std::string_view target) {
  RawSocket socket(served.path());
  socket.send("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  return socket;
}

/// The next line of a chunked stream; chunk heads and tails are skipped.
api::Event next_event(RawSocket& socket) {
  const auto text = socket.read_until("}\n");
  const auto begin = text.find('{');
  if (begin == std::string::npos) return {};
  return api::from_json<api::Event>(std::string_view(text).substr(begin)).value_or(api::Event{});
}

TEST(EventStream, StartsWithWhatComesFromNowOn) {
  Served served;
  happen(served, "before");
  auto socket = follow(served, "/v1/events");
  const auto head = socket.read_until("\r\n\r\n");
  EXPECT_EQ(status_of(head), 200);
  EXPECT_NE(head.find("Content-Type: application/x-ndjson\r\n"), std::string::npos);
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  happen(served, "after");
  const auto got = next_event(socket);
  EXPECT_EQ(got.type, "after");
  EXPECT_EQ(got.id, 2u);
}

TEST(EventStream, SinceAnIdStartsWithTheKeptOnes) {
  Served served;
  for (const char* type : {"one", "two", "three"}) happen(served, type);
  auto socket = follow(served, "/v1/events?since=1");
  EXPECT_EQ(next_event(socket).type, "two");
  EXPECT_EQ(next_event(socket).type, "three");
  happen(served, "four");
  EXPECT_EQ(next_event(socket).type, "four");
}

TEST(EventStream, WithoutFollowingItReturnsTheKeptOnesAndTheConnectionGoesOn) {
  Served served;
  for (const char* type : {"one", "two"}) happen(served, type);
  auto socket = follow(served, "/v1/events?follow=0");
  EXPECT_EQ(next_event(socket).type, "one");
  EXPECT_EQ(next_event(socket).type, "two");
  EXPECT_TRUE(socket.read_until("0\r\n\r\n").ends_with("0\r\n\r\n"));
  socket.send("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(socket.read_response()), 200);
}

TEST(EventStream, GivesBareLinesToAnHttp10Client) {
  Served served;
  happen(served, "one");
  RawSocket socket(served.path());
  socket.send("GET /v1/events?follow=0 HTTP/1.0\r\n\r\n");
  const auto body = test::body_of(socket.read_to_end());
  EXPECT_EQ(api::from_json<api::Event>(body).value().type, "one") << body;
}

TEST(EventStream, HeadAsksForNoEvents) {
  Served served;
  happen(served, "one");
  const auto response = test::ask(served.path(), "HEAD", "/v1/events?since=0");
  EXPECT_EQ(status_of(response), 200);
  EXPECT_TRUE(response.ends_with("\r\n\r\n")) << response;
}

TEST(EventStream, AnIdOfAnEarlierDaemonGetsAGapAndAllThatIsKept) {
  Served served;
  happen(served, "one");
  auto socket = follow(served, "/v1/events?since=5000");
  EXPECT_EQ(next_event(socket).type, "gap");
  EXPECT_EQ(next_event(socket).type, "one");
}

TEST(EventStream, WhatWasDroppedMeanwhileShowsAsAGap) {
  Served served;
  served.on_loop([](FixedControl& control) {
    control.events_kept = 2;
    for (const char* type : {"one", "two", "three", "four"}) control.happen(event(type));
  });
  auto socket = follow(served, "/v1/events?since=1");
  EXPECT_EQ(next_event(socket).type, "gap");
  EXPECT_EQ(next_event(socket).type, "three");
  EXPECT_EQ(next_event(socket).type, "four");
}

TEST(EventStream, WrongParametersAreAnsweredAsErrors) {
  Served served;
  EXPECT_EQ(status_of(test::ask(served.path(), "GET", "/v1/events?since=yesterday")), 400);
  EXPECT_EQ(status_of(test::ask(served.path(), "GET", "/v1/events?follow=perhaps")), 400);
  EXPECT_EQ(status_of(test::ask(served.path(), "GET", "/v1/events?from=1")), 400);
}

TEST(EventStream, EndsWhenTheDaemonDrains) {
  Served served;
  auto socket = follow(served, "/v1/events");
  socket.read_until("\r\n\r\n");
  served.on_loop([](FixedControl& control) { control.drain(); });
  EXPECT_EQ(next_event(socket).type, "draining");
  EXPECT_TRUE(socket.read_until("0\r\n\r\n").ends_with("0\r\n\r\n"));
  // Who comes later gets what is kept, and then the end.
  auto late = follow(served, "/v1/events?since=0");
  EXPECT_TRUE(late.read_until("0\r\n\r\n").ends_with("0\r\n\r\n"));
}

TEST(EventStream, EndsProperlyWhenTheFrontDoorStops) {
  Served served;
  auto socket = follow(served, "/v1/events");
  socket.read_until("\r\n\r\n");
  EXPECT_LT(served.stop(), 500ms);
  EXPECT_EQ(socket.read_to_end(), "0\r\n\r\n");
}

TEST(EventStream, NoticesAReaderThatLeftWithoutAnyEvent) {
  Served served;
  {
    auto socket = follow(served, "/v1/events");
    socket.read_until("\r\n\r\n");
    EXPECT_EQ(served.connections(), 1u);
  }
  EXPECT_TRUE(served.reaches_connections(0));
}

TEST(EventStream, AReaderMayCloseItsSendingHalf) {
  Served served;
  auto socket = follow(served, "/v1/events");
  socket.half_close().read_until("\r\n\r\n");
  happen(served, "one");
  EXPECT_EQ(next_event(socket).type, "one");
}

TEST(EventStream, AReaderThatTakesNothingIsClosedAndHoldsUpNobody) {
  Options options;
  options.write_timeout = 100ms;
  Served served(options);
  auto lazy = follow(served, "/v1/events?since=0");
  lazy.read_until("\r\n\r\n");
  auto keen = follow(served, "/v1/events?since=0");
  keen.read_until("\r\n\r\n");
  const std::string long_message(4096, 'x');
  std::uint64_t seen = 0;
  for (int i = 0; i < 500; ++i) {
    served.on_loop([&](FixedControl& control) { control.happen(event("synced", long_message)); });
    const auto got = next_event(keen);
    ASSERT_EQ(got.type, "synced");
    ASSERT_EQ(got.id, ++seen);
  }
  EXPECT_TRUE(served.reaches_connections(1)) << "the lazy one is gone, the keen one stays";
}

}  // namespace
}  // namespace neptune::local_api
