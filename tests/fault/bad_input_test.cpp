// Logs that cannot be read: set aside with a sentence, untouched, the others finish, and tried again when they change.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <sstream>

#include "tests/integration/box.h"
#include "tests/integration/support/run_log_writer.h"

namespace neptune::testing {
namespace {

std::string contents(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

std::filesystem::path write_log(const std::filesystem::path& folder, const std::string& run, std::size_t big = 0) {
  RunLogWriter log({.directory = folder, .project = "ml-team/lab", .run = run, .experiment = {}, .fork = {}});
  log.append(1'000'000, {{"train/loss", 0.5}});
  if (big > 0) log.append_raw(0, std::string(big, 'x'));
  log.close(false);
  return log.path();
}

void sql(const std::filesystem::path& file, const std::string& statement) {
  ASSERT_EQ(std::system(fmt::format("sqlite3 '{}' \"{}\"", file.string(), statement).c_str()), 0);
}

/// What a statement prints.
std::string asked(const std::filesystem::path& file, const std::string& query) {
  const auto answer = file.parent_path().parent_path() / "answer";
  EXPECT_EQ(std::system(fmt::format("sqlite3 '{}' \"{}\" > '{}'", file.string(), query, answer.string()).c_str()), 0);
  return contents(answer);
}

/// The bytes of the only large operation cannot be read to their end any more; how many there are is still known.
void break_a_chain_of_pages(const std::filesystem::path& file) {
  constexpr std::size_t page = 4096;
  const auto bytes = contents(file);
  const std::string filled(page - 4, 'x');
  for (std::size_t at = 0; at + page <= bytes.size(); at += page) {
    if (bytes.compare(at + 4, filled.size(), filled) != 0) continue;
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(at));
    stream << std::string(4, '\xff');
    return;
  }
  FAIL() << "the operation fills no page";
}

bool has_open(const Process& process, const std::filesystem::path& file) {
  std::error_code ignored;
  for (const auto& fd : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", process.pid())))
    if (std::filesystem::read_symlink(fd, ignored).string().starts_with(file.string())) return true;
  return false;
}

struct BadLog {
  std::string name;
  void (*spoil)(const std::filesystem::path& file);
  bool begins_well = false;  ///< its first operations are synced, and may be taken out
};

class BadInput : public ::testing::TestWithParam<BadLog> {};

TEST_P(BadInput, IsSetAsideWithASentenceAndItsFileUntouchedWhileTheOthersFinish) {
  Box box({.start = false});
  const auto bad = write_log(box.runs(), "bad", 20'000);
  GetParam().spoil(bad);
  const auto before = contents(bad);
  const auto waiting = "SELECT count(*), max(sequence_id) FROM run_operations WHERE operation_type = 0";
  const auto rows = GetParam().begins_well ? asked(bad, waiting) : std::string();
  write_log(box.runs(), "good");
  box.start_daemon();
  EXPECT_EQ(box.sync({"wait", "--run", "good", "--timeout", "30s"}).status, 0);
  const auto [aside, status] = box.wait_status([](const auto& s) {
    for (const auto& source : s.at("sources").as_array())
      if (source.at("state").as_string() == "set_aside") return true;
    return false;
  });
  ASSERT_TRUE(aside) << boost::json::serialize(status);
  EXPECT_EQ(box.sync({"wait", "--timeout", "30s"}).status, 1) << "not all is synced, and waiting mends nothing";
  const auto waited = box.sync({"wait", "--run", "bad", "--timeout", "30s"});
  EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
  for (const auto& source : status.at("sources").as_array())
    if (source.at("state").as_string() == "set_aside") {
      EXPECT_GT(source.at("detail").as_string().size(), 20u);
    }
  EXPECT_TRUE(box.daemon().running());
  EXPECT_TRUE(box.wait_status([&](const auto&) { return !has_open(box.daemon(), bad); }).first) << "it is let go of";
  if (GetParam().begins_well) {
    EXPECT_EQ(asked(bad, waiting), rows);
  } else {
    EXPECT_EQ(contents(bad), before);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadInput,
    ::testing::Values(
        BadLog{"NoDatabase", [](const std::filesystem::path& file) { std::ofstream(file) << std::string(8192, 'x'); }},
        BadLog{"Corrupt",
               [](const std::filesystem::path& file) {
                 std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
                 stream.seekp(100);
                 stream << std::string(16000, '\xa5');
               }},
        BadLog{"AnotherVersion",
               [](const std::filesystem::path& file) { sql(file, "UPDATE metadata SET version='v6'"); }},
        BadLog{"NoMetadataRow", [](const std::filesystem::path& file) { sql(file, "DELETE FROM metadata"); }},
        BadLog{"OperationOverTheLimit",
               [](const std::filesystem::path& file) {
                 sql(file,
                     "UPDATE run_operations SET operation=zeroblob(17000000), operation_size_bytes=17000000 WHERE "
                     "operation_type=0");
               },
               true},
        BadLog{"DamagedWhereOnlyItsBytesAre", &break_a_chain_of_pages, true}),
    [](const auto& test) { return test.param.name; });

/// What was set aside is looked at again by itself once it is mended.
bool taken_up(Box& box) {
  const auto is_set_aside = [](const auto& source) { return source.at("state").as_string() == "set_aside"; };
  return box.wait_status([&](const auto& s) { return std::ranges::none_of(s.at("sources").as_array(), is_set_aside); })
      .first;
}

TEST(BadInputRetry, ALogThatWasMendedIsTakenAfterAll) {
  Box box({.start = false});
  const auto file = write_log(box.runs(), "r-1");
  sql(file, "UPDATE metadata SET version='v6'");
  box.start_daemon();
  EXPECT_TRUE(box.wait_status([](const auto& s) {
                   return !s.at("sources").as_array().empty() &&
                          s.at("sources").as_array()[0].at("state").as_string() == "set_aside";
                 })
                  .first);
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "40s"}).status, 1) << "that waits for somebody";
  sql(file, "UPDATE metadata SET version='v5'");
  EXPECT_TRUE(taken_up(box));
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "40s"}).status, 0);
}

TEST(BadInputRetry, ALogThatMayNotBeReadIsTakenWhenItMay) {
  Box box({.reads_everything = false, .start = false});
  const auto secret = write_log(box.runs(), "secret");
  std::filesystem::permissions(secret, std::filesystem::perms::none);
  write_log(box.runs(), "good");
  box.start_daemon();
  EXPECT_EQ(box.sync({"wait", "--run", "good", "--timeout", "30s"}).status, 0);
  const auto [aside, status] = box.wait_status([&](const auto& s) {
    for (const auto& source : s.at("sources").as_array())
      if (source.at("path").as_string() == secret.parent_path().string() &&
          source.at("state").as_string() == "set_aside")
        return source.at("detail").as_string().find("ermission") != std::string_view::npos;
    return false;
  });
  EXPECT_TRUE(aside) << boost::json::serialize(status);
  std::filesystem::permissions(secret, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_TRUE(taken_up(box));
  EXPECT_EQ(box.sync({"wait", "--run", "secret", "--timeout", "40s"}).status, 0);
}

TEST(BadInputRetry, AVanishedFolderIsForgottenWithoutHarm) {
  Box box;
  const auto file = write_log(box.runs(), "r-1");
  box.wait_synced();
  // Its last connection may just be taking -wal and -shm away.
  std::error_code gone_before_us;
  do std::filesystem::remove_all(file.parent_path(), gone_before_us);
  while (gone_before_us);
  write_log(box.runs(), "r-2");
  box.wait_synced();
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "5s"}).status, 0) << "what was synced stays known";
}

TEST(BadInputRetry, ALogThatIsRemovedWhileItCannotBeReadIsNotTakenForSynced) {
  Box box({.start = false});
  const auto file = write_log(box.runs(), "r-1", 20'000);
  {
    std::fstream pages(file, std::ios::in | std::ios::out | std::ios::binary);
    pages.seekp(static_cast<std::streamoff>(std::filesystem::file_size(file) / 2));
    pages << std::string(16000, '\xa5');
  }
  box.start_daemon();
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return std::ranges::any_of(s.at("sources").as_array(), [](const auto& source) {
                     return source.at("state").as_string() == "set_aside";
                   });
                 })
                  .first);
  std::filesystem::remove_all(file.parent_path());
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return std::ranges::any_of(s.at("sources").as_array(), [](const auto& source) {
                     return source.at("state").as_string() == "gone";
                   });
                 })
                  .first);
  for (int life = 0; life < 2; ++life) {
    const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "20s"});
    EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
    const auto told = box.sync({"status"});
    EXPECT_NE(told.out.find("was removed while it could not be read"), std::string::npos) << told.out;
    EXPECT_EQ(told.out.find("Everything is synced"), std::string::npos) << told.out;
    EXPECT_EQ(box.sync({"flush"}).out.find("Everything is synced"), std::string::npos);
    EXPECT_EQ(box.sync({"doctor"}).status, 1);
    box.stop_daemon();
    box.start_daemon();
  }
  EXPECT_EQ(box.sync({"discard", "ml-team", "--run", "r-1"}).status, 0);
  EXPECT_EQ(box.sync({"status"}).out.find("was removed"), std::string::npos);
}

TEST(BadInputRetry, WhatWasCountedInALogThatIsDamagedAfterwardsIsLostWithIt) {
  Box box;
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  std::filesystem::path file;
  {
    RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
    for (int i = 0; i < 400; ++i) log.append(1'000'000 + i, {{"train/loss", 0.5}, {"train/acc", 0.25}});
    log.close(false);
    file = log.path();
  }
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 401; }).first);
  {
    std::fstream pages(file, std::ios::in | std::ios::out | std::ios::binary);
    pages.seekp(static_cast<std::streamoff>(std::filesystem::file_size(file) / 2));
    pages << std::string(12'000, '\xa5');
  }
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return std::ranges::any_of(s.at("sources").as_array(), [](const auto& source) {
                     return source.at("state").as_string() == "set_aside";
                   });
                 })
                  .first);
  EXPECT_NE(box.sync({"discard", "ml-team/lab", "--run", "r-1"}).out.find("in what is set aside, and stay"),
            std::string::npos);
  std::filesystem::remove_all(file.parent_path());
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return boost::json::serialize(s.at("sources")).find("was removed w") != std::string::npos;
                 })
                  .first);
  const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "20s"});
  EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
}

TEST(BadInputRetry, WhatWasCountedInALogThatMayNotBeReadAnyMoreIsLostWithIt) {
  Box box({.reads_everything = false});
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto file = write_log(box.runs(), "r-1");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 2; }).first);
  std::filesystem::permissions(file, std::filesystem::perms::none);
  box.sync({"flush"});
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return std::ranges::any_of(s.at("sources").as_array(), [](const auto& source) {
                     return source.at("state").as_string() == "set_aside";
                   });
                 })
                  .first);
  std::error_code gone_before_us;
  do std::filesystem::remove_all(file.parent_path(), gone_before_us);
  while (gone_before_us);
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return boost::json::serialize(s.at("sources")).find("was removed with 2 changes") !=
                          std::string::npos;
                 })
                  .first);
  const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "20s"});
  EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
}

TEST(BadInputRetry, ALogThatIsRemovedBeforeItIsSyncedIsToldUntilItComesBack) {
  Box box;
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto log = write_log(box.runs(), "r-1").parent_path();
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 2; }).first);
  const auto copy = box.runs().parent_path() / "copy";
  std::filesystem::copy(log, copy, std::filesystem::copy_options::recursive);
  std::error_code gone_before_us;
  do std::filesystem::remove_all(log, gone_before_us);
  while (gone_before_us);
  for (int life = 0; life < 2; ++life) {
    const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "20s"});
    EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
    const auto told = box.sync({"status"});
    EXPECT_NE(told.out.find("was removed with 2 changes of r-1 that were not synced"), std::string::npos) << told.out;
    const auto explained = box.sync({"explain", "r-1"});
    EXPECT_NE(explained.out.find("was removed with 2 changes"), std::string::npos) << explained.out;
    for (const char* verb : {"explain", "streams"}) {
      const auto word = verb == std::string("explain") ? box.sync({"--json", verb, "r-1"}) : box.sync({"--json", verb});
      EXPECT_NE(word.out.find(R"("waiting_for":"lost")"), std::string::npos) << word.out;
    }
    box.stop_daemon();
    box.start_daemon();
  }
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);
  std::filesystem::rename(copy, log);
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return std::ranges::none_of(s.at("sources").as_array(), [](const auto& source) {
                     return source.at("state").as_string() == "gone";
                   });
                 })
                  .first);
  const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "30s"});
  EXPECT_EQ(waited.status, 0) << waited.out << waited.err;
  EXPECT_EQ(box.sync({"status"}).out.find("was removed"), std::string::npos);
}

TEST(BadInputRetry, ALogThatIsRemovedBeforeItIsSyncedIsGivenUpByAnOperator) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  Box box;
  std::filesystem::permissions(box.dir(), std::filesystem::perms{0711});
  std::filesystem::permissions(box.socket(), std::filesystem::perms{0666});
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto log = write_log(box.runs(), "r-1").parent_path();
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 2; }).first);
  std::error_code gone_before_us;
  do std::filesystem::remove_all(log, gone_before_us);
  while (gone_before_us);
  const auto waited = box.sync({"wait", "--timeout", "20s"});
  EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
  const auto discard = std::vector<std::string>{"discard", "ml-team/lab", "--run", "r-1"};
  EXPECT_NE(waited.err.find("`neptune-sync discard ml-team/lab --run r-1`"), std::string::npos) << waited.err;
  const auto not_his = box.sync_as(65534, discard);
  EXPECT_NE(not_his.out.find("for operators"), std::string::npos) << not_his.out << not_his.err;
  const auto given_up = box.sync(discard);
  EXPECT_EQ(given_up.status, 0) << given_up.err;
  EXPECT_NE(given_up.out.find("2 changes of run r-1"), std::string::npos) << given_up.out;
  for (int life = 0; life < 2; ++life) {
    const auto all = box.sync({"wait", "--timeout", "20s"});
    EXPECT_EQ(all.status, 0) << all.out << all.err;
    EXPECT_EQ(box.sync({"status"}).out.find("was removed"), std::string::npos);
    const auto run = box.sync({"wait", "--run", "r-1", "--timeout", "20s"});
    EXPECT_EQ(run.status, 1) << run.out;
    EXPECT_NE(run.err.find("2 changes were thrown away"), std::string::npos) << run.err;
    box.stop_daemon();
    box.start_daemon();
  }
}

}  // namespace
}  // namespace neptune::testing
