// Directories of the 1.x client: offline runs, and what a stopped client left behind.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <thread>

#include "tests/integration/box.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/samples.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int dead_pid = 4'194'301;  // beyond what the kernel gives out
constexpr const char* local_id = "38e2da7e-bc78-4efa-9a32-48b0971394dd";

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& file, const std::string& text, std::ios::openmode mode = std::ios::trunc) {
  std::ofstream(file, std::ios::binary | mode) << text;
}

/// As the client logs it, a float for each version.
std::string logged(int first, int last) {
  std::string out;
  for (int version = first; version <= last; ++version)
    out += fmt::format(
        R"({{"obj": {{"type": "LogFloats", "path": ["loss"], "values": [{{"value": {0}.5, "step": {0}, "ts": 17.5}}]}}, )"
        R"("version": {0}, "at": 1795452690.5}})"
        "\n",
        version);
  return out;
}

/// Nothing was written to them for as long.
void age(const fs::path& directory, std::chrono::seconds by) {
  for (const auto& entry : fs::directory_iterator(directory))
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - by);
}

/// Empty when the run holds the series as expected.json tells it: [step or null, value, time].
std::string series_difference(const json::array& held, const json::array& expected) {
  if (held.size() != expected.size()) return fmt::format("{} points, not {}", held.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& point = expected[i];
    const auto& step = point.at(0);
    const bool same_step =
        step.is_null() || held[i].at(0).to_number<double>() == std::round(step.to_number<double>() * 1e6);
    // Digits are passed on as they are; the sandbox reads them to the last bit but one.
    const bool same_value = point.at(1).is_string()
                                ? held[i].at(1) == point.at(1)
                                : std::abs(held[i].at(1).to_number<double>() - point.at(1).to_number<double>()) < 1e-15;
    if (!same_step || !same_value) return fmt::format("point {} is {}", i, json::serialize(held[i]));
  }
  return {};
}

/// Empty when the run holds the attribute as expected.json tells it.
std::string difference(const json::value& held, const std::string& path, const json::value& expected) {
  const auto find = [&](const char* section) { return held.at(section).as_object().if_contains(path); };
  if (expected.is_array() && !expected.as_array().empty() && expected.at(0).is_array()) {
    const auto* series = find("series");
    return series ? series_difference(series->as_array(), expected.as_array()) : "no such series";
  }
  const auto* found = find(expected.is_array() ? "sets" : "attrs");
  if (!found) return "no such attribute";
  // The sandbox tells a time as text, expected.json as milliseconds.
  const auto wanted = path == "params/when" ? json::value("2026-01-02T03:04:05Z") : expected;
  return *found == wanted ? std::string() : json::serialize(*found);
}

class Client1x : public ::testing::Test {
 protected:
  void make(const std::string& project = "ml-team/lab", const std::string& more = "takeover_after = \"1s\"\n",
            bool start = true) {
    Box::Options options;
    options.reads_everything = false;
    options.config = "[[watch]]\npath = \"@DIR@/jobs\"\nkind = \"client-1x\"\nproject = \"" + project + "\"\n" + more +
                     "[queue]\nmin_free_disk = \"1MiB\"\n";
    options.start = false;
    box.emplace(std::move(options));
    box->sandbox().control(R"({"project": "ml-team/lab"})");
    fs::create_directories(place("offline"));
    fs::create_directories(place("async"));
    if (start) box->start_daemon();
  }

  fs::path place(const std::string& mode) const { return box->dir() / "jobs" / ".neptune" / mode; }

  /// An offline run as the client makes it, before its first operation.
  fs::path offline_run(const std::string& id, int pid = dead_pid) { return begin_run(place("offline"), id, pid); }

  fs::path begin_run(const fs::path& in, const std::string& id, int pid) {
    const auto directory = in / fmt::format("run__{}__{}__abcdefgh", id, pid);
    fs::create_directories(directory / "upload_path");
    write(directory / "last_ack_version", "");
    write(directory / "last_put_version", "0");
    write(directory / "metadata.json",
          fmt::format(R"({{"mode": "offline", "containerId": "{}", "containerType": "run", "structureVersion": 3,
                          "createdAt": "2036-11-23T16:51:28.547685+00:00"}})",
                      id));
    return directory;
  }

  /// One that was logged to its end a while ago, outside of what is watched.
  fs::path finished_run(const std::string& id, int first, int last) {
    const auto directory = begin_run(box->dir() / "apart", id, dead_pid);
    write(directory / "data-1.log", logged(first, last));
    write(directory / "last_put_version", std::to_string(last));
    age(directory, 60s);
    return directory;
  }

  /// The directory in its new place.
  fs::path hand_over(const fs::path& directory) {
    const auto to = place("offline") / directory.filename();
    fs::rename(directory, to);
    return to;
  }

  fs::path offline_run(const std::string& id, int first, int last) { return hand_over(finished_run(id, first, last)); }

  json::value run(const std::string& id) {
    const auto state = box->sandbox().state();
    const auto* held = state.at("runs").as_object().if_contains("ml-team/lab/" + id);
    return held ? *held : json::value();
  }

  /// Empty when the run has the points first..last of `logged`, each once and in order.
  std::string misses(const std::string& id, int last) {
    const auto held = run(id);
    if (held.is_null()) return id + " is not on the server";
    const auto& points = held.at("series").at("loss").as_array();
    if (points.size() != static_cast<std::size_t>(last)) return fmt::format("{} points, not {}", points.size(), last);
    for (int i = 1; i <= last; ++i) {
      const auto& point = points[static_cast<std::size_t>(i - 1)];
      if (point.at(0).to_number<std::int64_t>() != i * 1'000'000LL || point.at(1).to_number<double>() != i + 0.5)
        return fmt::format("point {} is {}", i, json::serialize(point));
    }
    return {};
  }

  bool wait_synced(std::int64_t changes, std::chrono::milliseconds timeout = 60s) {
    const auto [all, status] = box->wait_status(
        [changes](const auto& s) {
          const auto& totals = s.at("totals");
          return totals.at("synced").as_int64() + totals.at("rejected").as_int64() >= changes &&
                 totals.at("pending").as_int64() + totals.at("in_flight").as_int64() == 0;
        },
        timeout);
    EXPECT_TRUE(all) << json::serialize(status);
    return all;
  }

  json::value source(const std::string& id) {
    const auto status = box->get("/v1/status");
    for (const auto& each : status.at("sources").as_array())
      if (std::string_view(each.at("path").as_string()).find(id) != std::string_view::npos) return each;
    return {};
  }

  std::string detail(const std::string& id) {
    std::string text;
    box->wait_status([&](const auto&) {
      const auto found = source(id);
      if (found.is_object() && found.as_object().contains("detail") && found.at("detail").is_string())
        text = found.at("detail").as_string();
      return !text.empty();
    });
    return text;
  }

  /// The UUID of what the sandbox knows under this name ("LAB-1").
  std::string id_of(const std::string& short_id) {
    return std::string(box->sandbox().state().at("containers").at("ml-team/lab/" + short_id).at("id").as_string());
  }

  std::optional<Box> box;
};

TEST_F(Client1x, TheOfflineSampleGivesWhatTheOfficialClientGaveButForItsFiles) {
  make();
  const auto sample = test_data() / "client-1x" / "offline";
  const auto from = fs::directory_iterator(sample / ".neptune" / "offline")->path();
  const auto to = place("offline") / fmt::format("run__{}__{}__3mfihhle", local_id, dead_pid);
  const auto apart = box->dir() / "apart";
  fs::copy(from, apart, fs::copy_options::recursive);
  fs::permissions(apart, fs::perms::owner_all, fs::perm_options::add);
  for (const auto& entry : fs::directory_iterator(apart))
    fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  age(apart, 60s);
  fs::rename(apart, to);
  ASSERT_TRUE(wait_synced(2524));
  const auto expected = read_json(sample / "expected.json");
  const auto held = run(local_id);
  ASSERT_FALSE(held.is_null());
  for (const auto& [path, value] : expected.at("attrs").as_object())
    EXPECT_EQ(difference(held, std::string(path), value), "") << path;
  EXPECT_FALSE(held.at("attrs").as_object().contains("tmp"));
  // Its three uploads are kept with the reason; the empty set of source code needs none.
  const auto rejected = box->get("/v1/rejected");
  ASSERT_EQ(rejected.at("rejected").as_array().size(), 3u) << json::serialize(rejected);
  for (const auto& each : rejected.at("rejected").as_array()) {
    EXPECT_EQ(each.at("kind").as_string(), "client.operation");
    EXPECT_NE(each.at("reason").as_string().find("does not upload files yet"), json::string::npos);
  }
}

TEST_F(Client1x, AnOfflineRunGetsTheNameOfARegisteredOneOnceItsProducerIsGone) {
  make();
  offline_run("0f1e2d3c", 1, 300);
  ASSERT_TRUE(wait_synced(300));
  EXPECT_EQ(misses("0f1e2d3c", 300), "");
  EXPECT_EQ(box->sync({"wait", "--run", "0f1e2d3c", "--timeout", "20s"}).status, 0);
  const auto renamed = place("async") / fmt::format("run__{}__{}__abcdefgh", id_of("LAB-1"), dead_pid);
  EXPECT_TRUE(box->wait_status([&](const auto&) { return fs::exists(renamed); }).first);
  EXPECT_TRUE(fs::is_empty(place("offline")));
  EXPECT_EQ(text_of(renamed / "last_ack_version"), "300");
  EXPECT_EQ(text_of(renamed / "last_put_version"), "300");
  EXPECT_TRUE(fs::exists(renamed / "data-1.log"));
  box->kill_daemon();
  age(renamed, 60s);
  box->start_daemon();
  EXPECT_TRUE(box->wait_status([&](const auto&) {
                   const auto found = source("abcdefgh");
                   return found.is_object() && found.at("state").as_string() == "synced";
                 })
                  .first);
  EXPECT_EQ(misses("0f1e2d3c", 300), "") << "nothing was sent again";
}

TEST_F(Client1x, ASyncedClosedDirectoryIsRemovedAfterCleanupAfter) {
  make("ml-team/lab", "takeover_after = \"1s\"\ncleanup_after = \"1s\"\n");
  offline_run("0f1e2d3c", 1, 20);
  EXPECT_TRUE(wait_synced(20));
  EXPECT_TRUE(
      box->wait_status([&](const auto&) { return fs::is_empty(place("offline")) && fs::is_empty(place("async")); })
          .first);
  EXPECT_EQ(box->sync({"wait", "--run", "0f1e2d3c", "--timeout", "5s"}).status, 0) << "what was synced stays known";
}

TEST_F(Client1x, ASyncedClosedDirectoryIsRemovedWhenItsOwnerSaysSo) {
  make("ml-team/lab", "takeover_after = \"1s\"\ncleanup_after = \"never\"\n");
  offline_run("0f1e2d3c", 1, 20);
  EXPECT_TRUE(wait_synced(20));
  EXPECT_TRUE(box->wait_status([&](const auto&) { return !fs::is_empty(place("async")); }).first);
  // Quiet for a second, so that nobody can have it open any more.
  EXPECT_TRUE(
      box->wait_status([&](const auto&) { return box->sync({"tidy"}).out.find("1 log removed") != std::string::npos; })
          .first)
      << box->sync({"tidy"}).out;
  EXPECT_TRUE(fs::is_empty(place("async")));
  EXPECT_EQ(misses("0f1e2d3c", 20), "");
}

TEST_F(Client1x, ASyncedDirectoryThatMayOnlyBeReadIsRemovedByItsOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make another user's directory";
  constexpr unsigned owner = 1234;
  make("ml-team/lab", "takeover_after = \"1s\"\n");
  fs::permissions(box->dir(), fs::perms(0755));
  const auto directory = finished_run("0f1e2d3c", 1, 20);
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    ASSERT_EQ(::chown(entry.path().c_str(), owner, owner), 0);
  ASSERT_EQ(::chown(directory.c_str(), owner, owner), 0);
  ASSERT_EQ(::chown(place("offline").c_str(), owner, owner), 0);
  const auto there = hand_over(directory);
  EXPECT_TRUE(wait_synced(20));
  EXPECT_TRUE(source("0f1e2d3c").at("read_only").as_bool());
  EXPECT_NE(box->sync({"tidy"}).out.find("it belongs to"), std::string::npos);
  EXPECT_TRUE(fs::exists(there));
  EXPECT_TRUE(box->wait_status([&](const auto&) {
                   return box->sync_as(owner, {"tidy"}).out.find("1 log removed") != std::string::npos;
                 })
                  .first)
      << box->sync_as(owner, {"tidy"}).out;
  EXPECT_FALSE(fs::exists(there));
  EXPECT_EQ(misses("0f1e2d3c", 20), "");
}

TEST_F(Client1x, LeftoversOfAllKindsAreTakenOverFromWhereTheirClientStopped) {
  make();
  const auto [status, answer] = box->hand_in(R"([
    {"kind": "project.update", "project": "ml-team/lab", "description": "x"},
    {"kind": "run.create", "project": "ml-team/lab", "run": "r"},
    {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
    {"kind": "model_version.create", "project": "ml-team/lab", "model": "M"}])");
  ASSERT_EQ(status, 202u) << json::serialize(answer);
  ASSERT_TRUE(wait_synced(4));
  std::map<std::string, std::string> names;
  const auto state = box->sandbox().state();
  for (const auto& [name, container] : state.at("containers").as_object()) {
    auto type = std::string(container.at("type").as_string());
    if (type == "modelVersion") type = "model_version";
    names[type] = std::string_view(name).substr(std::string_view("ml-team/lab/").size());
  }
  ASSERT_EQ(names.size(), 4u);
  std::int64_t left = 0;
  for (const auto& entry : fs::directory_iterator(test_data() / "client-1x" / "async" / ".neptune" / "async")) {
    const auto name = entry.path().filename().string();
    const auto type = name.substr(0, name.find("__"));
    const auto to = place("async") / fmt::format("{}__{}__{}__k", type, id_of(names.at(type)), dead_pid);
    const auto apart = box->dir() / ("apart-" + type);
    fs::copy(entry.path(), apart, fs::copy_options::recursive);
    fs::permissions(apart, fs::perms::owner_all, fs::perm_options::add);
    for (const auto& file : fs::directory_iterator(apart))
      fs::permissions(file.path(), fs::perms::owner_write, fs::perm_options::add);
    age(apart, 60s);
    const auto acked = text_of(apart / "last_ack_version");
    left += std::stol(text_of(apart / "last_put_version")) - (acked.empty() ? 0 : std::stol(acked));
    fs::rename(apart, to);
  }
  ASSERT_TRUE(wait_synced(4 + left));
  const auto after = box->sandbox().state();
  const auto points = [&](const std::string& type) {
    if (type == "run") return after.at("runs").at("ml-team/lab/r").at("series").at("metrics/loss").as_array().size();
    return after.at("containers").at("ml-team/lab/" + names.at(type)).at("series").at("metrics/loss").as_array().size();
  };
  EXPECT_EQ(points("run"), 30u);
  EXPECT_EQ(points("model"), 30u);
  EXPECT_EQ(points("model_version"), 30u);
  EXPECT_EQ(points("project"), 80u);
  for (const auto& entry : fs::directory_iterator(place("async")))
    EXPECT_TRUE(box->wait_status([&](const auto&) {
                     return text_of(entry.path() / "last_ack_version") == text_of(entry.path() / "last_put_version");
                   })
                    .first)
        << entry.path();
}

TEST_F(Client1x, LeftoversAreNotTouchedWhileTheirClientMayLive) {
  make("ml-team/lab", "takeover_after = \"10m\"\n");
  box->hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r"})");
  ASSERT_TRUE(wait_synced(1));
  const auto id = id_of("LAB-1");
  const auto mine = finished_run("x", 1, 5);
  fs::rename(mine, place("async") / fmt::format("run__{}__{}__alive", id, ::getpid()));
  EXPECT_NE(detail("alive").find("its client may still sync it"), std::string::npos) << detail("alive");
  const auto young = finished_run("y", 1, 5);
  age(young, 0s);
  fs::rename(young, place("async") / fmt::format("run__{}__{}__young", id, dead_pid));
  EXPECT_NE(detail("young").find("is taken over at"), std::string::npos) << detail("young");
  EXPECT_EQ(box->get("/v1/status").at("totals").at("synced").as_int64(), 1);
}

TEST_F(Client1x, ALogIsFollowedThroughRotationAndTheDeathOfItsProducerInTheMiddleOfAnObject) {
  make();
  Process job({.binary = "/bin/sleep",
               .args = {"600"},
               .env = {},
               .unset_env = {},
               .output_dir = box->dir() / "output",
               .name = "job",
               .working_dir = {}});
  const auto directory = offline_run("live-1", job.pid());
  write(directory / "data-1.log", "");
  for (int i = 0; i < 10; ++i) {
    write(directory / "data-1.log", logged(i * 50 + 1, i * 50 + 50), std::ios::app);
    write(directory / "last_put_version", std::to_string(i * 50 + 50));
    std::this_thread::sleep_for(20ms);
  }
  ASSERT_TRUE(wait_synced(500));
  EXPECT_EQ(source("live-1").at("state").as_string(), "live");
  EXPECT_EQ(box->sync({"wait", "--run", "live-1", "--timeout", "1s"}).status, 4) << "a live run is not closed";
  write(directory / "data-501.log", logged(501, 600));
  const auto torn = logged(601, 601);
  write(directory / "data-501.log", torn.substr(0, torn.size() / 2), std::ios::app);
  write(directory / "last_put_version", "640");
  ASSERT_TRUE(wait_synced(600));
  job.kill();
  EXPECT_EQ(box->sync({"wait", "--run", "live-1", "--timeout", "20s"}).status, 0);
  EXPECT_EQ(misses("live-1", 600), "");
  EXPECT_TRUE(box->wait_status([&](const auto&) { return fs::is_empty(place("offline")); }).first) << "renamed";
  EXPECT_EQ(detail("abcdefgh"), "lost by the client: 40");
}

TEST_F(Client1x, KillsOfTheDaemonDuringADrainLeaveEveryPointOnce) {
  make("ml-team/lab", "takeover_after = \"1s\"\n", false);
  offline_run("killed", 1, 20'000);
  std::mt19937 random(7);
  box->start_daemon();
  for (int kill = 0; kill < 10; ++kill) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 250));
    box->kill_daemon();
    box->start_daemon();
  }
  EXPECT_TRUE(box->wait_status([&](const auto&) { return misses("killed", 20'000).empty(); }, 60s).first);
  EXPECT_EQ(misses("killed", 20'000), "");
}

TEST_F(Client1x, BadDirectoriesAreSetAsideWithASentenceAndTheOthersFinish) {
  make();
  const auto unfinished = finished_run("bad-middle", 1, 5);
  write(unfinished / "data-1.log", logged(1, 2) + "{\"obj\": \n" + logged(4, 5));
  const auto middle = hand_over(unfinished);
  const auto bare = finished_run("bad-bare", 1, 5);
  fs::remove(bare / "metadata.json");
  hand_over(bare);
  const auto ack = finished_run("bad-ack", 1, 5);
  write(ack / "last_ack_version", "6");
  hand_over(ack);
  const auto foreign = finished_run("bad-version", 1, 5);
  write(foreign / "metadata.json", R"({"containerType": "run", "structureVersion": 4})");
  hand_over(foreign);
  const auto secret = finished_run("bad-mode", 1, 5);
  fs::permissions(secret / "data-1.log", fs::perms::none);
  hand_over(secret);
  offline_run("good", 1, 50);
  ASSERT_TRUE(wait_synced(50));
  EXPECT_EQ(misses("good", 50), "");
  for (const auto& [id, sentence] :
       {std::pair("bad-middle", "what is no operation"), std::pair("bad-bare", "no metadata.json"),
        std::pair("bad-ack", "6 operations are done"), std::pair("bad-mode", "ermission"),
        std::pair("bad-version", "format version 4")}) {
    EXPECT_NE(detail(id).find(sentence), std::string::npos) << detail(id);
    EXPECT_EQ(source(id).at("state").as_string(), "set_aside") << id;
    EXPECT_TRUE(run(id).is_null()) << id;
  }
  EXPECT_EQ(text_of(middle / "last_ack_version"), "");
}

TEST_F(Client1x, WithoutAProjectAnOfflineRunWaitsAndSaysSo) {
  make("");
  offline_run("nowhere", 1, 5);
  EXPECT_NE(detail("nowhere").find("nothing says which project"), std::string::npos) << detail("nowhere");
}

TEST_F(Client1x, AReadOnlyWorkspaceHoldsARunAndLetsItGoOn) {
  make();
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "storage is full"})");
  const auto directory = offline_run("held", 1, 500);
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 500; }).first);
  EXPECT_EQ(text_of(directory / "last_ack_version"), "");
  EXPECT_TRUE(run("held").is_null());
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  EXPECT_EQ(box->sync({"probe", "ml-team"}).status, 0);
  ASSERT_TRUE(wait_synced(500));
  EXPECT_EQ(misses("held", 500), "");
}

}  // namespace
}  // namespace neptune::testing
