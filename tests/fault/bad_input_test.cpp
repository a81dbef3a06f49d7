// Logs that cannot be read: set aside with a sentence, untouched, the others finish, and tried again when they change.
#include <fmt/format.h>
#include <gtest/gtest.h>

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

struct BadLog {
  std::string name;
  void (*spoil)(const std::filesystem::path& file);
};

class BadInput : public ::testing::TestWithParam<BadLog> {};

TEST_P(BadInput, IsSetAsideWithASentenceAndItsFileUntouchedWhileTheOthersFinish) {
  Box box({.start = false});
  const auto bad = write_log(box.runs(), "bad");
  GetParam().spoil(bad);
  const auto before = contents(bad);
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
  for (const auto& source : status.at("sources").as_array())
    if (source.at("state").as_string() == "set_aside") {
      EXPECT_GT(source.at("detail").as_string().size(), 20u);
    }
  EXPECT_EQ(contents(bad), before);
  EXPECT_TRUE(box.daemon().running());
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
               }}),
    [](const auto& test) { return test.param.name; });

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
  sql(file, "UPDATE metadata SET version='v5'");
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

}  // namespace
}  // namespace neptune::testing
