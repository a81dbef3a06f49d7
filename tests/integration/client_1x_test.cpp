// Directories of the 1.x client: offline runs, and what a stopped client left behind.
#include "tests/integration/client_1x.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "tests/integration/support/json.h"
#include "tests/integration/support/samples.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr const char* local_id = "38e2da7e-bc78-4efa-9a32-48b0971394dd";

/// Empty when the run holds the series as expected.json tells it: [step or null, value, time in ms].
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
    const bool same_time = held[i].at(2).to_number<std::int64_t>() == point.at(2).to_number<std::int64_t>() * 1'000'000;
    if (!same_step || !same_value || !same_time) return fmt::format("point {} is {}", i, json::serialize(held[i]));
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

std::int64_t version_in(const fs::path& file) {
  const auto text = text_of(file);
  return text.empty() ? 0 : std::stol(text);
}

struct Leftover {
  std::int64_t acked = 0;
  std::string log;
};

/// Empty when the container holds what the log says after the acknowledged version, and nothing from before.
std::string leftover_difference(const json::value& held, const Leftover& left) {
  std::istringstream lines(left.log);
  json::array points;
  for (std::string line; std::getline(lines, line);) {
    const auto logged = parse_json(line);
    const auto& obj = logged.at("obj");
    const bool goes = logged.at("version").as_int64() > left.acked;
    std::string path;
    for (const auto& part : obj.at("path").as_array())
      path += (path.empty() ? "" : "/") + std::string(part.as_string());
    if (obj.at("type").as_string() == "LogFloats") {
      if (!goes) continue;
      const auto& point = obj.at("values").at(0);
      const auto ms = static_cast<std::int64_t>(point.at("ts").to_number<double>() * 1000);  // as that client cuts it
      points.push_back(json::array{point.at("step"), point.at("value"), ms});
    } else if (std::string_view(obj.at("type").as_string()).starts_with("Assign") && path != "sys/name") {
      const auto* value = held.at("attrs").as_object().if_contains(path);
      if ((value != nullptr) != goes) return path + (goes ? " is missing" : " was sent again");
      if (goes && *value != obj.at("value")) return path + " is " + json::serialize(*value);
    }
  }
  return series_difference(held.at("series").at("metrics/loss").as_array(), points);
}

TEST_F(Client1x, TheOfflineSampleGivesWhatTheOfficialClientGave) {
  make();
  const auto sample = test_data() / "client-1x" / "offline";
  const auto apart = copy_of_sample(fs::directory_iterator(sample / ".neptune" / "offline")->path(), "apart");
  fs::copy_file(sample / "weights.bin", box->dir() / "weights.bin");
  auto log = text_of(apart / "data-1.log");
  for (std::size_t at; (at = log.find("@DIR@")) != std::string::npos;) log.replace(at, 5, box->dir().string());
  write(apart / "data-1.log", log);
  age(apart, 60s);
  fs::rename(apart, place("offline") / fmt::format("run__{}__{}__3mfihhle", local_id, dead_pid));
  ASSERT_TRUE(wait_synced(2524));
  const auto expected = read_json(sample / "expected.json");
  const auto held = box->sandbox().state("times=1").at("runs").at(fmt::format("ml-team/lab/{}", local_id));
  std::size_t attributes = 0;
  for (const auto& [path, value] : expected.at("attrs").as_object()) {
    EXPECT_EQ(difference(held, std::string(path), value), "") << path;
    ++attributes;
  }
  const auto weights = text_of(sample / "weights.bin");
  EXPECT_EQ(file_differs("LAB-1/files/weights.bin", weights), "");
  EXPECT_EQ(file_differs("LAB-1/files/set/weights.bin", weights), "");
  const auto inline_file =
      fs::directory_iterator(fs::directory_iterator(sample / ".neptune" / "offline")->path() / "upload_path")->path();
  EXPECT_EQ(file_differs("LAB-1/files/inline.txt", text_of(inline_file)), "");
  // And nothing else: its three files are attributes too.
  EXPECT_EQ(box->sandbox().state().at("files").as_object().size(), expected.at("files").as_object().size());
  EXPECT_EQ(
      held.at("attrs").as_object().size() + held.at("sets").as_object().size() + held.at("series").as_object().size(),
      attributes + expected.at("files").as_object().size());
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
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
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(place("..") / ".neptune"))
    names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"async", "data-1.log", "last_ack_version", "last_put_version",
                                          "metadata.json", "offline", renamed.filename(), "upload_path"}))
      << "nothing of our own";
}

TEST_F(Client1x, ASyncedClosedDirectoryIsRemovedAfterCleanupAfterAndKeptWhereThatIsNever) {
  make("ml-team/lab",
       "takeover_after = \"1s\"\ncleanup_after = \"1s\"\n"
       "[[watch]]\npath = \"@DIR@/kept\"\nkind = \"client-1x\"\nproject = \"ml-team/lab\"\n"
       "takeover_after = \"1s\"\ncleanup_after = \"never\"\n",
       false);
  const auto kept = box->dir() / "kept" / ".neptune";
  fs::create_directories(kept / "offline");
  box->start_daemon();
  box->hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r"})");
  ASSERT_TRUE(wait_synced(1));
  const auto of_never = finished_run("never", 1, 20);
  fs::rename(of_never, kept / "offline" / of_never.filename());
  ASSERT_TRUE(wait_synced(21));
  const auto lossy = finished_run("offline", 1, 20);
  write(lossy / "last_put_version", "25");
  age(lossy, 60s);
  hand_over(lossy);
  const auto leftover = finished_run("leftover", 1, 20);
  fs::rename(leftover, place("async") / fmt::format("run__{}__{}__abcdefgh", id_of("LAB-1"), dead_pid));
  const auto refused = finished_run(
      "refused", logged(1, R"({"type": "AssignArtifact", "path": ["a"], "hash": "x"})") + logged_float(2, 1), 2);
  hand_over(refused);
  EXPECT_TRUE(wait_synced(21 + 40 + 2));
  const auto left = [this] {
    std::size_t count = 0;
    for (const auto* mode : {"offline", "async"})
      count += static_cast<std::size_t>(std::distance(fs::directory_iterator(place(mode)), fs::directory_iterator()));
    return count;
  };
  EXPECT_TRUE(box->wait_status([&](const auto&) { return left() == 1; }).first);
  EXPECT_TRUE(fs::is_empty(place("offline"))) << "what its client lost keeps no directory";
  EXPECT_EQ(source("async").at("run").as_string(), "refused") << "its files may be needed to try it again";
  EXPECT_EQ(std::distance(fs::directory_iterator(kept / "async"), fs::directory_iterator()), 1);
  EXPECT_EQ(box->sync({"wait", "--run", "offline", "--timeout", "5s"}).status, 0) << "what was synced stays known";
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
  std::map<std::string, Leftover> logs;
  for (const auto& entry : fs::directory_iterator(test_data() / "client-1x" / "async" / ".neptune" / "async")) {
    const auto name = entry.path().filename().string();
    const auto type = name.substr(0, name.find("__"));
    const auto to = place("async") / fmt::format("{}__{}__{}__k", type, id_of(names.at(type)), dead_pid);
    const auto apart = copy_of_sample(entry.path(), "apart-" + type);
    age(apart, 60s);
    logs[type] = {version_in(apart / "last_ack_version"), text_of(apart / "data-1.log")};
    left += version_in(apart / "last_put_version") - logs[type].acked;
    fs::rename(apart, to);
  }
  ASSERT_TRUE(wait_synced(4 + left));
  const auto after = box->sandbox().state("times=1");
  const auto held = [&](const std::string& type) {
    return type == "run" ? after.at("runs").at("ml-team/lab/r")
                         : after.at("containers").at("ml-team/lab/" + names.at(type));
  };
  for (const auto& [type, log] : logs) EXPECT_EQ(leftover_difference(held(type), log), "") << type;
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
  EXPECT_TRUE(says("alive", "its client may still sync it")) << detail("alive");
  const auto explained = box->sync({"explain", place("async")});
  EXPECT_NE(explained.out.find("client may still sync it"), std::string::npos) << explained.out << explained.err;
  const auto young = finished_run("y", 1, 5);
  age(young, 0s);
  fs::rename(young, place("async") / fmt::format("run__{}__{}__young", id, dead_pid));
  EXPECT_TRUE(says("young", "is taken over at")) << detail("young");
  EXPECT_EQ(box->get("/v1/status").at("totals").at("synced").as_int64(), 1);
}

TEST_F(Client1x, ALogIsFollowedThroughRotationAndTheDeathOfItsProducerInTheMiddleOfAnObject) {
  make();
  auto job = living_job();
  const auto directory = offline_run("live-1", job.pid());
  write(directory / "data-1.log", "");
  // As the client's buffer is emptied: in pieces that know nothing of operations.
  const auto log = logged_floats(1, 500);
  for (std::size_t at = 0; at < log.size(); at += 777) {
    write(directory / "data-1.log", log.substr(at, 777), std::ios::app);
    write(directory / "last_put_version", std::to_string(std::min<std::size_t>(500, 60 + at / 100)));
    if (at % (777 * 8) == 0) {
      EXPECT_TRUE(box->wait_status([&](const auto& s) {
                       return s.at("totals").at("synced").as_int64() * 200 + 20'000 > static_cast<std::int64_t>(at);
                     })
                      .first);
    }
  }
  ASSERT_TRUE(wait_synced(500));
  EXPECT_EQ(source("live-1").at("state").as_string(), "live");
  EXPECT_EQ(box->sync({"wait", "--run", "live-1", "--timeout", "1s"}).status, 4) << "a live run is not closed";
  write(directory / "data-501.log", logged_floats(501, 600));
  const auto torn = logged_floats(601, 601);
  write(directory / "data-501.log", torn.substr(0, torn.size() / 2), std::ios::app);
  write(directory / "last_put_version", "640");
  ASSERT_TRUE(wait_synced(600));
  job.kill();
  EXPECT_EQ(box->sync({"wait", "--run", "live-1", "--timeout", "20s"}).status, 0);
  EXPECT_EQ(misses("live-1", 600), "");
  EXPECT_TRUE(box->wait_status([&](const auto&) { return fs::is_empty(place("offline")); }).first) << "renamed";
  EXPECT_TRUE(says("abcdefgh", "lost by the client: 40")) << detail("abcdefgh");
}

TEST_F(Client1x, FiftyKillsOfTheDaemonDuringADrainLeaveEveryPointOnceAndEveryFileWhole) {
  make("ml-team/lab", "takeover_after = \"1s\"\n", false);
  constexpr int points = 10'000, between = 100;
  const auto small = make_file("small.bin", 5000), large = make_file("large.bin", 6 << 20);
  std::string log;
  int version = 0;
  for (int point = 1; point <= points; ++point) {
    log += logged_float(++version, point);
    if (point % between == 0) {
      const bool is_large = point % (10 * between) == 0;
      log += logged(++version, fmt::format(R"({{"type": "UploadFile", "path": ["files", "at_{}"], "ext": "bin",
                                               "file_path": "{}", "tmp_file_name": null}})",
                                           point, (is_large ? large : small).string()));
    }
  }
  hand_over(finished_run("killed", log, version));
  // Calls take their time, so that each kill finds some on their way.
  box->sandbox().control(R"({"fault": {"path": "/api/leaderboard/v1/attributes", "delay_ms": 120}})");
  std::mt19937 random(7);
  box->start_daemon();
  for (int kill = 0; kill < 50; ++kill) {
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 250));
    if (kill == 49) {
      EXPECT_NE(misses("killed", points), "") << "the drain was over before";
    }
    box->kill_daemon();
    box->start_daemon();
  }
  box->sandbox().control(R"({"reset": true})");
  EXPECT_TRUE(box->wait_status([&](const auto&) { return misses("killed", points).empty(); }, 120s).first);
  EXPECT_EQ(misses("killed", points), "");
  EXPECT_EQ(box->sync({"wait", "--run", "killed", "--timeout", "60s"}).status, 0);
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
  EXPECT_EQ(box->sandbox().state().at("runs").as_object().size(), 1u) << "it is created once";
  for (int point = between; point <= points; point += between) {
    const bool is_large = point % (10 * between) == 0;
    EXPECT_EQ(file_differs(fmt::format("LAB-1/files/at_{}.bin", point), text_of(is_large ? large : small)), "");
  }
}

TEST_F(Client1x, AnswersThatAreLostLeaveEveryPointOnce) {
  server_lines = "request_timeout = \"2s\"\n";
  make();
  box->sandbox().control(R"({"faults": [
    {"path": "/api/leaderboard/v1/attributes/operations", "drop": "before_answer", "probability": 0.4},
    {"path": "/api/leaderboard/v1/attributes/operations", "drop": "before_processing", "probability": 0.3},
    {"path": "/api/leaderboard/v1/experiments", "method": "POST", "drop": "before_answer", "times": 2}]})");
  offline_run("doubted", 1, 5000);
  EXPECT_TRUE(box->wait_status([this](const auto&) { return misses("doubted", 5000).empty(); }, 90s).first);
  box->sandbox().control(R"({"reset": true})");
  ASSERT_TRUE(wait_synced(5000));
  EXPECT_EQ(misses("doubted", 5000), "");
  EXPECT_EQ(box->sandbox().state().at("runs").as_object().size(), 1u) << "it is created once";
}

std::string logged_text(int version, int step, const std::string& text) {
  return logged(version, fmt::format(R"({{"type": "LogStrings", "path": ["text"], "values": [
                                         {{"value": "{}", "step": {}, "ts": 17.5}}]}})",
                                     text, step));
}

/// A directory whose one call, with 300 points and an operation that is refused, takes effect only after a while.
class CallIsOut : public Client1x {
 protected:
  static constexpr int points = 300;

  CallIsOut() {
    make();
    std::string log;
    for (int version = 1; version <= points; ++version) log += logged_text(version, version, std::string(500, 'x'));
    log += logged(points + 1, R"({"type": "AssignInt", "path": ["bad"], "value": 1})");
    box->sandbox().control(R"({"reject": {"path": "bad", "code": "FIELD_PATH_INVALID"},
                               "fault": {"path": "/api/leaderboard/v1/attributes/operations",
                                         "read_bytes_per_second": 20000, "times": 1}})");
    directory = hand_over(finished_run("flickers", log, points + 1));
    metadata = text_of(directory / "metadata.json");
    EXPECT_TRUE(box->wait_status([this](const auto&) {
                     return box->sandbox().state("summary=1").at("faults_struck").as_int64() > 0;
                   })
                    .first);
  }
  void set_aside() {
    write(directory / "metadata.json", R"({"containerType": "run", "structureVersion": 4})");
    ASSERT_TRUE(says("flickers", "format version 4")) << detail("flickers");
  }
  bool is_gone() {
    return box
        ->wait_status([this](const auto&) {
          return box->sync({"--json", "events"}).out.find("was removed with") != std::string::npos;
        })
        .first;
  }
  bool has_arrived() { return run("flickers").at("series").as_object().contains("text"); }
  void expect_all_of_it_once() {
    EXPECT_EQ(box->sync({"wait", "--run", "flickers", "--timeout", "30s"}).status, 1) << "something was rejected";
    ASSERT_TRUE(wait_synced(points + 1));
    EXPECT_EQ(run("flickers").at("series").at("text").as_array().size(), static_cast<std::size_t>(points));
    EXPECT_NE(rejection_of(points + 1), "");
    EXPECT_EQ(box->get("/v1/status").at("totals").at("synced").as_int64(), points);
  }

  fs::path directory;
  std::string metadata;
};

TEST_F(CallIsOut, ADirectoryThatComesBackMeanwhileWaitsForTheAnswer) {
  set_aside();
  write(directory / "metadata.json", metadata);
  EXPECT_TRUE(box->wait_status([this](const auto&) {
                   const auto found = source("flickers");
                   return found.is_object() && found.at("state").as_string() != "set_aside";
                 })
                  .first);
  EXPECT_FALSE(has_arrived()) << "the call is still out";
  expect_all_of_it_once();
}

TEST_F(CallIsOut, TheAnswerIsPutOnRecordOnceItsDirectoryCanBeReadAgain) {
  set_aside();
  EXPECT_TRUE(box->wait_status([this](const auto&) { return has_arrived(); }).first);
  write(directory / "metadata.json", metadata);
  expect_all_of_it_once();
}

TEST_F(CallIsOut, ADirectoryThatIsMovedAwayAndBackMeanwhileWaitsForTheAnswer) {
  fs::rename(directory, box->dir() / "away");
  ASSERT_TRUE(is_gone());
  fs::rename(box->dir() / "away", directory);
  EXPECT_FALSE(has_arrived()) << "the call is still out";
  expect_all_of_it_once();
}

TEST_F(CallIsOut, ADirectoryThatIsAwayWhenTheAnswerComesGoesOnBehindIt) {
  fs::rename(directory, box->dir() / "away");
  ASSERT_TRUE(is_gone());
  EXPECT_TRUE(box->wait_status([this](const auto&) { return has_arrived(); }).first);
  fs::rename(box->dir() / "away", directory);
  expect_all_of_it_once();
}

TEST_F(CallIsOut, ADirectoryThatIsMovedToAnotherPlaceGoesOnThere) {
  const auto elsewhere = box->dir() / "jobs" / "other" / ".neptune" / "offline";
  fs::create_directories(elsewhere);
  fs::rename(directory, elsewhere / directory.filename());
  EXPECT_TRUE(box->wait_status([this](const auto&) { return has_arrived(); }).first);
  expect_all_of_it_once();
}

TEST_F(CallIsOut, TheAnswerCountsThoughTheDaemonIsKilledWhileTheDirectoryIsAway) {
  fs::rename(directory, box->dir() / "away");
  ASSERT_TRUE(is_gone());
  const auto is_on_record = [](const auto& status) {
    const auto& totals = status.at("totals");
    return totals.at("synced").as_int64() + totals.at("rejected").as_int64() == points + 1;
  };
  EXPECT_TRUE(box->wait_status(is_on_record).first);
  box->kill_daemon();
  box->start_daemon();
  fs::rename(box->dir() / "away", directory);
  expect_all_of_it_once();
}

TEST_F(Client1x, PointsThatRaiseNoLastStepAreSentOnceWhenTheirAnswerIsLost) {
  make();
  auto job = living_job();
  const auto directory = offline_run("level", job.pid());
  write(directory / "data-1.log", logged_float(1, 7) + logged_text(2, 7, "a"));
  write(directory / "last_put_version", "2");
  ASSERT_TRUE(wait_synced(2));
  box->sandbox().control(R"({"fault": {"path": "/api/leaderboard/v1/attributes/operations", "drop": "before_answer",
                                       "times": 1}})");
  write(directory / "last_put_version", "4");
  write(directory / "data-1.log", logged_float(3, 7) + logged_text(4, 7, "b"), std::ios::app);
  ASSERT_TRUE(wait_synced(4));
  EXPECT_EQ(run("level").at("series").at("loss").as_array().size(), 2u);
  EXPECT_EQ(run("level").at("series").at("text").as_array().size(), 2u);
}

TEST_F(Client1x, ARenameThatCannotBeIsToldAndDoneOnceItCan) {
  make();
  fs::remove(place("async"));
  write(place("async"), "in the way");
  offline_run("stuck", 1, 20);
  ASSERT_TRUE(wait_synced(20));
  EXPECT_TRUE(says("stuck", "it keeps its name for now")) << detail("stuck");
  EXPECT_TRUE(box->wait_status([&](const auto&) { return source("stuck").at("state").as_string() == "synced"; }).first);
  fs::remove(place("async"));
  EXPECT_EQ(box->sync({"flush"}).status, 0) << "it is not waited for the next try";
  EXPECT_TRUE(box->wait_status([&](const auto&) { return fs::is_empty(place("offline")); }).first);
  const auto tells_nothing = [&](const auto&) {
    const auto now = source("abcdefgh");
    return now.is_object() && !(now.as_object().contains("detail") && now.at("detail").is_string());
  };
  EXPECT_TRUE(box->wait_status(tells_nothing).first) << detail("abcdefgh");
}

TEST_F(Client1x, LeftoversGoToTheRunTheyAreOfThoughAnotherIsCalledLikeIt) {
  make();
  box->hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r"})");
  ASSERT_TRUE(wait_synced(1));
  box->hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "LAB-1"})");
  ASSERT_TRUE(wait_synced(2));
  const auto of_r = id_of("LAB-1");
  ASSERT_NE(of_r, id_of("LAB-2"));
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "storage is full"})");
  const auto leftover =
      finished_run("leftover",
                   logged_floats(1, 20) + logged(21, R"({"type": "UploadFileContent", "path": ["f"], "ext": "txt",
                                                        "file_content": "aGVsbG8="})") +
                       logged(22, R"({"type": "CopyAttribute", "path": ["copy"], "container_id": ")" + of_r + R"(",
                                     "container_type": "run", "source_path": ["n"], "source_attr_name": "Integer"})") +
                       logged(23, R"({"type": "UploadFile", "path": ["late"], "ext": "txt", "file_path": null,
                                     "tmp_file_name": "late.txt"})"),
                   23);
  const auto directory = place("async") / fmt::format("run__{}__{}__abcdefgh", of_r, dead_pid);
  fs::rename(leftover, directory);
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 23; }).first);
  box->kill_daemon();
  box->start_daemon();
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box->sync({"probe", "ml-team"});
  ASSERT_TRUE(wait_synced(25));
  write(directory / "upload_path" / "late.txt", "late");
  const auto rejected = box->get("/v1/rejected");
  for (const auto& each : rejected.at("rejected").as_array())
    if (each.at("position").as_int64() == 23)
      box->sync({"rejected", "retry", std::to_string(each.at("id").as_int64())});
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 24; }).first);
  EXPECT_EQ(misses("r", 20), "");
  EXPECT_EQ(file_differs("LAB-1/f.txt", "hello"), "");
  EXPECT_EQ(file_differs("LAB-1/late.txt", "late"), "");
  EXPECT_TRUE(run("LAB-1").at("series").as_object().empty());
}

TEST_F(Client1x, BadDirectoriesAreSetAsideWithASentenceAndUntouchedAndTheOthersFinish) {
  make();
  std::map<std::string, std::string> sentences;  // directory → what is said of it
  const auto middle = finished_run("bad-middle", 1, 5);
  write(middle / "data-1.log", logged_floats(1, 2) + "{\"obj\": \n" + logged_floats(4, 5));
  sentences["bad-middle"] = "what is no operation";
  const auto gap = finished_run("bad-gap", logged_floats(1, 2) + logged_floats(4, 5), 5);
  sentences["bad-gap"] = "has operation 4 after operation 2";
  const auto bare = finished_run("bad-bare", 1, 5);
  fs::remove(bare / "metadata.json");
  sentences["bad-bare"] = "no metadata.json";
  const auto ack = finished_run("bad-ack", 1, 5);
  write(ack / "last_ack_version", "6");
  sentences["bad-ack"] = "operation 6 is done";
  const auto foreign = finished_run("bad-version", 1, 5);
  write(foreign / "metadata.json", R"({"containerType": "run", "structureVersion": 4})");
  sentences["bad-version"] = "format version 4";
  const auto secret = finished_run("bad-mode", 1, 5);
  fs::permissions(secret / "data-1.log", fs::perms::none);
  sentences["bad-mode"] = "ermission";
  const auto closed = finished_run("bad-folder", 1, 5);
  sentences["bad-folder"] = "ermission";
  std::map<std::string, std::string> before;
  for (const auto& directory : {middle, gap, bare, ack, foreign, secret, closed}) {
    age(directory, 60s);
    before[directory.filename()] = contents_of(directory);
    if (directory == closed) fs::permissions(closed, fs::perms::none);
    hand_over(directory);
  }
  offline_run("good", 1, 50);
  ASSERT_TRUE(wait_synced(50));
  EXPECT_EQ(misses("good", 50), "");
  for (const auto& [id, sentence] : sentences) {
    EXPECT_TRUE(says(id, sentence)) << id << ": " << detail(id);
    EXPECT_EQ(source(id).at("state").as_string(), "set_aside") << id;
    EXPECT_TRUE(run(id).is_null()) << id;
  }
  fs::permissions(place("offline") / closed.filename(), fs::perms::owner_all);
  for (const auto& [name, was] : before) EXPECT_EQ(contents_of(place("offline") / name), was) << name;
}

TEST_F(Client1x, LeftoversOfWhatTheServerDoesNotKnowAreSetAsideAndUntouched) {
  make();
  const auto unknown = finished_run("x", 1, 5);
  const auto before = contents_of(unknown);
  const auto there = place("async") / fmt::format("run__11111111-2222-4333-8444-555555555555__{}__unknown", dead_pid);
  fs::rename(unknown, there);
  offline_run("good", 1, 50);
  ASSERT_TRUE(wait_synced(50));
  EXPECT_TRUE(box->wait_status([this](const auto&) {
                   const auto found = source("unknown");
                   return found.is_object() && found.at("state").as_string() == "set_aside";
                 })
                  .first);
  EXPECT_TRUE(says("unknown", "11111111-2222")) << detail("unknown");
  EXPECT_EQ(contents_of(there), before);
}

TEST_F(Client1x, ADirectoryThatTheDaemonMayNotWriteIsSentOnceAndLeftAsItIs) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make files of somebody else";
  make("ml-team/lab", "takeover_after = \"1s\"\ncleanup_after = \"0s\"\n");
  const auto theirs = finished_run("theirs", 1, 20);
  for (const auto& entry : fs::recursive_directory_iterator(theirs))
    ASSERT_EQ(::chown(entry.path().c_str(), 1234, 1234), 0);
  ASSERT_EQ(::chown(theirs.c_str(), 1234, 1234), 0);
  const auto before = contents_of(theirs);
  const auto there = hand_over(theirs);
  const auto synced = [this] {
    return box
        ->wait_status([this](const auto&) {
          const auto found = source("theirs");
          return found.is_object() && found.at("state").as_string() == "synced";
        })
        .first;
  };
  EXPECT_TRUE(synced());
  box->kill_daemon();
  box->start_daemon();
  EXPECT_TRUE(synced());
  fs::rename(there, box->dir() / "away");
  EXPECT_TRUE(box->wait_status([this](const auto&) { return source("theirs").is_null(); }).first);
  fs::rename(box->dir() / "away", there);
  EXPECT_TRUE(synced());
  EXPECT_EQ(misses("theirs", 20), "") << "nothing was sent again";
  EXPECT_EQ(contents_of(there), before);
  EXPECT_TRUE(source("theirs").at("read_only").as_bool());
}

TEST_F(Client1x, ADirectoryThatWasMendedIsTaken) {
  make();
  const auto bad = finished_run("mended", logged_floats(1, 5) + "]" + logged_floats(6, 10), 10);
  const auto there = hand_over(bad);
  ASSERT_TRUE(says("mended", "what is no operation")) << detail("mended");
  write(there / "data-1.log", logged_floats(1, 10));
  ASSERT_TRUE(wait_synced(10));
  EXPECT_EQ(misses("mended", 10), "");
}

TEST_F(Client1x, WithoutAProjectAnOfflineRunWaitsAndSaysSo) {
  make("");
  const auto directory = offline_run("nowhere", 1, 5);
  EXPECT_TRUE(says("nowhere", "nothing says which project")) << detail("nowhere");
  const auto explained = box->sync({"explain", directory});
  EXPECT_NE(explained.out.find("NEPTUNE_PROJECT"), std::string::npos) << explained.out << explained.err;
}

TEST_F(Client1x, TheProjectOfTheEnvironmentIsTakenWhereTheWatchNamesNone) {
  make("", "takeover_after = \"1s\"\n", true, "ml-team/lab");
  offline_run("somewhere", 1, 5);
  ASSERT_TRUE(wait_synced(5));
  EXPECT_EQ(misses("somewhere", 5), "");
}

/// Of a directory as the client makes it: the names in it, and what it says of itself.
void expect_readable_by_the_client(const fs::path& directory, int put, const std::string& acked) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"data-1.log", "last_ack_version", "last_put_version", "metadata.json",
                                             "upload_path"}));
  EXPECT_EQ(text_of(directory / "last_put_version"), std::to_string(put));
  EXPECT_EQ(text_of(directory / "last_ack_version"), acked);
  const auto metadata = read_json(directory / "metadata.json");
  EXPECT_EQ(metadata.at("structureVersion").as_int64(), 3);
  EXPECT_EQ(metadata.at("containerType").as_string(), "run");
}

TEST_F(Client1x, AReadOnlyWorkspaceHoldsARunAndLetsItGoOn) {
  make();
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "storage is full"})");
  const auto directory = offline_run("held", 1, 500);
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 500; }).first);
  expect_readable_by_the_client(directory, 500, "");
  EXPECT_TRUE(run("held").is_null());
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  EXPECT_EQ(box->sync({"probe", "ml-team"}).status, 0);
  ASSERT_TRUE(wait_synced(500));
  EXPECT_EQ(misses("held", 500), "");
}

TEST_F(Client1x, WhatTheClientsOwnSyncAcknowledgedMeanwhileIsNotSentAgain) {
  make();
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "storage is full"})");
  const auto directory = offline_run("shared", 1, 500);
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 500; }).first);
  write(directory / "last_ack_version", "300");
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  EXPECT_EQ(box->sync({"probe", "ml-team"}).status, 0);
  EXPECT_EQ(box->sync({"wait", "--run", "shared", "--timeout", "30s"}).status, 0);
  const auto points = run("shared").at("series").at("loss").as_array();
  ASSERT_EQ(points.size(), 200u);
  EXPECT_EQ(points[0].at(0).to_number<std::int64_t>(), 301'000'000);
  EXPECT_EQ(box->get("/v1/status").at("totals").at("pending").as_int64(), 0);
}

TEST_F(Client1x, TheWatchedPathMayBeTheClientsDirectoryItself) {
  make("ml-team/lab", "[[watch]]\npath = \"@DIR@/direct/.neptune\"\nkind = \"auto\"\nproject = \"ml-team/lab\"\n",
       false);
  const auto offline = box->dir() / "direct" / ".neptune" / "offline";
  fs::create_directories(offline);
  box->start_daemon();
  const auto directory = finished_run("direct", 1, 20);
  fs::rename(directory, offline / directory.filename());
  ASSERT_TRUE(wait_synced(20));
  EXPECT_EQ(misses("direct", 20), "");
}

TEST_F(Client1x, AWorkspaceThatTurnsReadOnlyWhileADirectoryWithFilesIsDrainedHoldsTheRestAndLetsItGoOn) {
  for (const auto* style : {"http_402_bare", "http_403", "http_422"}) {
    SCOPED_TRACE(style);
    make();
    const auto large = make_file("large.bin", 40 << 20);
    const auto upload = [&large](int version, int number) {
      return logged(version, fmt::format(R"({{"type": "UploadFile", "path": ["file_{}"], "ext": "bin",
                                              "file_path": "{}", "tmp_file_name": null}})",
                                         number, large.string()));
    };
    const auto log = logged_floats(1, 100) + upload(101, 1) + logged(102, R"({"type": "AssignInt", "path": ["n"],
                     "value": 1})") +
                     upload(103, 2);
    // Each part takes a while: the mode changes in the middle of the first file.
    box->sandbox().control(
        R"({"fault": {"path": "/api/leaderboard/v1/attributes/storage/file/upload/part", "delay_ms": 100}})");
    hand_over(finished_run("drained", log, 103));
    const auto parts = [this]() -> std::int64_t {
      const auto requests = box->sandbox().state("summary=1").at("requests");
      const auto* counts =
          requests.as_object().if_contains("POST /api/leaderboard/v1/attributes/storage/file/upload/part");
      return counts ? counts->at("200").as_int64() : 0;
    };
    ASSERT_TRUE(box->wait_status([&](const auto&) { return parts() >= 2; }).first);
    box->sandbox().control(fmt::format(
        R"({{"workspace": "ml-team", "mode": "read_only", "style": "{}", "reason": "storage is full"}})", style));
    EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 3; }).first)
        << box->sync({"status"}).out;
    // Registered and with nothing on its way, it has the name that the client's own sync goes on with.
    const auto directory = place("async") / fmt::format("run__{}__{}__abcdefgh", id_of("LAB-1"), dead_pid);
    EXPECT_TRUE(box->wait_status([&](const auto&) { return fs::exists(directory); }).first);
    EXPECT_TRUE(fs::is_empty(place("offline")));
    expect_readable_by_the_client(directory, 103, "100");
    EXPECT_EQ(box->sync({"status"}).status, 5);
    box->sandbox().control(R"({"reset": true, "workspace": "ml-team", "mode": "normal"})");
    EXPECT_EQ(box->sync({"probe", "ml-team"}).status, 0);
    ASSERT_TRUE(wait_synced(103, 120s));
    EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
    EXPECT_EQ(misses("drained", 100), "");
    EXPECT_EQ(run("drained").at("attrs").at("n").as_int64(), 1);
    const auto content = text_of(large);
    for (const auto* name : {"LAB-1/file_1.bin", "LAB-1/file_2.bin"}) EXPECT_EQ(file_differs(name, content), "");
    EXPECT_EQ(parts(), 16) << "no part was sent twice";
    box.reset();
  }
}

}  // namespace
}  // namespace neptune::testing
