#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "sources/client_dir/dir_facts.h"
#include "sources/client_dir/dir_moves.h"
#include "tests/unit/sources/client_box.h"

/// Names, metadata and producers of 1.x directories, and what follows from them.
namespace neptune::sources {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

TEST(ClientDirName, SaysWhatItIs) {
  const auto run = parse_client_dir("/d/.neptune/offline/run__38e2da7e-bc78__12205__3mfihhle");
  ASSERT_TRUE(run);
  EXPECT_TRUE(run->offline);
  EXPECT_EQ(run->id, "38e2da7e-bc78");
  EXPECT_EQ(run->pid, 12205);
  EXPECT_EQ(run->key, "3mfihhle");
  const auto version = parse_client_dir("/d/.neptune/async/model_version__c7a8__1__k");
  ASSERT_TRUE(version);
  EXPECT_FALSE(version->offline);
  EXPECT_EQ(version->container, ContainerKind::model_version);
}

TEST(ClientDirName, RefusesOthers) {
  for (const auto* name : {"run__a__1", "walk__a__1__k", "run__a__x__k", "run__a__0__k", "run__..%2f__1__k",
                           "run__a__1__k__l", "run____1__k", "run__a__99999999999__k", ".hidden"})
    EXPECT_FALSE(parse_client_dir(std::string("/d/.neptune/async/") + name)) << name;
  EXPECT_FALSE(parse_client_dir("/d/.neptune/offline/model__a__1__k"));
  EXPECT_FALSE(parse_client_dir("/d/.neptune/offline/run__0123456789012345678901234567890123456__1__k"));
}

TEST(ClientDirName, IsLookedForWhereTheClientPutsThem) {
  EXPECT_TRUE(is_client_dir("/d/.neptune/offline/anything"));
  EXPECT_TRUE(is_client_dir("/logs/async/run__a__1__k"));
  EXPECT_FALSE(is_client_dir("/logs/async/something"));
  EXPECT_FALSE(is_client_dir("/d/.neptune/run__a__1__k"));
  EXPECT_FALSE(is_client_dir("/d/.neptune/offline"));
}

TEST(ClientDirName, BecomesThatOfARegisteredRun) {
  const std::filesystem::path offline = "/d/.neptune/offline/run__a__12__k";
  const auto name = *parse_client_dir(offline);
  EXPECT_EQ(registered_path(offline, name, "0462-30"), "/d/.neptune/async/run__0462-30__12__k");
  EXPECT_FALSE(registered_path(offline, name, "../x"));
  EXPECT_FALSE(registered_path(offline, name, ""));
}

TEST(ClientDirName, SaysTheServersIdOfItsContainer) {
  EXPECT_EQ(server_id_in("/d/.neptune/async/model__0462-30__12__k"), "0462-30");
  EXPECT_EQ(server_id_in("/d/.neptune/offline/run__0462-30__12__k"), "") << "that is its own";
  EXPECT_EQ(server_id_in("/d/.neptune/async/something"), "");
  EXPECT_EQ(server_id_in(""), "");
}

/// Who owns it, and its mode.
std::string ownership_of(const std::filesystem::path& path) {
  struct stat about{};
  if (::lstat(path.c_str(), &about) != 0) return "none";
  return fmt::format("{}:{} {:o}", about.st_uid, about.st_gid, about.st_mode & 07777);
}

SourceKey key_of(const ClientBox& box) {
  return look_at_client_dir(box.path()).key;
}

TEST(ClientDirMove, TheFolderThatIsMadeForItIsLikeTheOneAbove) {
  const ClientBox box;
  const auto above = box.path().parent_path().parent_path();
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(above.c_str(), 1234, 4321), 0);
  }
  ASSERT_EQ(::chmod(above.c_str(), 02750), 0);
  const auto mask = ::umask(077);
  const auto moved = rename_to_async(box.path(), key_of(box), "run__0462-30__12__k");
  ::umask(mask);
  ASSERT_TRUE(moved.has_value()) << moved.error().message;
  EXPECT_EQ(*moved, above / "async" / "run__0462-30__12__k");
  EXPECT_EQ(ownership_of(above / "async"), ownership_of(above));
  EXPECT_TRUE(std::filesystem::exists(*moved / "metadata.json"));
  EXPECT_FALSE(box.has("metadata.json"));
}

TEST(ClientDirMove, LeavesTheFolderThatIsThereAsItIs) {
  const ClientBox box;
  const auto async = box.path().parent_path().parent_path() / "async";
  std::filesystem::create_directory(async);
  ASSERT_EQ(::chmod(async.c_str(), 0711), 0);
  ASSERT_TRUE(rename_to_async(box.path(), key_of(box), "run__0462-30__12__k").has_value());
  EXPECT_EQ(ownership_of(async), fmt::format("{}:{} 711", ::geteuid(), ::getegid()));
}

TEST(ClientDirMove, FollowsNoLinkAndTakesNoOtherDirectory) {
  const ClientBox box;
  const auto above = box.path().parent_path().parent_path();
  const auto key = key_of(box);
  std::filesystem::create_directory(box.root() / "elsewhere");
  std::filesystem::create_directory_symlink(box.root() / "elsewhere", above / "async");
  EXPECT_FALSE(rename_to_async(box.path(), key, "run__0462-30__12__k").has_value());
  EXPECT_TRUE(std::filesystem::is_empty(box.root() / "elsewhere"));
  std::filesystem::remove(above / "async");
  // Another one of that name is put where the folder was.
  std::filesystem::rename(above / "offline", above / "was_offline");
  const auto theirs = box.root() / "theirs" / box.path().filename();
  std::filesystem::create_directories(theirs / "precious");
  std::filesystem::create_directory_symlink(box.root() / "theirs", above / "offline");
  EXPECT_FALSE(rename_to_async(box.path(), key, "run__0462-30__12__k").has_value());
  EXPECT_FALSE(remove_directory(box.path(), key).has_value());
  EXPECT_TRUE(std::filesystem::exists(theirs / "precious"));
}

TEST(ClientDirMove, RemovesAllThatIsInItAndNothingElse) {
  const ClientBox box;
  std::filesystem::create_directory(box.root() / "elsewhere");
  std::ofstream(box.root() / "elsewhere" / "precious") << "x";
  std::filesystem::create_directory_symlink(box.root() / "elsewhere", box.path() / "upload_path" / "link");
  std::filesystem::create_directories(box.path() / "upload_path" / "deep" / "er");
  const auto removed = remove_directory(box.path(), key_of(box));
  EXPECT_TRUE(removed.has_value()) << removed.error().message;
  EXPECT_FALSE(std::filesystem::exists(box.path()));
  EXPECT_TRUE(std::filesystem::exists(box.path().parent_path()));
  EXPECT_TRUE(std::filesystem::exists(box.root() / "elsewhere" / "precious"));
}

std::string problem(const ClientBox& box) {
  const auto facts = look_at_client_dir(box.path());
  return facts.problem ? facts.problem->code + ": " + facts.problem->message : "none";
}

TEST(ClientDirFacts, TellsTheTimeItWasMade) {
  const ClientBox box;
  EXPECT_EQ(problem(box), "none");
  EXPECT_EQ(look_at_client_dir(box.path()).metadata.created_ms, 1795452688547);
  box.write_metadata("run", 3, "2026-11-23T18:51:28.5+02:00");
  EXPECT_EQ(look_at_client_dir(box.path()).metadata.created_ms, 1795452688500);
}

TEST(ClientDirFacts, SetsAsideWhatItCannotTake) {
  const ClientBox box;
  box.write_metadata("run", 4);
  EXPECT_THAT(problem(box), HasSubstr("client_dir_version"));
  EXPECT_THAT(problem(box), HasSubstr("format version 4"));
  box.write_metadata("model");
  EXPECT_THAT(problem(box), HasSubstr("says in its metadata.json that it is of a model"));
  box.write("metadata.json", "{");
  EXPECT_THAT(problem(box), HasSubstr("client_dir_damaged"));
  std::filesystem::remove(box.path() / "metadata.json");
  EXPECT_THAT(problem(box), HasSubstr("client_dir_without_metadata"));
}

TEST(ClientDirFacts, GivesADirectoryThatIsBeingMadeAMoment) {
  const ClientBox box;
  std::filesystem::remove(box.path() / "metadata.json");
  EXPECT_EQ(judge_client_dir(look_at_client_dir(box.path()), {}, {}).state, SourceState::settling_in);
  box.write("metadata.json", R"({"mode": "off)");
  EXPECT_EQ(judge_client_dir(look_at_client_dir(box.path()), {}, {}).state, SourceState::settling_in);
  box.age(60s);
  EXPECT_EQ(judge_client_dir(look_at_client_dir(box.path()), {}, {}).state, SourceState::set_aside);
}

TEST(ClientDirFacts, KnowsTheLayoutOfOlderClients) {
  const ClientBox box;
  const auto old = box.path().parent_path() / "run__38e2da7e";
  std::filesystem::create_directories(old / "exec-0");
  const auto facts = look_at_client_dir(old);
  ASSERT_TRUE(facts.problem);
  EXPECT_EQ(facts.problem->code, "client_dir_version");
}

constexpr std::int64_t created = 1'795'452'688'000;

ClientDirFacts facts(bool offline, bool alive, Duration quiet) {
  ClientDirFacts out;
  out.there = true;
  out.name = ClientDirName{};
  out.name->offline = offline;
  out.metadata.created_ms = created;
  out.producer.there = alive;
  out.producer.started_ms = created - 1000;
  out.quiet_for = out.acked_ago = quiet;
  return out;
}

TEST(ClientDirVerdict, AnOfflineRunIsFollowedWhileItIsWritten) {
  EXPECT_EQ(judge_client_dir(facts(true, true, 1h), {}, {}).state, SourceState::live);
  const auto young = judge_client_dir(facts(true, false, 4s), {}, {});
  EXPECT_EQ(young.state, SourceState::live);
  EXPECT_EQ(young.look_again_in, 6s);
  EXPECT_EQ(judge_client_dir(facts(true, false, 11s), {}, {}).state, SourceState::closed);
  EXPECT_EQ(judge_client_dir(facts(true, false, 1s), {.seen_alive = true}, {}).state, SourceState::closed);
}

TEST(ClientDirVerdict, LeftoversAreTakenOnlyWhenTheirProducerIsGoneAndTheyAreQuiet) {
  EXPECT_EQ(judge_client_dir(facts(false, true, 24h), {}, {}).state, SourceState::left_to_client);
  EXPECT_FALSE(judge_client_dir(facts(false, true, 24h), {}, {}).look_again_in);
  const auto young = judge_client_dir(facts(false, false, 4min), {}, {});
  EXPECT_EQ(young.state, SourceState::left_to_client);
  EXPECT_EQ(young.look_again_in, 6min);
  EXPECT_EQ(judge_client_dir(facts(false, false, 10min), {}, {}).state, SourceState::closed);
  auto acknowledging = facts(false, false, 1h);
  acknowledging.acked_ago = 1min;
  EXPECT_EQ(judge_client_dir(acknowledging, {}, {}).state, SourceState::left_to_client);
  EXPECT_EQ(judge_client_dir(acknowledging, {.taken = true}, {}).state, SourceState::closed);
}

TEST(Producer, IsGoneWhenItsPidWasGivenToAnother) {
  ProcessFacts process{.there = true, .started_ms = created - 10'000};
  EXPECT_EQ(judge_producer(process, created), Producer::alive);
  process.started_ms = created + 60'000;
  EXPECT_EQ(judge_producer(process, created), Producer::gone);
  EXPECT_EQ(judge_producer(process, 0), Producer::alive);
  process.started_ms = 0;
  EXPECT_EQ(judge_producer(process, created), Producer::alive);
  process.ended = true;
  EXPECT_EQ(judge_producer(process, created), Producer::gone);
}

TEST(Producer, IsReadFromProc) {
  const auto facts =
      parse_process("77 (a) b) S 1 77 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 500 1000 1 2", 1'000'000, 100);
  EXPECT_TRUE(facts.there);
  EXPECT_FALSE(facts.ended);
  EXPECT_FALSE(facts.kernel);
  EXPECT_EQ(facts.started_ms, 1'005'000);
  EXPECT_TRUE(parse_process("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0", 1, 100).kernel);
  EXPECT_TRUE(parse_process("9 (x) Z 1 9 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0", 1, 100).ended);
  EXPECT_FALSE(parse_process("", 1, 100).there);
}

TEST(Producer, IsThisProcess) {
  const auto facts = look_at_process(::getpid());
  const auto now = to_unix_ms(std::chrono::system_clock::now());
  EXPECT_TRUE(facts.there);
  EXPECT_NEAR(static_cast<double>(facts.started_ms), static_cast<double>(now), 600'000);
  EXPECT_FALSE(look_at_process(ClientBox::dead_pid).there);
}

}  // namespace
}  // namespace neptune::sources
