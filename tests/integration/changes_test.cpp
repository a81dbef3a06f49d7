// Changes handed in over the socket: kept, delivered in order and once, whatever happens.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "tests/campaign/changes.h"
#include "tests/integration/all_kinds.h"
#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/support/json.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr const char* quick_probes =
    "[read_only]\nprobe_interval = \"1s\"\nprobe_interval_max = \"2s\"\nrelease_ramp = \"200ms\"\n";

Box::Options two_workspaces() {
  return {.sandbox_args = {"--workspace", "full:team", "--workspace", "ml-team:team"},
          .server = {},
          .config = quick_probes + std::string("[queue]\nmin_free_disk = \"1MiB\"\n")};
}

/// The container of that type ("model") in the project, by its key or short id.
json::value container(const json::value& state, const std::string& name) {
  const auto* found = state.at("containers").as_object().if_contains(name);
  return found ? *found : json::value();
}

void accepted(Box& box, const std::string& changes) {
  const auto [status, answer] = box.hand_in(changes);
  EXPECT_EQ(status, 202u) << json::serialize(answer);
}

/// Empty when each run was created once, and before its first update was sent: a request that came too early would be
/// there again.
std::string misses_of_order(const json::value& state) {
  std::map<std::string, std::int64_t> created;
  for (const auto& request : state.at("recent").as_array()) {
    const std::string run(request.at("run").as_string());
    if (request.at("kind").as_string() == "create") {
      if (!created.emplace(run, request.at("processed_mono_us").as_int64()).second) return run + " was created twice";
      if (run == "r-2" && !created.contains("r-1")) return "the fork went before its parent";
    } else if (const auto at = created.find(run);
               at == created.end() || at->second > request.at("mono_us").as_int64()) {
      return run + " was updated before its create was stored";
    }
  }
  return created.size() == 2 ? "" : "not all runs were created";
}

TEST(Changes, HandedInAsOneBatchWhileTheServerIsDownArriveInTheirOrder) {
  TempDir kept;
  auto options = two_workspaces();
  options.sandbox_args.insert(options.sandbox_args.end(), {"--state", kept / "state"});
  Box box(std::move(options));
  box.sandbox().control(R"({"auto_create_projects": false})");
  box.sandbox().stop();
  accepted(box, R"([
    {"kind": "project.create", "project": "ml-team/lab", "visibility": "workspace", "key": "LAB"},
    {"kind": "run.create", "project": "ml-team/lab", "run": "r-1", "experiment": "first"},
    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": 1, "append": {"loss": 0.5}},
    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": 2, "append": {"loss": 0.25}, "assign": {"lr": 0.1}},
    {"kind": "run.create", "project": "ml-team/lab", "run": "r-2", "fork": {"run": "r-1", "step": 1}},
    {"kind": "project.metadata", "project": "ml-team/lab", "assign": {"team": "vision"}, "append": {"score": 3}},
    {"kind": "model.create", "project": "ml-team/lab", "key": "FOREST", "name": "A forest"},
    {"kind": "model.update", "project": "ml-team/lab", "model": "FOREST", "assign": {"size": 4}, "append": {"auc": [0.5, 0.75]}},
    {"kind": "model_version.create", "project": "ml-team/lab", "model": "FOREST"},
    {"kind": "model_version.update", "project": "ml-team/lab", "model_version": "LAB-FOREST-1", "assign": {"stage": "none"}}
  ])");
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("pending").as_int64() == 10; }).first);
  box.sandbox().start();
  box.sandbox().control(R"({"auto_create_projects": false})");
  box.sync({"flush"});
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/rejected").at("rejected").as_array().size(), 0u) << json::serialize(box.get("/v1/rejected"));

  const auto state = box.sandbox().state("recent=1");
  EXPECT_EQ(misses_of_order(state), "");
  EXPECT_EQ(state.at("projects").at("ml-team/lab").at("visibility").as_string(), "workspace");
  const auto& run = state.at("runs").at("ml-team/lab/r-1");
  EXPECT_EQ(run.at("experiment").as_string(), "first");
  EXPECT_EQ(json::serialize(run.at("series").at("loss")), "[[1000000,5E-1],[2000000,2.5E-1]]");
  EXPECT_EQ(state.at("runs").at("ml-team/lab/r-2").at("parent").as_string(), "r-1");
  const auto model = container(state, "ml-team/lab/LAB-FOREST");
  ASSERT_TRUE(model.is_object()) << json::serialize(state.at("containers"));
  EXPECT_EQ(model.at("attrs").at("size").as_int64(), 4);
  EXPECT_EQ(model.at("series").at("auc").as_array().size(), 2u);
  const auto version = container(state, "ml-team/lab/LAB-FOREST-1");
  ASSERT_TRUE(version.is_object());
  EXPECT_EQ(version.at("attrs").at("stage").as_string(), "none");
}

TEST(Changes, AreWaitedForByThemselvesWhileOthersOfTheirProjectWait) {
  Box box(two_workspaces());
  const std::string project = "ml-team/lab";
  accepted(box, R"({"kind": "run.update", "project": "ml-team/lab", "run": "never-made", "assign": {"a": 1}})");
  const auto ask = [&](std::vector<std::string> verb) {
    verb.insert(verb.end(), {"--project", project, "--wait", "--timeout", "30s"});
    return box.sync(std::move(verb));
  };
  const auto made = ask({"run", "create", "r-1"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_TRUE(box.sandbox().state().at("runs").as_object().contains("ml-team/lab/r-1"));
  EXPECT_EQ(ask({"run", "log", "r-1", "loss=0.5", "--step", "2"}).status, 0);
  const auto refused = ask({"run", "log", "r-1", "loss=0.25", "--step", "1"});
  EXPECT_EQ(refused.status, 1) << refused.out;
  EXPECT_NE(refused.err.find("neptune-sync rejected"), std::string::npos) << refused.err;
  EXPECT_EQ(box.get("/v1/changes/4").at("state").as_string(), "rejected");
  EXPECT_EQ(box.get("/v1/changes/2").at("done_through").as_int64(), 3);

  EXPECT_EQ(box.sync({"hold", project}).status, 0);
  const auto held = box.sync({"run", "tag", "r-1", "best", "--project", project, "--wait", "--timeout", "300ms"});
  EXPECT_EQ(held.status, 5) << held.err;
  EXPECT_EQ(box.get("/v1/changes/5").at("state").as_string(), "held");
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 1);
}

TEST(Changes, OfARunThatIsLoggedBeforeItIsCreatedMakeTheRunWithItsPoints) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  box.wait_synced();
  const std::string project = "ml-team/lab";
  EXPECT_EQ(box.sync({"run", "log", "r-1", "loss=0.5", "--step", "1", "--project", project}).status, 0);
  EXPECT_EQ(box.sync({"run", "log", "r-1", "loss=0.25", "--step", "2", "--project", project}).status, 0);
  EXPECT_EQ(box.sync({"run", "create", "r-1", "--project", project, "--wait", "--timeout", "60s"}).status, 0);
  box.wait_synced();
  const auto run = box.sandbox().state().at("runs").at("ml-team/lab/r-1");
  EXPECT_EQ(json::serialize(run.at("series").at("loss")), "[[1000000,5E-1],[2000000,2.5E-1]]");
  for (const int id : {2, 3, 4})
    EXPECT_EQ(box.get("/v1/changes/" + std::to_string(id)).at("state").as_string(), "done");
}

TEST(Changes, OfARunWhoseCreatePassesThemAreOneStreamWithIt) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  box.wait_synced();
  accepted(box, R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"a": 1}})");
  const auto stuck = [](const auto& s) { return !s.at("stuck").as_array().empty(); };
  ASSERT_TRUE(box.wait_status(stuck).first);
  // It passes, and is not answered.
  box.sandbox().control(R"({"processing_delay_ms": 700})");
  accepted(box, R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})");
  bool passes = false, always_one = true;
  const auto done = [&](const auto& status) {
    const auto streams = box.get("/v1/streams?run=r-1").at("streams").as_array();
    always_one = always_one && streams.size() == 1;
    passes = passes || (streams[0].at("in_flight").as_int64() == 1 && streams[0].at("pending").as_int64() == 1);
    return status.at("totals").at("synced").as_int64() == 3 && streams[0].at("synced").as_int64() == 2;
  };
  EXPECT_TRUE(box.wait_status(done).first) << json::serialize(box.get("/v1/streams"));
  EXPECT_TRUE(always_one);
  EXPECT_TRUE(passes) << "both were seen in one stream";
}

TEST(Changes, TheCreateOfAProjectPassesTheUpdateThatTheServerRefusesForWantOfIt) {
  Box box(two_workspaces());
  box.sandbox().control(R"({"fault": {"method": "PUT", "path": "/api/backend/v1/projects", "status": 403}})");
  accepted(box, R"({"kind": "project.update", "project": "ml-team/lab", "description": "later"})");
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  const auto is_created = [&box](const auto& status) {
    if (status.at("totals").at("synced").as_int64() == 1) return true;
    box.sync({"flush"});
    return false;
  };
  EXPECT_TRUE(box.wait_status(is_created).first);
  EXPECT_EQ(box.get("/v1/changes/2").at("state").as_string(), "done");
  box.sandbox().control(R"({"reset": true})");
  box.sync({"flush"});
  box.wait_synced();
}

/// With its project.
void create_run(Box& box) {
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "r-1"}])");
  box.wait_synced();
}

/// From now on the server refuses the attribute in that project.
void refuse(Box& box, const std::string& path) {
  box.sandbox().control(fmt::format(
      R"({{"project": "ml-team/lab", "reject": {{"path": "{}", "code": "FIELD_TYPE_CONFLICTING"}}}})", path));
}

/// A run; then the server refuses a point of it for good, which is change 3.
void reject_a_point(Box& box) {
  create_run(box);
  refuse(box, "loss");
  accepted(box, R"([{"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": 1, "append": {"loss": 1}},
                    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": 1, "append": {"lr": 1}}])");
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 1);
  EXPECT_NE(box.sync({"status"}).out.find("1 change rejected and kept"), std::string::npos);
  EXPECT_EQ(box.get("/v1/changes/3").at("state").as_string(), "rejected");
}

TEST(Changes, ThatWereRejectedAndDiscardedAreNotWaitedForAndNotTakenForSynced) {
  Box box(two_workspaces());
  reject_a_point(box);
  ASSERT_EQ(box.sync({"rejected", "discard", "--all"}).status, 0);
  for (const bool again : {false, true}) {
    if (again) {
      box.stop_daemon();
      box.start_daemon();
    }
    const auto waited = box.sync({"wait", "--now", "--timeout", "30s"});
    EXPECT_EQ(waited.status, 0) << waited.out << waited.err;
    EXPECT_EQ(box.sync({"wait", "--now", "--project", "ml-team/lab", "--timeout", "30s"}).status, 0);
    const auto status = box.sync({"status"}).out;
    EXPECT_EQ(status.find("rejected and kept"), std::string::npos) << status;
    const auto totals = box.get("/v1/status").at("totals");
    EXPECT_EQ(totals.at("rejected_kept").as_int64(), 0);
    EXPECT_EQ(totals.at("rejected").as_int64(), 1) << "counts since the beginning";
    const auto place = box.get("/v1/changes/3");
    EXPECT_EQ(place.at("state").as_string(), "discarded") << json::serialize(place);
    EXPECT_EQ(box.get("/v1/changes/1").at("done_through").as_int64(), 2);
    const auto told = box.sync({"explain", "3"}).out;
    EXPECT_EQ(told.find("server has it"), std::string::npos) << told;
    EXPECT_NE(told.find("thrown away"), std::string::npos) << told;
    EXPECT_NE(told.find("FIELD_TYPE_CONFLICTING"), std::string::npos) << told;
  }
}

TEST(Changes, ThatWereRejectedAreNotWaitedForOnceARetryStoredThem) {
  Box box(two_workspaces());
  reject_a_point(box);
  box.sandbox().control(R"({"reset": true})");
  ASSERT_EQ(box.sync({"rejected", "retry", "--all"}).status, 0);
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 0);
  EXPECT_EQ(box.get("/v1/changes/3").at("state").as_string(), "done");
  EXPECT_NE(box.sync({"explain", "3"}).out.find("the server has it"), std::string::npos);
}

std::int64_t ingest_requests(Box& box) {
  const auto state = box.sandbox().state("summary=1");
  std::int64_t count = 0;
  for (const auto& [answer, times] : state.at("requests").at("POST /api/client/v1/ingest").as_object())
    count += times.as_int64();
  return count;
}

TEST(Changes, ThatAreLargeAndRefusedInPartAreNotSentAgainToFindOutWhich) {
  Box box(two_workspaces());
  create_run(box);
  refuse(box, "bad/lr");
  const auto before = ingest_requests(box);
  accepted(box, fmt::format(R"({{"kind": "run.update", "project": "ml-team/lab", "run": "r-1",
                                 "assign": {{"bad/lr": 1, "text": "{}"}}}})",
                            std::string(300'000, 'x')));
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 1);
  EXPECT_EQ(ingest_requests(box) - before, 1);
  const std::string reason(box.get("/v1/rejected").at("rejected").at(0).at("reason").as_string());
  EXPECT_NE(reason.find("bad/lr"), std::string::npos) << reason;
  EXPECT_NE(reason.find("text"), std::string::npos) << reason;
}

TEST(Changes, ThatWereRefusedInPartNameThatPartAndItAloneIsTriedAgain) {
  Box box(two_workspaces());
  create_run(box);
  refuse(box, "bad/loss");
  refuse(box, "bad/lr");
  std::string assigned, appended;
  for (int i = 0; i < 30; ++i) {
    assigned += fmt::format(R"("p/{}": 1, )", i);
    appended += fmt::format(R"("s/{}": 1, )", i);
  }
  const auto update = [&](int step) {
    return fmt::format(R"({{"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": {},
                            "assign": {{{} "bad/lr": {}}}, "append": {{{} "bad/loss": 1}}}})",
                       step, assigned, step, appended);
  };
  accepted(box, update(1));
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 1);
  const auto before = ingest_requests(box);
  accepted(box, "[" + update(2) + "," + update(3) + "]");
  accepted(box, R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"p/0": 2}})");
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 1);
  EXPECT_LE(ingest_requests(box) - before, 8) << "what was refused before is asked about first";
  const auto rejected = box.get("/v1/rejected").at("rejected").as_array();
  ASSERT_EQ(rejected.size(), 3u);
  for (std::size_t i = 0; i < rejected.size(); ++i) {
    const std::string reason(rejected[i].at("reason").as_string());
    EXPECT_NE(reason.find("(2 of 62 values; the others were stored)"), std::string::npos) << reason;
    EXPECT_NE(reason.find(fmt::format("(of bad/loss, bad/lr at step {})", 3 - i)), std::string::npos) << reason;
    EXPECT_EQ(boost::json::serialize(rejected[i].at("part")), R"(["bad/loss","bad/lr"])");
  }
  const auto exported = box.sync({"rejected", "export", "--all"}).out;
  EXPECT_NE(exported.find(R"("part":["bad/loss","bad/lr"],"payload":")"), std::string::npos) << exported;
  EXPECT_NE(box.sync({"rejected", "show", "1"}).out.find("bad/loss, bad/lr; the rest of it is on the server"),
            std::string::npos);
  EXPECT_NE(box.sync({"events"}).out.find("(of bad/loss, bad/lr at step 1)"), std::string::npos);

  ASSERT_EQ(box.sync({"rejected", "retry", "--all"}).status, 0);  // in vain once more
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 1);
  box.sandbox().control(R"({"reset": true})");
  ASSERT_EQ(box.sync({"rejected", "retry", "--all"}).status, 0);
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 0);
  const auto run = box.sandbox().state().at("runs").at("ml-team/lab/r-1");
  EXPECT_EQ(run.at("attrs").at("p/0").as_int64(), 2) << "what was stored is not sent again";
  EXPECT_EQ(run.at("attrs").at("bad/lr").as_int64(), 3);
  EXPECT_EQ(run.at("series").at("bad/loss").as_array().size(), 3u);
}

TEST(Changes, ThatCreateARunAgainAreDoneWhereItIsTheSameAndRejectedWhereItsExperimentOrForkIsAnother) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab"})");
  const auto create = [&box](std::vector<std::string> more) {
    std::vector<std::string> verb{"run", "create", "--project", "ml-team/lab", "--wait", "--timeout", "30s"};
    verb.insert(verb.end(), more.begin(), more.end());
    return box.sync(std::move(verb));
  };
  EXPECT_EQ(create({"base"}).status, 0);
  EXPECT_EQ(create({"r-1", "--experiment", "first"}).status, 0);
  EXPECT_EQ(create({"r-1", "--experiment", "first"}).status, 0) << "it is there as it was to be";
  EXPECT_EQ(create({"r-1"}).status, 0);
  const auto other = create({"r-1", "--experiment", "second"});
  EXPECT_EQ(other.status, 1) << other.out;
  EXPECT_NE(other.err.find("its experiment is 'first', not 'second'"), std::string::npos) << other.err;
  const auto named = create({"base", "--experiment", "second"});
  EXPECT_EQ(named.status, 1) << named.out;
  EXPECT_NE(named.err.find("it is of no experiment, not 'second'"), std::string::npos) << named.err;
  const auto fork = create({"r-1", "--fork-run", "base", "--fork-step", "1"});
  EXPECT_EQ(fork.status, 1) << fork.out;
  EXPECT_NE(fork.err.find("RUN_CONFLICTING"), std::string::npos) << fork.err;
  EXPECT_EQ(box.sandbox().state().at("runs").at("ml-team/lab/r-1").at("experiment").as_string(), "first");
  EXPECT_EQ(box.sync({"run", "log", "r-1", "loss=1", "--project", "ml-team/lab", "--wait", "--timeout", "30s"}).status,
            0);
}

TEST(Changes, ThatCreateARunAreDoneThoughItGotAnotherExperimentBeforeItWasKnownThatTheyWere) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  box.wait_synced();
  // It is created, and nothing is heard of it: then somebody gives it another experiment.
  box.sandbox().control(R"({"faults": [{"path": "/api/client/v1/ingest/check", "status": 503, "times": 1000000}]})");
  accepted(box, R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1", "experiment": "first"})");
  const auto there = [&box](const auto&) {
    return box.sandbox().state().at("runs").as_object().contains("ml-team/lab/r-1");
  };
  ASSERT_TRUE(box.wait_status(there).first);
  box.kill_daemon();
  box.sandbox().control(R"({"reset": true})");
  const auto renamed =
      box.sandbox().call({.method = "POST",
                          .target = "/api/leaderboard/v1/attributes/operations?experimentId=ml-team/lab/LAB-1",
                          .headers = {{"Content-Type", "application/json"}},
                          .body = R"([{"path": "sys/name", "assignString": {"value": "renamed"}}])"});
  ASSERT_EQ(renamed.status, 200u) << renamed.body;
  box.start_daemon();
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0)
      << json::serialize(box.get("/v1/rejected"));
}

TEST(Changes, OfManyRunsThatWaitCostLittleMemoryEach) {
  constexpr std::uint64_t runs = 4000, at_most_each = 4096;
  Box box(two_workspaces());
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  box.stop_daemon();
  box.start_daemon();
  box.get("/v1/status");
  [[maybe_unused]] const auto empty = box.peak_memory();
  std::string body;
  for (std::uint64_t run = 0; run < runs; ++run)
    body += fmt::format(R"({} {{"kind": "run.update", "project": "ml-team/lab", "run": "r-{}", "assign": {{"a": 1}}}})",
                        run == 0 ? '[' : ',', run);
  accepted(box, body + "]");
  box.stop_daemon();
  // All of them are found at once, and looked up.
  box.start_daemon();
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == runs; }).first);
#ifndef __SANITIZE_ADDRESS__  // whose memory is not ours
  EXPECT_LT(box.peak_memory(), empty + runs * at_most_each);
#endif
}

TEST(Changes, WhatAModelVersionIsCalledIsToldToWhoCreatedIt) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "FOREST"}])");
  const auto says = [&box](std::vector<std::string> command, const std::string& words) {
    const auto ran = box.sync(std::move(command));
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find(words), std::string::npos) << ran.out;
  };
  says({"model", "version", "FOREST", "--project", "ml-team/lab", "--wait"}, "Change 3 is synced: LAB-FOREST-1.");
  says({"--json", "model", "version", "FOREST", "--project", "ml-team/lab", "--wait"}, R"("made":"LAB-FOREST-2")");
  says({"explain", "4"}, "the server has it, as LAB-FOREST-2");
  says({"events"}, "LAB-FOREST-1 of ml-team/lab was created");
  EXPECT_TRUE(box.get("/v1/changes/2").at("made").is_null());
}

TEST(Changes, AModelVersionThatCouldNotBeMadeAtFirstIsMadeLater) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "full/lab", "key": "LAB"},
                    {"kind": "model.create", "project": "full/lab", "key": "FOREST"}])");
  box.wait_synced();
  box.sandbox().control(R"({"workspace": "full", "mode": "read_only"})");
  accepted(box, R"({"kind": "model_version.create", "project": "full/lab", "model": "FOREST"})");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 1; }).first);
  box.sandbox().control(R"({"workspace": "full", "mode": "normal"})");
  EXPECT_EQ(box.sync({"probe", "full"}).status, 0);
  box.wait_synced();
  EXPECT_TRUE(container(box.sandbox().state(), "full/lab/LAB-FOREST-1").is_object());
}

TEST(Changes, OfAReadOnlyWorkspaceWaitWhileDeletesPassAndMakeRoom) {
  Box box(two_workspaces());
  for (const char* run : {"old-1", "old-2"}) write_loss_log(box, "full/lab", run, 200);
  box.wait_synced();
  box.sandbox().control(R"({"workspace": "full", "quota": 1000})");
  accepted(box, R"([{"kind": "run.create", "project": "full/lab", "run": "new"},
                    {"kind": "run.update", "project": "full/lab", "run": "new", "step": 1, "append": {"loss": 1}}])");
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 2; }).first)
      << json::serialize(box.get("/v1/streams"));
  // The neighbour goes on.
  accepted(box, R"({"kind": "run.create", "project": "ml-team/lab", "run": "other"})");
  EXPECT_EQ(box.sync({"wait", "--project", "ml-team/lab", "--timeout", "20s"}).status, 0);

  // What is to be deleted must have no held writes.
  const auto [refused, why] = box.hand_in(R"({"kind": "run.delete", "project": "full/lab", "runs": ["new"]})");
  EXPECT_EQ(refused, 409u);
  EXPECT_NE(json::serialize(why).find("discard_pending"), std::string::npos) << json::serialize(why);

  accepted(box, R"([{"kind": "run.trash", "project": "full/lab", "runs": ["old-1", "old-2"]},
                    {"kind": "trash.empty", "project": "full/lab"}])");
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_FALSE(state.at("runs").as_object().contains("full/lab/old-1"));
  EXPECT_FALSE(state.at("runs").as_object().contains("full/lab/old-2"));
  EXPECT_TRUE(state.at("runs").as_object().contains("full/lab/new"));
}

TEST(Changes, ADeleteWhoseTargetTurnsOutToBeHeldKeepsBackNoOther) {
  Box box(two_workspaces());
  for (const char* run : {"busy", "old"}) write_loss_log(box, "full/lab", run, 200);
  box.wait_synced();
  // Nothing is known of the mode when they are handed in.
  box.sandbox().control(R"({"faults": [{"path": "/api/", "status": 503, "times": 1000000}]})");
  accepted(box, R"([{"kind": "run.update", "project": "full/lab", "run": "busy", "step": 900, "append": {"loss": 1}},
                    {"kind": "run.trash", "project": "full/lab", "runs": ["busy"]},
                    {"kind": "run.trash", "project": "full/lab", "runs": ["old"]},
                    {"kind": "run.delete", "project": "full/lab", "runs": ["busy"]},
                    {"kind": "run.delete", "project": "full/lab", "runs": ["old"]}])");
  box.sandbox().control(R"({"reset": true, "workspace": "full", "mode": "read_only"})");
  const auto gone = [&box](const char* run) { return !box.sandbox().state().at("runs").as_object().contains(run); };
  EXPECT_TRUE(box.wait_status([&](const auto&) { return gone("full/lab/old"); }).first)
      << json::serialize(box.get("/v1/streams"));
  EXPECT_FALSE(gone("full/lab/busy"));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
  EXPECT_EQ(box.get("/v1/changes/2").at("why").as_string(), "earlier changes to the same thing go first");
  box.sandbox().control(R"({"workspace": "full", "mode": "normal"})");
  EXPECT_EQ(box.sync({"probe", "full"}).status, 0);
  box.wait_synced();
  EXPECT_TRUE(gone("full/lab/busy")) << json::serialize(box.sandbox().state().at("runs"));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

/// A project is to be archived and taken out again, and a write from before both is held. Changes 3 to 6.
class ArchivedAndTakenOut : public ::testing::Test {
 protected:
  void SetUp() override {
    accepted(box, R"([{"kind": "project.create", "project": "full/lab", "key": "LAB"},
                      {"kind": "run.create", "project": "full/lab", "run": "busy"}])");
    box.wait_synced();
    // Nothing is known of the mode when they are handed in.
    box.sandbox().control(R"({"faults": [{"path": "/api/", "status": 503, "times": 1000000}]})");
    accepted(box, R"([{"kind": "run.update", "project": "full/lab", "run": "busy", "step": 900, "append": {"loss": 1}},
                      {"kind": "project.update", "project": "full/lab", "archived": true},
                      {"kind": "project.update", "project": "full/lab", "archived": false},
                      {"kind": "project.set_storage_limit", "project": "full/lab", "bytes": 1000000}])");
    box.sandbox().control(R"({"reset": true, "workspace": "full", "mode": "read_only"})");
    const auto limit_went = [this](const auto& s) {
      return s.at("totals").at("held").as_int64() == 1 && box.get("/v1/changes/6").at("state").as_string() == "done";
    };
    ASSERT_TRUE(box.wait_status(limit_went).first) << json::serialize(box.get("/v1/streams"));
    for (const char* waiting : {"/v1/changes/4", "/v1/changes/5"})
      EXPECT_EQ(box.get(waiting).at("why").as_string(), "earlier changes to the same thing go first");
  }
  bool archived() { return box.sandbox().state().at("projects").at("full/lab").at("archived").as_bool(); }
  std::int64_t rejected() { return box.get("/v1/status").at("totals").at("rejected").as_int64(); }

  Box box{two_workspaces()};
};

TEST_F(ArchivedAndTakenOut, ItEndsOutsideAlsoWhereTheArchivingWaitedForAHeldWrite) {
  EXPECT_FALSE(archived());
  box.sandbox().control(R"({"workspace": "full", "mode": "normal"})");
  EXPECT_EQ(box.sync({"probe", "full"}).status, 0);
  box.wait_synced();
  EXPECT_FALSE(archived());
  const auto runs = box.sandbox().state().at("runs");
  EXPECT_EQ(runs.at("full/lab/busy").at("series").at("loss").as_array().size(), 1u);
  EXPECT_EQ(rejected(), 0);
}

TEST_F(ArchivedAndTakenOut, TheArchivingGoesOnceTheHeldWriteIsThrownAway) {
  accepted(box, R"({"kind": "project.update", "project": "full/lab", "archived": true, "discard_pending": true})");
  const auto archiving_went = [this](const auto&) {
    return box.get("/v1/changes/4").at("state").as_string() == "done";
  };
  EXPECT_TRUE(box.wait_status(archiving_went).first) << json::serialize(box.get("/v1/streams"));
  EXPECT_TRUE(archived());
  EXPECT_EQ(rejected(), 1) << "the write is kept";
  box.sandbox().control(R"({"workspace": "full", "mode": "normal"})");
  EXPECT_EQ(box.sync({"flush"}).status, 0);
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 6; }).first)
      << json::serialize(box.get("/v1/streams"));
  EXPECT_TRUE(archived()) << "which was asked for last";
}

TEST(Changes, ThatMakeRoomPassADeleteThatWaitsForAnArchivingThatWaitsForAHeldWrite) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "full/lab", "key": "LAB"},
                    {"kind": "run.create", "project": "full/lab", "run": "busy"},
                    {"kind": "run.create", "project": "full/lab", "run": "old"},
                    {"kind": "run.trash", "project": "full/lab", "runs": ["old"]}])");
  box.wait_synced();
  // Nothing is known of the mode when they are handed in.
  box.sandbox().control(R"({"faults": [{"path": "/api/", "status": 503, "times": 1000000}]})");
  accepted(box, R"([{"kind": "run.update", "project": "full/lab", "run": "busy", "step": 900, "append": {"loss": 1}},
                    {"kind": "project.update", "project": "full/lab", "archived": true},
                    {"kind": "run.delete", "project": "full/lab", "runs": ["old"]},
                    {"kind": "trash.empty", "project": "full/lab"},
                    {"kind": "project.set_storage_limit", "project": "full/lab", "bytes": 1000000}])");
  box.sandbox().control(R"({"reset": true, "workspace": "full", "mode": "read_only"})");
  const auto made_room = [&box](const auto& s) {
    return s.at("totals").at("held").as_int64() == 1 && box.get("/v1/changes/8").at("state").as_string() == "done" &&
           box.get("/v1/changes/9").at("state").as_string() == "done";
  };
  EXPECT_TRUE(box.wait_status(made_room).first) << json::serialize(box.get("/v1/streams"));
  EXPECT_FALSE(box.sandbox().state().at("projects").at("full/lab").at("archived").as_bool());
}

TEST(Changes, OfARunThatIsMadeTwiceGoToTheOneTheyWereHandedInForAlsoWhenItIsLoggedBeforeItIsCreated) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  box.wait_synced();
  accepted(box, R"([{"kind": "run.update", "project": "ml-team/lab", "run": "y", "assign": {"first": 1}},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "y"},
                    {"kind": "run.trash", "project": "ml-team/lab", "runs": ["y"]},
                    {"kind": "run.delete", "project": "ml-team/lab", "runs": ["y"]},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "y"},
                    {"kind": "run.update", "project": "ml-team/lab", "run": "y", "assign": {"last": 1}}])");
  box.wait_synced();
  const auto run = box.sandbox().state().at("runs").at("ml-team/lab/y");
  EXPECT_TRUE(look(run, {"attrs", "last"})) << json::serialize(run);
  EXPECT_FALSE(look(run, {"attrs", "first"})) << json::serialize(run);
}

TEST(Changes, OfAReadOnlyProjectThatOnlyRemoveOrMayEndItsModePassWhileCreatesAndWritesWait) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "full/lab", "key": "LAB"},
                    {"kind": "member.add", "project": "full/lab", "user": "sam", "role": "viewer"},
                    {"kind": "run.create", "project": "full/lab", "run": "old"},
                    {"kind": "run.create", "project": "full/lab", "run": "shelved"}])");
  box.wait_synced();
  box.sandbox().control(R"({"project": "full/lab", "mode": "read_only"})");
  accepted(box, R"([{"kind": "run.create", "project": "full/lab", "run": "new"},
                    {"kind": "model.create", "project": "full/lab", "key": "FOREST"},
                    {"kind": "project.metadata", "project": "full/lab", "assign": {"a": 1}}])");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 3; }).first);
  accepted(box, R"([{"kind": "run.archive", "project": "full/lab", "runs": ["shelved"]},
                    {"kind": "run.trash", "project": "full/lab", "runs": ["old"]},
                    {"kind": "run.delete", "project": "full/lab", "runs": ["old"]},
                    {"kind": "member.remove", "project": "full/lab", "user": "sam"},
                    {"kind": "project.set_storage_limit", "project": "full/lab", "bytes": 1000000}])");
  EXPECT_TRUE(box.wait_status([](const auto& s) {
                   return s.at("totals").at("synced").as_int64() == 9 && s.at("totals").at("held").as_int64() == 3;
                 })
                  .first)
      << json::serialize(box.get("/v1/streams"));
  const auto state = box.sandbox().state();
  EXPECT_FALSE(state.at("runs").as_object().contains("full/lab/old"));
  EXPECT_FALSE(state.at("runs").as_object().contains("full/lab/new"));
  box.sandbox().control(R"({"project": "full/lab", "mode": "normal"})");
  box.sync({"probe", "full/lab"});
  box.wait_synced();
  EXPECT_TRUE(box.sandbox().state().at("runs").as_object().contains("full/lab/new"));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

class OfAReadOnlyProject : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(OfAReadOnlyProject, WritesAndCreatesWaitWhileAllThatRemovesPasses) {
  Box box(two_workspaces());
  box.sandbox().control(AllKinds::control);
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "a"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "b"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "c"},
                    {"kind": "member.add", "project": "ml-team/lab", "user": "ann", "role": "viewer"},
                    {"kind": "service_account.add", "project": "ml-team/lab", "account": "ci", "role": "viewer"}])");
  box.wait_synced();
  const auto six_held_and_synced = [&box](std::int64_t synced) {
    return box
        .wait_status([synced](const auto& s) {
          const auto& totals = s.at("totals");
          return totals.at("held").as_int64() == 6 && totals.at("synced").as_int64() == synced;
        })
        .first;
  };
  box.sandbox().control(GetParam().first);
  accepted(box, R"([{"kind": "run.create", "project": "ml-team/lab", "run": "new"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
                    {"kind": "project.metadata", "project": "ml-team/lab", "assign": {"x": 1}},
                    {"kind": "member.add", "project": "ml-team/lab", "user": "bob", "role": "viewer"},
                    {"kind": "run.update", "project": "ml-team/lab", "run": "c", "assign": {"y": 1}},
                    {"kind": "project.update", "project": "ml-team/lab", "description": "told"}])");
  ASSERT_TRUE(six_held_and_synced(6)) << json::serialize(box.get("/v1/streams"));
  accepted(box, R"([{"kind": "run.trash", "project": "ml-team/lab", "runs": ["a"]},
                    {"kind": "run.delete", "project": "ml-team/lab", "runs": ["a"]},
                    {"kind": "run.archive", "project": "ml-team/lab", "runs": ["b"]},
                    {"kind": "member.remove", "project": "ml-team/lab", "user": "ann"},
                    {"kind": "service_account.remove", "project": "ml-team/lab", "account": "ci"},
                    {"kind": "trash.empty", "project": "ml-team/lab"}])");
  ASSERT_TRUE(six_held_and_synced(12)) << json::serialize(box.get("/v1/streams"));
  auto state = box.sandbox().state();
  EXPECT_FALSE(state.at("runs").as_object().contains("ml-team/lab/a"));
  EXPECT_FALSE(state.at("runs").as_object().contains("ml-team/lab/new"));
  EXPECT_FALSE(look(state, {"projects", "ml-team/lab", "members", "ann"}));
  EXPECT_FALSE(look(state, {"projects", "ml-team/lab", "members", "bob"}));
  EXPECT_EQ(box.get("/v1/workspaces/ml-team").at("mode").as_string(), "normal");

  box.sandbox().control(GetParam().second);
  box.sync({"probe", "ml-team/lab"});
  box.wait_synced();
  state = box.sandbox().state();
  EXPECT_TRUE(state.at("runs").as_object().contains("ml-team/lab/new"));
  EXPECT_TRUE(container(state, "ml-team/lab/LAB-M").is_object());
  EXPECT_TRUE(text_at(state, {"projects", "ml-team/lab", "description"}, "told"));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST_P(OfAReadOnlyProject, ItsArchivingAndItsDeletionPassOnceWhatIsHeldIsThrownAway) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  box.wait_synced();
  box.sandbox().control(GetParam().first);
  const auto held_and_synced = [&box](std::int64_t held, std::int64_t synced) {
    return box
        .wait_status([held, synced](const auto& s) {
          const auto& totals = s.at("totals");
          return totals.at("held").as_int64() == held && totals.at("synced").as_int64() == synced;
        })
        .first;
  };
  const auto project = [&box] {
    const auto state = box.sandbox().state();
    const auto* found = state.at("projects").as_object().if_contains("ml-team/lab");
    return found ? *found : json::value();
  };
  std::int64_t synced = 1;
  for (const std::string removal : {R"("kind": "project.update", "archived": true)", R"("kind": "project.delete")"}) {
    accepted(box, R"({"kind": "run.create", "project": "ml-team/lab", "run": "new"})");
    ASSERT_TRUE(held_and_synced(1, synced)) << json::serialize(box.get("/v1/streams"));
    const auto change = "{" + removal + R"(, "project": "ml-team/lab")";
    EXPECT_EQ(box.hand_in(change + "}").first, 409u);
    ASSERT_TRUE(project().is_object()) << "still there";
    accepted(box, change + R"(, "discard_pending": true})");
    ASSERT_TRUE(held_and_synced(0, ++synced)) << json::serialize(box.get("/v1/streams"));
    const auto left = project();
    EXPECT_TRUE(left.is_null() || left.at("archived").as_bool());
  }
  EXPECT_TRUE(project().is_null()) << "it is deleted";
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected_kept").as_int64(), 2) << "what was thrown away is kept";
}

INSTANTIATE_TEST_SUITE_P(
    Ways, OfAReadOnlyProject,
    ::testing::Values(std::pair(R"({"project": "ml-team/lab", "archived": true})",
                                R"({"project": "ml-team/lab", "archived": false})"),
                      std::pair(R"({"project": "ml-team/lab", "mode": "read_only", "style": "http_402"})",
                                R"({"project": "ml-team/lab", "mode": "normal"})")),
    [](const auto& way) { return way.index == 0 ? "Archived" : "Limit"; });

TEST(Changes, ToAProjectArriveBeforeItGetsAnotherName) {
  Box box(two_workspaces());
  box.sandbox().control(R"({"auto_create_projects": false})");
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "r"},
                    {"kind": "run.update", "project": "ml-team/lab", "run": "r", "step": 1, "append": {"loss": 1}},
                    {"kind": "run.update", "project": "ml-team/lab", "run": "r", "step": 2, "append": {"loss": 2}},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
                    {"kind": "model.update", "project": "ml-team/lab", "model": "M", "append": {"auc": [1, 2]}},
                    {"kind": "project.update", "project": "ml-team/lab", "name": "other"}])");
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0)
      << json::serialize(box.get("/v1/rejected"));
  const auto state = box.sandbox().state();
  EXPECT_FALSE(look(state, {"projects", "ml-team/lab"}));
  EXPECT_EQ(values_at(state, {"runs", "ml-team/other/r", "series", "loss"}), "1 2");
  EXPECT_EQ(values_at(state, {"containers", "ml-team/other/LAB-M", "series", "auc"}), "1 2");
}

TEST(Changes, ToAProjectThatIsMadeAnewAfterItsDeletionOrItsNewNameGoToTheOneTheyWereHandedInFor) {
  for (const std::string removal : {R"("kind": "project.delete")", R"("kind": "project.update", "name": "other")"}) {
    Box box(two_workspaces());
    box.sandbox().control(R"({"auto_create_projects": false})");
    accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                      {"kind": "project.metadata", "project": "ml-team/lab", "assign": {"first": 1}},
                      {)" +
                      removal + R"(, "project": "ml-team/lab"},
                      {"kind": "project.create", "project": "ml-team/lab", "key": "NEW"},
                      {"kind": "project.metadata", "project": "ml-team/lab", "assign": {"second": 2}}])");
    box.wait_synced();
    const auto attributes = container(box.sandbox().state(), "ml-team/lab/NEW").at("attrs");
    EXPECT_TRUE(attributes.as_object().contains("second")) << removal << json::serialize(attributes);
    EXPECT_FALSE(attributes.as_object().contains("first")) << removal;
  }
}

TEST(Changes, ThatRemoveARunWhichNeverWasAreRejectedAndThoseWhoseAnswerIsLostAreDone) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "run.create", "project": "ml-team/lab", "run": "r"},
                    {"kind": "run.trash", "project": "ml-team/lab", "runs": ["r"]}])");
  box.wait_synced();
  box.sandbox().control(R"({"fault": {"path": "/api/leaderboard/v1/experiments/trash/delete",
                            "drop": "before_answer", "times": 1}})");
  accepted(box, R"({"kind": "run.delete", "project": "ml-team/lab", "runs": ["r"]})");
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/changes/3").at("state").as_string(), "done");
  // Many wait no longer than one for what the server's search may not know yet.
  std::string others;
  for (int i = 0; i < 20; ++i)
    others += fmt::format(R"({} {{"kind": "run.delete", "project": "ml-team/lab", "runs": ["typo-{}"]}})",
                          i == 0 ? '[' : ',', 100 + i);
  accepted(box, others + "]");
  const auto typo = box.sync({"run", "delete", "typo-7", "--project", "ml-team/lab", "--wait"});
  EXPECT_EQ(typo.status, 1) << typo.out << typo.err;
  EXPECT_EQ(box.get("/v1/changes/24").at("state").as_string(), "rejected");
  EXPECT_NE(std::string(box.get("/v1/changes/24").at("why").as_string()).find("typo-7 (it does not exist)"),
            std::string::npos);
}

TEST(Changes, OfAWorkspaceWhoseTypeIsLearnedLateAreRefusedForWhatItIsUntilItIsAnother) {
  auto options = two_workspaces();
  options.sandbox_args.insert(options.sandbox_args.end(), {"--workspace", "solo:individual"});
  Box box(std::move(options));
  const std::string invite = R"({"kind": "workspace.invite", "workspace": "solo", "user": "jo", "role": "member"})";
  accepted(box, invite);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 1; }).first);
  EXPECT_EQ(box.get("/v1/rejected").at("rejected").at(0).at("code").as_string(), "individual_workspace");
  const auto solo = box.get("/v1/workspaces/solo");
  EXPECT_EQ(solo.at("rejected_kept").as_int64(), 1) << "of a workspace that has no project here";
  EXPECT_TRUE(solo.at("projects").as_array().empty());
  EXPECT_EQ(box.sync({"explain", "solo"}).status, 0);
  EXPECT_EQ(box.hand_in(invite).first, 400u);
  ASSERT_EQ(box.stop_daemon(), 0);
  box.start_daemon();
  EXPECT_EQ(box.hand_in(invite).first, 400u) << "it is known from before";
  box.sandbox().control(R"({"workspace": "solo", "type": "team"})");
  box.daemon().signal(SIGHUP);  // with which a token is read anew, that may be of another server
  bool taken = false;
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (!taken && std::chrono::steady_clock::now() < until) taken = box.hand_in(invite).first == 202;
  EXPECT_TRUE(taken);
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 1; }).first);
}

TEST(Changes, OfAWorkspaceItselfAreToldOfItWhileTheyWait) {
  Box box(two_workspaces());
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  accepted(box, R"({"kind": "workspace.invite", "workspace": "ml-team", "user": "zed", "role": "member"})");
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   const auto& workspaces = s.at("workspaces").as_array();
                   return workspaces.size() == 1 && workspaces[0].at("held").as_int64() == 1 &&
                          !workspaces[0].at("oldest_pending_at").is_null();
                 })
                  .first);
  const auto again =
      http_unix(box.socket(), {.method = "POST", .target = "/v1/scopes/ml-team/hold", .headers = {}, .body = {}});
  EXPECT_FALSE(json::parse(again.body).at("oldest_pending_at").is_null()) << again.body;
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
}

TEST(Changes, ThatInviteIntoAllProjectsWhereAnInvitationIsOutAlreadyMakeItLeadThere) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab"},
                    {"kind": "workspace.invite", "workspace": "ml-team", "user": "zed", "role": "member"},
                    {"kind": "workspace.invite", "workspace": "ml-team", "user": "zed", "role": "owner",
                     "add_to_all_projects": true}])");
  box.wait_synced();
  const auto state = box.sandbox().state();
  const auto& invitations = state.at("workspaces").at("ml-team").at("invitations").as_array();
  ASSERT_EQ(invitations.size(), 1u);
  EXPECT_EQ(invitations[0].at("role").as_string(), "owner") << json::serialize(invitations);
  EXPECT_TRUE(invitations[0].at("add_to_all_projects").as_bool()) << json::serialize(invitations);
}

TEST(Changes, OfAWorkspaceWithATokenOfItsOwnGoToThatTokensServer) {
  TempDir elsewhere;
  Sandbox other(elsewhere.path(), {"--workspace", "vision:team"});
  Box box({.config = fmt::format("[queue]\nmin_free_disk = \"1MiB\"\n[[workspace]]\nname = \"vision\"\n"
                                 "api_token_file = \"{}\"\n",
                                 other.token_file().string())});
  for (const char* workspace : {"vision", "ml-team"})
    accepted(box, fmt::format(
                      R"([{{"kind": "project.create", "project": "{0}/lab", "key": "LAB"}},
                          {{"kind": "run.create", "project": "{0}/lab", "run": "r"}},
                          {{"kind": "run.update", "project": "{0}/lab", "run": "r", "step": 1, "append": {{"loss": 1}}}},
                          {{"kind": "project.metadata", "project": "{0}/lab", "append": {{"score": 1}}}},
                          {{"kind": "run.trash", "project": "{0}/lab", "runs": ["r"]}}])",
                      workspace));
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
  const std::string wanted[] = {"ml-team/lab", "vision/lab"};
  const json::value states[] = {box.sandbox().state(), other.state()};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& [own, others] = std::pair(wanted[i], wanted[1 - i]);
    EXPECT_TRUE(look(states[i], {"projects", own}));
    EXPECT_FALSE(look(states[i], {"projects", others}));
    EXPECT_EQ(values_at(states[i], {"runs", own + "/r", "series", "loss"}), "1");
    EXPECT_EQ(values_at(states[i], {"containers", own + "/LAB", "series", "score"}), "1");
    for (const auto& [name, about] : states[i].at("containers").as_object()) {
      const bool untouched_run = text_at(about, {"type"}, "run") && !about.at("trashed").as_bool();
      EXPECT_FALSE(untouched_run) << name;
    }
  }
}

TEST(Changes, HeldWritesToWhatIsDeletedAreKeptAsRejectedWhenThatWasAskedFor) {
  Box box(two_workspaces());
  write_loss_log(box, "full/lab", "old", 1);
  box.wait_synced();
  box.sandbox().control(R"({"workspace": "full", "mode": "read_only"})");
  accepted(box, R"([{"kind": "run.create", "project": "full/lab", "run": "new"},
                    {"kind": "run.update", "project": "full/lab", "run": "new", "assign": {"a": 1}}])");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 2; }).first);
  accepted(box, R"({"kind": "run.delete", "project": "full/lab", "runs": ["new"], "discard_pending": true})");
  EXPECT_TRUE(box.wait_status([](const auto& s) {
                   const auto& totals = s.at("totals");
                   return totals.at("held").as_int64() == 0 && totals.at("pending").as_int64() == 0;
                 })
                  .first);
  const auto listed = box.get("/v1/rejected");
  ASSERT_EQ(listed.at("rejected").as_array().size(), 2u);
  for (const auto& change : listed.at("rejected").as_array())
    EXPECT_NE(std::string(change.at("reason").as_string()).find("discarded by"), std::string::npos);
}

TEST(Changes, HeldLaterAreThrownAwayForARemovalThatSaidSoAlsoByALaterProcess) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "run.create", "project": "full/lab", "run": "busy"},
                    {"kind": "run.create", "project": "full/lab", "run": "other"}])");
  box.wait_synced();
  // Nothing is known of the mode when they are handed in.
  box.sandbox().control(R"({"faults": [{"path": "/api/", "status": 503, "times": 1000000}]})");
  accepted(box, R"([{"kind": "run.update", "project": "full/lab", "run": "busy", "step": 1, "append": {"loss": 1}},
                    {"kind": "run.update", "project": "full/lab", "run": "other", "step": 1, "append": {"loss": 1}},
                    {"kind": "run.trash", "project": "full/lab", "runs": ["busy"], "discard_pending": true},
                    {"kind": "run.update", "project": "full/lab", "run": "busy", "step": 2, "append": {"loss": 2}}])");
  box.kill_daemon();
  box.start_daemon();
  box.sandbox().control(R"({"reset": true, "workspace": "full", "mode": "read_only"})");
  const auto thrown_away = [&box](const auto&) { return box.get("/v1/changes/5").at("state").as_string() == "done"; };
  EXPECT_TRUE(box.wait_status(thrown_away).first) << json::serialize(box.get("/v1/streams"));
  const auto rejected = box.get("/v1/rejected").at("rejected").as_array();
  ASSERT_EQ(rejected.size(), 1u) << json::serialize(rejected);
  const std::string reason(rejected[0].at("reason").as_string());
  EXPECT_TRUE(reason.starts_with("discarded by ") && reason.ends_with(" with run.trash")) << reason;
  EXPECT_EQ(box.get("/v1/changes/3").at("rejected").as_int64(), rejected[0].at("id").as_int64());
  for (const char* stays : {"/v1/changes/4", "/v1/changes/6"})
    EXPECT_EQ(box.get(stays).at("state").as_string(), "held") << stays << " is of another run, or came later";
}

TEST(Changes, ThatAreBeingThrownAwayWhenTheProcessIsKilledAreThrownAwayByTheNext) {
  constexpr std::int64_t all = 20'000;
  Box box(two_workspaces());
  accepted(box, R"({"kind": "run.create", "project": "full/lab", "run": "busy"})");
  box.wait_synced();
  EXPECT_EQ(box.sync({"hold", "full"}).status, 0);
  for (std::int64_t part = 0; part < 2; ++part) {
    std::string body;
    for (std::int64_t step = part * all / 2; step < (part + 1) * all / 2; ++step)
      body += fmt::format(
          R"({} {{"kind": "run.update", "project": "full/lab", "run": "busy", "step": {}, "append": {{"loss": 1}}}})",
          body.empty() ? '[' : ',', step);
    accepted(box, body + "]");
  }
  const auto held = [](std::int64_t count) {
    return [count](const json::value& status) { return status.at("totals").at("held").as_int64() == count; };
  };
  ASSERT_TRUE(box.wait_status(held(all)).first);
  Process remover({.binary = binary("neptune-sync"),
                   .args = {"--socket", box.socket(), "project", "delete", "full/lab", "--discard-pending"},
                   .env = {},
                   .unset_env = {"NEPTUNE_SYNC_SOCKET"},
                   .output_dir = box.dir(),
                   .name = "remover",
                   .working_dir = {}});
  const auto some = [](const json::value& status) { return status.at("totals").at("rejected").as_int64() > 0; };
  ASSERT_TRUE(box.wait_status(some).first);
  box.kill_daemon();
  remover.wait(10s);
  box.start_daemon();
  EXPECT_TRUE(box.wait_status(held(0)).first) << json::serialize(box.get("/v1/streams"));
  const auto gone = [&box](const auto&) {
    return !box.sandbox().state().at("projects").as_object().contains("full/lab");
  };
  EXPECT_TRUE(box.wait_status(gone).first) << json::serialize(box.get("/v1/streams"));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected_kept").as_int64(), all);
}

TEST(Changes, CountAsWaitingFromWhenTheyAreAcceptedOn) {
  Box box(two_workspaces());
  box.sandbox().control(R"({"faults": [{"path": "/api/", "status": 503, "times": 1000000}]})");
  for (std::int64_t count = 1; count <= 30; ++count) {
    accepted(box,
             fmt::format(R"({{"kind": "run.update", "project": "ml-team/lab", "run": "r-{}", "assign": {{"a": 1}}}})",
                         count % 10));
    const auto status = box.get("/v1/status");
    for (const auto& counts : {status.at("totals"), status.at("workspaces").at(0).at("projects").at(0)})
      ASSERT_EQ(counts.at("pending").as_int64() + counts.at("in_flight").as_int64(), count) << json::serialize(status);
  }
  box.kill_daemon();
  box.start_daemon();
  const auto totals = box.get("/v1/status").at("totals");
  EXPECT_EQ(totals.at("pending").as_int64() + totals.at("in_flight").as_int64(), 30) << json::serialize(totals);
  box.sandbox().control(R"({"reset": true})");
}

TEST(Changes, UnderAKeyThatWasGivenToAnotherAreRefused) {
  Box box(two_workspaces());
  const auto log = [&box](const char* value) {
    return box.sync(
        {"run", "log", "r-1", value, "--step", "1", "--project", "ml-team/lab", "--idempotency-key", "once"});
  };
  EXPECT_EQ(log("loss=1").status, 0);
  EXPECT_EQ(log("loss=1").status, 0) << "the same again";
  const auto other = log("loss=2");
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("The idempotency key 'once' was given to change 1 before, and the content differs."),
            std::string::npos)
      << other.err;
  const auto [status, answer] = box.hand_in(
      R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-2", "assign": {"a": 1}, "idempotency_key": "once"})");
  EXPECT_EQ(status, 409u);
  EXPECT_EQ(answer.at("error").at("code").as_string(), "idempotency_key_reused") << json::serialize(answer);
}

TEST(Changes, OfAModelWaitForItsCreateThatComesLater) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  box.wait_synced();
  accepted(box, R"([{"kind": "model.update", "project": "ml-team/lab", "model": "FOREST", "append": {"auc": 1}},
                    {"kind": "model_version.create", "project": "ml-team/lab", "model": "TREE"},
                    {"kind": "model_version.update", "project": "ml-team/lab", "model_version": "LAB-OAK-1",
                     "assign": {"a": 1}}])");
  const auto all_wait = [&box](const auto&) {
    const auto streams = json::serialize(box.get("/v1/streams"));
    return streams.find("no model 'FOREST' in ml-team/lab; create it first") != std::string::npos &&
           streams.find("no model 'TREE' in ml-team/lab; create it first") != std::string::npos &&
           streams.find("no model version 'LAB-OAK-1' in ml-team/lab") != std::string::npos;
  };
  EXPECT_TRUE(box.wait_status(all_wait).first) << json::serialize(box.get("/v1/streams"));
  accepted(box, R"([{"kind": "model.create", "project": "ml-team/lab", "key": "FOREST"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "TREE"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "OAK"},
                    {"kind": "model_version.create", "project": "ml-team/lab", "model": "OAK"}])");
  EXPECT_EQ(box.sync({"flush"}).status, 0);
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(values_at(state, {"containers", "ml-team/lab/LAB-FOREST", "series", "auc"}), "1");
  EXPECT_TRUE(container(state, "ml-team/lab/LAB-TREE-1").is_object());
  EXPECT_EQ(container(state, "ml-team/lab/LAB-OAK-1").at("attrs").at("a").as_int64(), 1);
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST(Changes, OfOneModelUnderItsKeyAndItsShortIdAreOfTheSame) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "FOREST"},
                    {"kind": "model_version.create", "project": "ml-team/lab", "model": "LAB-FOREST"},
                    {"kind": "model_version.create", "project": "ml-team/lab", "model": "LAB-FOREST"},
                    {"kind": "model_version.create", "project": "ml-team/lab", "model": "FOREST"},
                    {"kind": "model_version.update", "project": "ml-team/lab", "model_version": "FOREST-2",
                     "assign": {"a": 2}},
                    {"kind": "model_version.update", "project": "ml-team/lab", "model_version": "LAB-FOREST-3",
                     "assign": {"a": 3}}])");
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(container(state, "ml-team/lab/LAB-FOREST-2").at("attrs").at("a").as_int64(), 2);
  EXPECT_EQ(container(state, "ml-team/lab/LAB-FOREST-3").at("attrs").at("a").as_int64(), 3);
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST(Changes, OfAModelOfAnotherProjectsKeyAreRefusedAndHoldUpNoOther) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "FOREST"},
                    {"kind": "model_version.create", "project": "ml-team/lab", "model": "LIB-FOREST"},
                    {"kind": "model.update", "project": "ml-team/lab", "model": "LIB-FOREST", "assign": {"a": 2}},
                    {"kind": "model_version.create", "project": "ml-team/lab", "model": "FOREST"},
                    {"kind": "model_version.update", "project": "ml-team/lab", "model_version": "FOREST-1",
                     "assign": {"a": 2}}])");
  const auto all = [](const json::value& status) {
    return status.at("totals").at("rejected").as_int64() == 2 && status.at("totals").at("synced").as_int64() == 4;
  };
  EXPECT_TRUE(box.wait_status(all).first) << json::serialize(box.get("/v1/streams"));
  EXPECT_EQ(container(box.sandbox().state(), "ml-team/lab/LAB-FOREST-1").at("attrs").at("a").as_int64(), 2);
  const auto rejected = json::serialize(box.get("/v1/rejected"));
  EXPECT_NE(rejected.find("'LIB-FOREST' is none of ml-team/lab, whose key is LAB"), std::string::npos) << rejected;
}

TEST(Changes, TheServerRefusesAreKeptWithTheirReasonAndTheRestGoesOn) {
  Box box(two_workspaces());
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "project.metadata", "project": "ml-team/lab", "assign": {"a": 1}},
                    {"kind": "project.metadata", "project": "ml-team/lab", "assign": {"a": "text"}},
                    {"kind": "project.metadata", "project": "ml-team/lab", "assign": {"b": 2}}])");
  // What was refused before a `wait` began is not its business: ask for the counts.
  EXPECT_TRUE(box.wait_status([](const auto& s) {
                   return s.at("totals").at("rejected").as_int64() == 1 && s.at("totals").at("synced").as_int64() == 3;
                 })
                  .first);
  const auto listed = box.get("/v1/rejected");
  ASSERT_EQ(listed.at("rejected").as_array().size(), 1u) << json::serialize(listed);
  const auto& rejected = listed.at("rejected").at(0);
  EXPECT_EQ(rejected.at("kind").as_string(), "project.metadata");
  const auto payload = box.get("/v1/rejected/" + std::to_string(rejected.at("id").as_int64()) + "/payload");
  EXPECT_NE(json::serialize(payload).find("text"), std::string::npos) << json::serialize(payload);
  for (const auto& [id, what] : {std::pair(2, "done"), std::pair(3, "rejected"), std::pair(4, "done")})
    EXPECT_EQ(box.get("/v1/changes/" + std::to_string(id)).at("state").as_string(), what) << id;
  EXPECT_EQ(container(box.sandbox().state(), "ml-team/lab/LAB").at("attrs").at("a").as_int64(), 1);
}

TEST(Changes, AcknowledgedOnesSurviveKillsAndPointsOfModelsAreThereOnce) {
  auto options = two_workspaces();
  options.server = "request_timeout = \"2s\"";  // for so long, the server may still be at what a killed daemon sent
  Box box(std::move(options));
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "r"}])");
  box.sandbox().control(R"({"processing_delay_ms": 20,
      "faults": [{"path": "/api/leaderboard/v1/attributes/operations", "drop": "before_answer", "probability": 0.3, "times": 30},
                 {"path": "/api/", "delay_ms": 15}]})");
  std::mt19937 random(1);
  int points = 0;
  for (int kills = 0; kills < 12; ++kills) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % 200);
    do {
      ++points;
      const auto [status, answer] = box.hand_in(fmt::format(
          R"([{{"kind": "model.update", "project": "ml-team/lab", "model": "M", "append": {{"auc": {0}}}}},
              {{"kind": "project.metadata", "project": "ml-team/lab", "append": {{"score": {0}}}}},
              {{"kind": "run.update", "project": "ml-team/lab", "run": "r", "step": {0}, "append": {{"loss": {0}}}}}])",
          points));
      ASSERT_EQ(status, 202u) << json::serialize(answer);
    } while (std::chrono::steady_clock::now() < until);
    box.kill_daemon();
    box.start_daemon();
  }
  box.sandbox().control(R"({"reset": true})");
  box.wait_synced(120s);
  const auto state = box.sandbox().state();
  const auto model = container(state, "ml-team/lab/LAB-M");
  std::vector<std::pair<const char*, json::value>> series = {
      {"model", model.at("series").at("auc")},
      {"project", container(state, "ml-team/lab/LAB").at("series").at("score")},
      {"run", state.at("runs").at("ml-team/lab/r").at("series").at("loss")}};
  for (const auto& [name, held] : series) {
    ASSERT_EQ(held.as_array().size(), static_cast<std::size_t>(points)) << name;
    for (int i = 0; i < points; ++i)
      EXPECT_EQ(held.as_array()[static_cast<std::size_t>(i)].at(1).to_number<double>(), i + 1) << name;
  }
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST(Changes, OfEachKindAreAcceptedDeliveredAndSeenInTheServersState) {
  Box box(two_workspaces());
  box.sandbox().control(AllKinds::control);
  accepted(box, AllKinds::base);
  const AllKinds all(1);
  std::string body;
  std::set<std::string> kinds;
  for (const auto& change : all.changes) {
    const auto text = "{" + change.text + "}";
    body += (body.empty() ? "[" : ", ") + text;
    kinds.emplace(parse_json(text).at("kind").as_string());
  }
  EXPECT_EQ(kinds.size(), 24u) << "a kind of changes is not among them";
  accepted(box, body + "]");
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(all.misses(state), "");
  EXPECT_TRUE(look(state, {"containers", "ml-team/base/BASE-V-2"})) << "the version of the model that was there before";
  EXPECT_EQ(box.get("/v1/rejected").at("rejected").as_array().size(), 0u) << json::serialize(box.get("/v1/rejected"));
}

TEST(Changes, OfAllKindsAreAppliedOnceThroughKillsAtAnyStep) {
  EXPECT_TRUE(changes(10));
}

TEST(Changes, ThatWereRejectedAndAreTriedAgainArriveOnceWhenAnAnswerIsLost) {
  Box box(two_workspaces());
  accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  box.wait_synced();
  refuse(box, "score");
  accepted(box, R"({"kind": "project.metadata", "project": "ml-team/lab", "append": {"score": [1, 2, 3]}})");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 1; }).first);
  box.sandbox().control(R"([{"reset": true}, {"fault": {"path": "/api/leaderboard/v1/attributes/operations",
                             "drop": "before_answer", "times": 1}}])");
  const auto id = box.get("/v1/rejected").at("rejected").at(0).at("id").as_int64();
  EXPECT_EQ(box.sync({"rejected", "retry", std::to_string(id)}).status, 0);
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 0; }).first);
  EXPECT_EQ(values_at(box.sandbox().state(), {"containers", "ml-team/lab/LAB", "series", "score"}), "1 2 3");
}

}  // namespace
}  // namespace neptune::testing
