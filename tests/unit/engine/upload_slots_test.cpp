#include "engine/impl/upload_slots.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <optional>
#include <vector>

namespace neptune::engine {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class Slots : public ::testing::Test {
 protected:
  explicit Slots(std::chrono::milliseconds pace = 0ms) : slots_(loop_.get_executor(), clock_, 1, pace) {}

  /// One who asks for a place, and keeps it until it is told to give it back.
  struct Sender {
    std::string workspace;
    std::optional<UploadSlots::Slot> place;
    asio::cancellation_signal cancel;
  };

  /// Nobody may wait any more when the line goes.
  void TearDown() override {
    for (auto& sender : senders_) sender.cancel.emit(asio::cancellation_type::terminal);
    settle();
  }

  Sender& ask(const std::string& workspace) {
    auto& sender = senders_.emplace_back();
    sender.workspace = workspace;
    asio::co_spawn(loop_, take(&sender),
                   asio::bind_cancellation_slot(sender.cancel.slot(), [](const std::exception_ptr&) {}));
    settle();
    return sender;
  }
  asio::awaitable<void> take(Sender* sender) {
    auto place = co_await slots_.take(sender->workspace);
    sender->place.emplace(std::move(place));
    got_.push_back(sender->workspace);
  }
  void give_back(Sender& sender) {
    sender.place.reset();
    settle();
  }
  /// Whoever has a place gives it back, until nobody has one.
  void give_all_back() {
    for (bool any = true; any;) {
      any = false;
      for (auto& sender : senders_)
        if (sender.place) {
          any = true;
          give_back(sender);
        }
    }
  }
  void settle() {
    loop_.restart();
    loop_.poll();
  }

  asio::io_context loop_;
  const SystemClock clock_;
  UploadSlots slots_;
  std::deque<Sender> senders_;
  std::vector<std::string> got_;
};

using Names = std::vector<std::string>;

TEST_F(Slots, GoRoundAmongWorkspacesWhoeverCameFirst) {
  for (const char* workspace : {"a", "a", "a", "a", "b", "c", "c"}) ask(workspace);
  EXPECT_EQ(got_, Names{"a"});
  give_all_back();
  EXPECT_EQ(got_, (Names{"a", "a", "b", "c", "a", "c", "a"}));
}

TEST_F(Slots, GoMoreOftenToAWorkspaceOfHigherPriority) {
  slots_.set_priority("b", 2);
  for (const char* workspace : {"a", "a", "a", "a", "b", "b", "b", "b"}) ask(workspace);
  give_all_back();
  EXPECT_EQ(got_, (Names{"a", "a", "b", "b", "a", "b", "b", "a"}));
}

TEST_F(Slots, AreAsManyAsItIsToldFromThenOn) {
  for (int i = 0; i < 5; ++i) ask("a");
  EXPECT_EQ(got_.size(), 1u);
  slots_.set_places(3);
  settle();
  EXPECT_EQ(got_.size(), 3u);
  slots_.set_places(1);
  give_back(senders_[0]);
  give_back(senders_[1]);
  EXPECT_EQ(got_.size(), 3u) << "one is taken still";
  give_back(senders_[2]);
  EXPECT_EQ(got_.size(), 4u);
}

TEST_F(Slots, AreToBeGivenBackByTheWorkspaceWithTheMostToOneThatWaitsWithoutAny) {
  slots_.set_places(3);
  for (const char* workspace : {"a", "a", "b", "a", "b"}) ask(workspace);
  EXPECT_EQ(got_, (Names{"a", "a", "b"}));
  EXPECT_FALSE(slots_.is_to_make_room("a")) << "whoever waits has one";
  ask("c");
  EXPECT_TRUE(slots_.is_to_make_room("a"));
  EXPECT_FALSE(slots_.is_to_make_room("b")) << "it has one only";
  for (std::size_t i = 0; i < 3; ++i) give_back(senders_[i]);
  EXPECT_EQ(got_.size(), 6u);
  for (const char* workspace : {"a", "b", "c"}) EXPECT_FALSE(slots_.is_to_make_room(workspace)) << workspace;
}

TEST_F(Slots, GoRoundAmongWorkspacesThoughThereIsOnlyOne) {
  auto& first = ask("a");
  EXPECT_FALSE(slots_.is_to_make_room("a"));
  ask("b");
  EXPECT_TRUE(slots_.is_to_make_room("a"));
  give_back(first);
  ask("a");
  EXPECT_EQ(got_, (Names{"a", "b"}));
  EXPECT_TRUE(slots_.is_to_make_room("b"));
}

TEST_F(Slots, AreNotLostWithThoseWhoLeaveTheLine) {
  auto& first = ask("a");
  auto& leaves = ask("b");
  ask("c");
  leaves.cancel.emit(asio::cancellation_type::terminal);
  settle();
  give_back(first);
  EXPECT_EQ(got_, (Names{"a", "c"}));
}

class PacedSlots : public Slots {
 protected:
  static constexpr auto pace = 100ms;
  PacedSlots() : Slots(pace) {}

  /// How long after `since` so many had got a place.
  std::chrono::steady_clock::duration until_got(std::size_t count, std::chrono::steady_clock::time_point since) {
    loop_.restart();
    while (got_.size() < count && loop_.run_one() > 0) {
    }
    return std::chrono::steady_clock::now() - since;
  }
};

TEST_F(PacedSlots, AreHandedOutNoMoreOftenThanThereArePlacesWithinTheirPaceHoweverSoonTheyComeBack) {
  slots_.set_places(2);
  const auto since = std::chrono::steady_clock::now();
  for (int i = 0; i < 6; ++i) ask("a");
  for (const std::size_t turn : {0u, 1u, 2u}) {
    EXPECT_GE(until_got(2 * turn + 1, since), turn * pace);
    settle();
    EXPECT_EQ(got_.size(), 2 * turn + 2) << "together";
    give_back(senders_[2 * turn]);
    give_back(senders_[2 * turn + 1]);
    EXPECT_EQ(got_.size(), 2 * turn + 2) << "not before the next turn";
  }
}

TEST_F(PacedSlots, AreHandedOutAtOnceWhenTheOnesBeforeTookLong) {
  auto& first = ask("a");
  ask("a");
  loop_.restart();
  loop_.run_for(150ms);
  EXPECT_EQ(got_.size(), 1u) << "there is one place";
  give_back(first);
  EXPECT_EQ(got_.size(), 2u);
}

}  // namespace
}  // namespace neptune::engine
