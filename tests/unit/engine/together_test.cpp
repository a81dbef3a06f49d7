#include "engine/impl/together.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <vector>

namespace neptune::engine {
namespace {

namespace asio = boost::asio;

class WrittenTogether : public ::testing::Test {
 protected:
  void add(int item) {
    asio::co_spawn(loop_, adding(item), asio::detached);
    settle();
  }
  asio::awaitable<void> adding(int item) { outcomes_[item] = co_await together_.add(item); }

  asio::awaitable<Result<void>> write(std::vector<int> items) {
    groups_.push_back(std::move(items));
    boost::system::error_code ignored;
    disk_.expires_at(asio::steady_timer::time_point::max());
    co_await disk_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return answer_;
  }
  void disk_answers(Result<void> answer = {}) {
    answer_ = std::move(answer);
    disk_.cancel();
    settle();
  }
  void settle() {
    loop_.restart();
    loop_.poll();
  }

  asio::io_context loop_;
  asio::steady_timer disk_{loop_};
  Result<void> answer_;
  std::vector<std::vector<int>> groups_;
  std::map<int, Result<void>> outcomes_;
  Together<int> together_{loop_.get_executor(), [this](std::vector<int> items) { return write(std::move(items)); }};
};

using Groups = std::vector<std::vector<int>>;

TEST_F(WrittenTogether, AreThoseThatComeWhileOthersAreBeingWritten) {
  for (const int item : {1, 2, 3, 4}) add(item);
  EXPECT_EQ(groups_, (Groups{{1}}));
  EXPECT_TRUE(outcomes_.empty()) << "nothing is on disk yet";
  disk_answers();
  EXPECT_EQ(groups_, (Groups{{1}, {2, 3, 4}}));
  EXPECT_EQ(outcomes_.size(), 1u);
  add(5);
  disk_answers();
  EXPECT_EQ(groups_, (Groups{{1}, {2, 3, 4}, {5}}));
  EXPECT_EQ(outcomes_.size(), 4u);
  disk_answers();
  EXPECT_EQ(outcomes_.size(), 5u);
  for (const auto& [item, outcome] : outcomes_) EXPECT_TRUE(outcome) << item;
}

TEST_F(WrittenTogether, AreAllToldWhenItFailsAndTheNextAreWrittenAnew) {
  for (const int item : {1, 2, 3}) add(item);
  disk_answers();
  disk_answers(fail("disk_full", "no room", true));
  EXPECT_TRUE(outcomes_.at(1));
  for (const int item : {2, 3}) EXPECT_EQ(outcomes_.at(item).error().code, "disk_full");
  add(4);
  disk_answers();
  EXPECT_TRUE(outcomes_.at(4));
}

}  // namespace
}  // namespace neptune::engine
