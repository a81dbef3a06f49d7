#include "sources/client_dir/client_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/support/samples.h"
#include "tests/unit/sources/client_box.h"

namespace neptune::sources {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::uint64_t everything = 1u << 30;

ClientLog::State look(ClientLog& log, Position after = 0) {
  auto state = log.look(after, everything);
  if (!state) ADD_FAILURE() << state.error().message;
  return state.value_or(ClientLog::State{});
}

std::string problem(const ClientBox& box) {
  ClientLog log(box.path());
  const auto state = log.look(0, everything);
  return state ? "none" : state.error().code + ": " + state.error().message;
}

std::vector<Position> versions(ClientLog& log, Position first, Position last, std::uint64_t most = 1000) {
  std::vector<Position> out;
  const auto read = log.read(first, last, most, everything);
  if (!read) ADD_FAILURE() << read.error().message;
  if (read)
    for (const auto& operation : *read) out.push_back(operation.version);
  return out;
}

TEST(ClientLog, ReadsTheSampleOfTheOfflineRun) {
  const auto folder = testing::test_data() / "client-1x" / "offline" / ".neptune" / "offline";
  ClientLog log(fs::directory_iterator(folder)->path());
  const auto state = look(log);
  EXPECT_EQ(state.last, 2524);
  EXPECT_EQ(state.put, 2524);
  EXPECT_EQ(state.count, 2524u);
  EXPECT_GT(state.bytes, 400'000u);
  EXPECT_EQ(state.oldest_at, 1795452688.5489192);
  const auto read = log.read(2517, 2517, 10, everything);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 1u);
  EXPECT_THAT(read->front().json, HasSubstr(R"("type": "LogStrings", "path": ["logs"])"));
  EXPECT_EQ(versions(log, 1000, 3000, 3), (std::vector<Position>{1000, 1001, 1002}));
}

TEST(ClientLog, WhatStandsAloneEndsWhatIsReadTogether) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 9));
  ClientLog log(box.path());
  ASSERT_EQ(look(log).last, 9);
  const auto last_read = [&log](Position first) {
    const auto read =
        log.read(first, 9, 1000, everything, [](const LoggedOperation& each) { return each.version % 4 == 0; });
    return read && read->front().version == first ? read->back().version : -1;
  };
  EXPECT_EQ(last_read(1), 3);
  EXPECT_EQ(last_read(4), 4);
  EXPECT_EQ(last_read(5), 7);
  EXPECT_EQ(last_read(9), 9);
}

TEST(ClientLog, BelongsToWhoeverWroteIt) {
  const ClientBox box;
  box.write("data-1.log", ClientBox::operations(1, 1));
  ClientLog log(box.path());
  const auto own = log.origin();
  ASSERT_TRUE(own);
  EXPECT_EQ(own->directory, box.path());
  EXPECT_EQ(own->uid, ::geteuid());
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown((box.path() / "data-1.log").c_str(), 1234, 1234), 0);
  EXPECT_EQ(log.origin().value().uid, 1234u) << "in a directory of root's, too";
  box.write("data-2.log", ClientBox::operations(2, 2));
  EXPECT_EQ(log.origin().value().uid, 1234u) << "whoever may write it may be root";
  ASSERT_EQ(::chown((box.path() / "data-2.log").c_str(), 4321, 4321), 0);
  const auto mixed = log.origin();
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().code, "client_dir_owners");
}

TEST(ClientLog, FollowsALogThatGrowsAndLeavesTheTornObjectUntilItIsWhole) {
  const ClientBox box;
  box.write("last_put_version", "100");
  const auto next = ClientBox::operation(4);
  box.write("data-1.log", ClientBox::operations(1, 3) + next.substr(0, 20));
  ClientLog log(box.path());
  EXPECT_EQ(look(log).last, 3);
  EXPECT_EQ(look(log, 2).count, 1u);
  box.append("data-1.log", next.substr(20));
  EXPECT_EQ(look(log, 3).count, 1u);
  box.append("data-1.log", ClientBox::operations(5, 40));
  EXPECT_EQ(look(log, 4).count, 36u);
  EXPECT_EQ(versions(log, 39, 40), (std::vector<Position>{39, 40}));
}

TEST(ClientLog, ReadsOnInTheNextFileOnceTheClientHasBegunIt) {
  const ClientBox box;
  box.write("last_put_version", "2000");
  box.write("data-1.log", ClientBox::operations(1, 700));
  ClientLog log(box.path());
  EXPECT_EQ(look(log).last, 700);
  box.append("data-1.log", ClientBox::operations(701, 702));
  box.write("data-703.log", ClientBox::operations(703, 705));
  EXPECT_EQ(look(log).last, 705);
  box.write("data-706.log", "");
  box.append("data-706.log", ClientBox::operations(706, 706));
  EXPECT_EQ(look(log).last, 706);
  EXPECT_EQ(versions(log, 700, 706), (std::vector<Position>{700, 701, 702, 703, 704, 705, 706}));
  EXPECT_EQ(versions(log, 703, 703), (std::vector<Position>{703}));
  EXPECT_EQ(versions(log, 704, 2000, 2), (std::vector<Position>{704, 705}));
}

TEST(ClientLog, ALookThatIsEndedByItsBoundGoesOn) {
  const ClientBox box;
  box.write("last_put_version", "500");
  box.write("data-1.log", ClientBox::operations(1, 250));
  box.write("data-251.log", ClientBox::operations(251, 500));
  ClientLog log(box.path());
  int looks = 1;
  for (auto state = log.look(0, 1000); state && state->more; state = log.look(0, 1000)) ++looks;
  EXPECT_GT(looks, 10);
  EXPECT_EQ(look(log).count, 500u);
}

TEST(ClientLog, BytesOfABatchAreBoundedButOneOperationAlwaysGoes) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 9));
  ClientLog log(box.path());
  look(log);
  EXPECT_EQ(log.read(1, 9, 100, 1)->size(), 1u);
  const auto size = log.read(1, 1, 1, everything)->front().json.size();
  EXPECT_EQ(log.read(1, 9, 100, 3 * size)->size(), 3u);
}

TEST(ClientLog, WhatIsAcknowledgedIsDone) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("last_ack_version", "4");
  box.write("data-1.log", ClientBox::operations(1, 9));
  ClientLog log(box.path());
  EXPECT_EQ(look(log).count, 5u);
  EXPECT_EQ(look(log, 2).count, 5u);
  EXPECT_EQ(look(log, 7).count, 2u);
  EXPECT_EQ(versions(log, 5, 9).size(), 5u);
}

TEST(ClientLog, AcknowledgesAsTheClientDoesAndRemovesFilesThatAreDone) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 3));
  box.write("data-4.log", ClientBox::operations(4, 6));
  box.write("data-7.log", ClientBox::operations(7, 9));
  ClientLog log(box.path());
  look(log);
  ASSERT_TRUE(log.acknowledge(3));
  EXPECT_EQ(box.text("last_ack_version"), "3");
  EXPECT_TRUE(box.has("data-1.log"));
  ASSERT_TRUE(log.acknowledge(8));
  EXPECT_EQ(box.text("last_ack_version"), "8");
  EXPECT_FALSE(box.has("data-1.log"));
  EXPECT_FALSE(box.has("data-4.log"));
  EXPECT_EQ(look(log).count, 1u);
  ASSERT_TRUE(log.acknowledge(5));
  EXPECT_EQ(box.text("last_ack_version"), "8");
  ASSERT_TRUE(log.acknowledge(9));
  EXPECT_TRUE(box.has("data-7.log"));
  EXPECT_EQ(look(log).count, 0u);
  ClientLog again(box.path());
  EXPECT_EQ(look(again).last, 9);
}

TEST(ClientLog, APipeAtThePlaceOfTheAcknowledgedVersionBlocksNothing) {
  const ClientBox box;
  box.write("last_put_version", "3");
  box.write("data-1.log", ClientBox::operations(1, 3));
  ClientLog log(box.path());
  look(log);
  fs::remove(box.path() / "last_ack_version");
  const auto pipe = box.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::rename(pipe, box.path() / "last_ack_version");
  const auto unread = write_ack(open_directory(box.path()), box.path(), 3);
  ASSERT_FALSE(unread.has_value());
  EXPECT_THAT(unread.error().message, HasSubstr("no regular file"));
  const int reader = ::open((box.path() / "last_ack_version").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  EXPECT_FALSE(write_ack(open_directory(box.path()), box.path(), 3).has_value());
  char byte = 0;
  EXPECT_EQ(::read(reader, &byte, 1), 0) << "nothing was written to it";
  ::close(reader);
}

TEST(ClientLog, AnotherToolMayAcknowledgeAndRemoveMeanwhile) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 3));
  ClientLog log(box.path());
  look(log);
  box.write("data-4.log", ClientBox::operations(4, 9));
  box.write("last_ack_version", "5");
  fs::remove(box.path() / "data-1.log");
  EXPECT_EQ(look(log).count, 4u);
  EXPECT_EQ(versions(log, 6, 9), (std::vector<Position>{6, 7, 8, 9}));
}

TEST(ClientLog, APutFarAheadIsNormal) {
  const ClientBox box;
  box.write("last_put_version", "500");
  box.write("data-1.log", ClientBox::operations(1, 3));
  ClientLog log(box.path());
  EXPECT_EQ(look(log).put - look(log).last, 497);
}

TEST(ClientLog, AnEmptyDirectoryHoldsNothing) {
  const ClientBox box;
  ClientLog log(box.path());
  EXPECT_EQ(look(log).count, 0u);
  box.write("data-1.log", "");
  EXPECT_EQ(look(log).count, 0u);
}

TEST(ClientLog, RefusesABadObjectInTheMiddle) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 3) + "{\"obj\": {\"type\": \"Ass\n" + ClientBox::operations(5, 9));
  EXPECT_THAT(problem(box), HasSubstr("client_dir_damaged"));
  EXPECT_THAT(problem(box), HasSubstr("holds what is no operation of the client's at byte"));
}

TEST(ClientLog, LooksAnewAtAFileThatWasWrittenOver) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 9));
  ClientLog log(box.path());
  EXPECT_EQ(look(log).count, 9u);
  box.write("data-1.log", ClientBox::operations(1, 2) + "{\"obj\": \n" + ClientBox::operations(4, 5));
  const auto read = log.read(1, 9, 100, 1u << 20);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, "client_dir_changed");
  const auto again = log.look(0, 1u << 20);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, "client_dir_damaged");
}

TEST(ClientLog, RefusesAFileThatEndsWithinAnObjectBeforeTheNextOne) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 3) + "{\"obj\": {");
  box.write("data-4.log", ClientBox::operations(4, 9));
  EXPECT_THAT(problem(box), HasSubstr("ends within an operation although another file follows"));
}

TEST(ClientLog, RefusesALogThatLacksOperations) {
  const ClientBox box;
  box.write("last_put_version", "9");
  box.write("data-1.log", ClientBox::operations(1, 3) + ClientBox::operations(5, 9));
  EXPECT_THAT(problem(box), HasSubstr("has operation 5 after operation 3"));
  box.write("data-1.log", ClientBox::operations(1, 3));
  box.write("data-6.log", ClientBox::operations(6, 9));
  EXPECT_THAT(problem(box), HasSubstr("others are missing"));
  fs::remove(box.path() / "data-1.log");
  EXPECT_THAT(problem(box), HasSubstr("has lost its operations 1 to 5"));
}

TEST(ClientLog, RefusesAnAcknowledgedVersionBeyondWhatWasLogged) {
  const ClientBox box;
  box.write("last_put_version", "3");
  box.write("last_ack_version", "4");
  box.write("data-1.log", ClientBox::operations(1, 3));
  EXPECT_THAT(problem(box), HasSubstr("says that operation 4 is done"));
  box.write("last_ack_version", "many");
  EXPECT_THAT(problem(box), HasSubstr("holds no version of an operation"));
}

TEST(ClientLog, RefusesLinksAndWhatIsNoFile) {
  const ClientBox box;
  box.write("last_put_version", "3");
  fs::create_symlink("/etc/passwd", box.path() / "data-1.log");
  EXPECT_THAT(problem(box), HasSubstr("client_dir_unreadable"));
  fs::remove(box.path() / "data-1.log");
  ASSERT_EQ(::mkfifo((box.path() / "data-1.log").c_str(), 0600), 0);
  EXPECT_THAT(problem(box), HasSubstr("no regular file"));
}

TEST(ClientLog, IgnoresWhatIsNotCalledLikeADataFile) {
  const ClientBox box;
  box.write("last_put_version", "3");
  box.write("data-1.log", ClientBox::operations(1, 3));
  for (const auto* name : {"data-.log", "data-01.log", "data-x.log", "data-2.log.bak", "data--5.log"})
    box.write(name, "rubbish");
  EXPECT_EQ(problem(box), "none");
}

}  // namespace
}  // namespace neptune::sources
