#include "client/cli/views.h"

#include <gtest/gtest.h>

#include "client/lib/time.h"

// Whole outputs, as they are seen.
namespace neptune::cli {
namespace {

const Now now = api::parse_time("2026-01-02T12:00:00.000Z").value();

api::Status healthy() {
  api::Status status;
  status.version = "0.1.0";
  status.state = "running";
  status.started_at = "2026-01-02T09:46:00.000Z";
  status.server = {"https://neptune.example.org", true, "2026-01-02T11:59:58.000Z", std::nullopt};
  status.totals.synced = 88120;
  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "ml-team";
  workspace.synced = 88120;
  auto& project = workspace.projects.emplace_back();
  project.name = "classification";
  project.synced = 88120;
  auto& watch = status.sources.emplace_back();
  watch.kind = "watch";
  watch.path = "/runs";
  watch.state = "watching";
  for (const char* state : {"closed", "live", "closed"}) {
    auto& source = status.sources.emplace_back();
    source.kind = "run-log";
    source.state = state;
  }
  return status;
}

void make_read_only(api::ScopeStatus& scope) {
  scope.mode = "read_only";
  scope.reason = "Storage limit exceeded";
  scope.since = "2026-01-02T11:48:00.000Z";
  scope.next_probe_at = "2026-01-02T12:02:00.000Z";
  scope.held = 1204;
  scope.pending_bytes = scope.held_bytes = 3355443;
  scope.oldest_pending_at = scope.since;
}

TEST(StatusView, IsCalmWhenAllIsWell) {
  EXPECT_EQ(view(healthy(), {}, now),
            "neptune-syncd 0.1.0 · running for 2 h 14 min · https://neptune.example.org\n"
            "\n"
            "SCOPE             MODE    PENDING  HELD  SENT  SYNCED  REJECTED  SIZE  OLDEST\n"
            "ml-team           normal        -     -     -  88,120         -     -       -\n"
            "  classification  normal        -     -     -  88,120         -     -       -\n"
            "\n"
            "Everything is synced.\n"
            "1 folder is watched. Sources: 1 being written, 2 closed.\n");
}

TEST(StatusView, DoesNotCountTheChangeQueueAmongTheSources) {
  auto status = healthy();
  auto& queue = status.sources.emplace_back();
  queue.kind = "change-queue";
  queue.state = "closed";
  EXPECT_EQ(view(status, {}, now), view(healthy(), {}, now));
}

TEST(StatusView, SpeaksOfOneChangeAsOne) {
  auto status = healthy();
  auto& workspace = status.workspaces[0];
  workspace.mode = "held";
  workspace.held = 1;
  EXPECT_NE(view(status, {}, now).find("`neptune-sync release ml-team` lets it go."), std::string::npos)
      << view(status, {}, now);
}

TEST(StatusView, DoesNotCallEverythingSyncedWhileALogIsNotCountedYetOrSomethingWasLost) {
  auto status = healthy();
  status.sources.back().state = "settling_in";
  const auto found = view(status, {}, now);
  EXPECT_NE(found.find("All that was counted is synced; a log was just found and is not counted yet."),
            std::string::npos)
      << found;
  status.sources.back().state = "blocked";
  const auto blocked = view(status, {}, now);
  EXPECT_NE(blocked.find("All that was counted is synced; a stream cannot go on now: `neptune-sync streams` says why."),
            std::string::npos)
      << blocked;
  EXPECT_EQ(blocked.find("just found"), std::string::npos) << blocked;
  status = healthy();
  status.problems = {"/runs/a was removed with 301 changes of job-1 that were not synced"};
  const auto lost = view(status, {}, now);
  EXPECT_NE(lost.find("\nEverything else is synced.\n"), std::string::npos) << lost;
}

TEST(StatusView, SaysBesideWhatWaitsThatNotAllIsCountedYet) {
  auto status = healthy();
  status.totals.pending = 3;
  status.totals.pending_bytes = 1024;
  auto& workspace = status.workspaces[0];
  workspace.mode = "held";
  workspace.held = 2;
  EXPECT_NE(view(status, {}, now).find("3 changes (1.0 KiB) not synced yet.\n"), std::string::npos);
  status.sources.front().state = "settling_in";
  ASSERT_EQ(status.sources.front().kind, "watch");
  const auto looking = view(status, {}, now);
  EXPECT_NE(looking.find("not synced yet; what is in the watched folders is not counted yet."), std::string::npos)
      << looking;
  EXPECT_NE(looking.find("safe on disk; not all is counted yet."), std::string::npos) << looking;
  for (int logs = 0; logs < 2; ++logs) status.sources.emplace_back().state = "settling_in";
  const auto found = view(status, {}, now);
  EXPECT_NE(found.find("not synced yet; 2 logs were just found and are not counted yet."), std::string::npos) << found;
  status.totals.pending = 0;
  status.sources.resize(status.sources.size() - 2);
  EXPECT_EQ(view(status, {}, now).find("Everything is synced"), std::string::npos);
}

TEST(StatusView, SaysWhatWasMovedToAnotherMachineLately) {
  auto status = healthy();
  status.moved = {{"ml-team/lab", 51, "stick.jsonl", "2026-01-02T11:57:00.000Z"}};
  const auto text = view(status, {}, now);
  EXPECT_NE(text.find("! 51 changes of ml-team/lab were moved to another machine 3 min ago in stick.jsonl, which sends "
                      "them.\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nEverything else is synced.\n"), std::string::npos) << text;
  EXPECT_EQ(view(api::FlushReply{}, status),
            "Everything else is synced; something was moved to another machine: `neptune-sync status` says what.\n");
}

api::Upload upload_of(const std::string& file) {
  return {.project = "ml-team/lab",
          .run = "r1",
          .attribute = "model",
          .file = "/data/" + file,
          .bytes_done = 1u << 30,
          .bytes_total = 3ull << 30,
          .bytes_per_second = 50u << 20,
          .seconds_left = 41.0};
}

TEST(StatusView, TellsHowFarFilesAre) {
  auto status = healthy();
  for (const char* file : {"a", "b", "c", "d", "e", "f", "g"}) status.uploads.push_back(upload_of(file));
  const auto text = view(status, {false, 120}, now);
  EXPECT_NE(text.find("  ↑ a: 1.0 GiB of 3.0 GiB (33 %), 50.0 MiB/s, 41 s left, of run r1 in ml-team/lab\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  ↑ e: "), std::string::npos);
  EXPECT_EQ(text.find("  ↑ f: "), std::string::npos);
  EXPECT_NE(text.find("and 2 more; `neptune-sync streams` has them\n"), std::string::npos) << text;
  api::Stream stream;
  stream.container_type = "files";
  stream.container = "r1";
  stream.why = "being sent";
  stream.active_uploads = {upload_of("a"), upload_of("b")};
  const auto streams = view(api::StreamList{{stream}}, {}, now);
  EXPECT_NE(streams.find("files of r1"), std::string::npos);
  EXPECT_NE(streams.find("being sent; a: 1.0 GiB of 3.0 GiB (33 %), 50.0 MiB/s, 41 s left; b: "), std::string::npos)
      << streams;
}

TEST(StatusView, SaysFirstWhyAWorkspacesChangesWait) {
  auto status = healthy();
  make_read_only(status.workspaces[0]);
  make_read_only(status.workspaces[0].projects[0]);
  status.workspaces[0].projects[0].inherited = true;
  status.totals.held = 1204;
  status.totals.pending_bytes = 3355443;
  EXPECT_EQ(view(status, {false, 90}, now),
            "neptune-syncd 0.1.0 · running for 2 h 14 min · https://neptune.example.org\n"
            "\n"
            "  ! ml-team is read-only for 12 min: Storage limit exceeded. 1,204 changes (3.2 MiB) wait\n"
            "    safe on disk. The next try is in 2 min.\n"
            "\n"
            "SCOPE             MODE       PENDING   HELD  SENT  SYNCED  REJECTED     SIZE  OLDEST\n"
            "ml-team           read-only        -  1,204     -  88,120         -  3.2 MiB  12 min\n"
            "  classification  read-only        -  1,204     -  88,120         -  3.2 MiB  12 min\n"
            "\n"
            "1,204 changes (3.2 MiB) not synced yet.\n"
            "1 folder is watched. Sources: 1 being written, 2 closed.\n");
}

TEST(StatusView, DoesNotCallAFolderWatchedThatCannotBeRead) {
  auto status = healthy();
  status.sources[0].state = "set_aside";
  status.sources[0].detail = "/runs cannot be read (Permission denied); let the daemon's user read it";
  const auto text = view(status, {}, now);
  EXPECT_NE(
      text.find("  ! The watched folder /runs cannot be read (Permission denied); let the daemon's user read it.\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("Everything else is synced.\n"), std::string::npos) << text;
  EXPECT_NE(text.find("No folder is watched."), std::string::npos) << text;
}

TEST(StatusView, SaysOfAFolderThatIsFollowedWithALimitThatDoctorKnowsMore) {
  auto status = healthy();
  status.sources[0].detail = "on a network file system";
  EXPECT_NE(view(status, {}, now).find("1 folder is watched, with a limit (`neptune-sync doctor` tells it)."),
            std::string::npos)
      << view(status, {}, now);
}

TEST(StatusView, NamesEveryCauseAndWhatToDo) {
  auto status = healthy();
  status.state = "draining";
  status.server.reachable = false;
  status.server.last_error = "the server refused the connection";
  status.workspaces[0].mode = "held";
  status.workspaces[0].operator_hold = true;
  status.workspaces[0].held_by = "jackie";
  status.workspaces[0].projects.clear();
  status.totals.rejected = 3;
  status.totals.rejected_kept = 2;
  status.sources[1].state = "set_aside";
  status.sources[1].path = "/runs/a";
  status.sources[1].detail = "the file is not a database";
  EXPECT_EQ(
      view(status, {}, now),
      "neptune-syncd 0.1.0 · draining for 2 h 14 min · https://neptune.example.org\n"
      "\n"
      "  ! The daemon is stopping; what is not synced yet stays on disk.\n"
      "  ! The server cannot be reached: the server refused the connection. It last answered 2 s ago. Changes wait "
      "on disk meanwhile.\n"
      "  ! ml-team is held by jackie. Nothing waits behind it yet. `neptune-sync release "
      "ml-team` ends that.\n"
      "  ! /runs/a is set aside: the file is not a database.\n"
      "\n"
      "SCOPE    MODE  PENDING  HELD  SENT  SYNCED  REJECTED  SIZE  OLDEST\n"
      "ml-team  held        -     -     -  88,120         -     -       -\n"
      "\n"
      "Everything else is synced. 2 changes rejected and kept; `neptune-sync rejected` says why.\n"
      "1 folder is watched. Sources: 1 being written, 1 closed, 1 set aside.\n");
}

TEST(StatusView, SaysThatATokenWasRefused) {
  auto status = healthy();
  status.server.reachable = false;
  status.server.last_error = "the server does not accept the API token; replace it";
  status.server.token_remedy = "Put a valid API token into /etc/token, then `kill -HUP 7`.";
  const auto text = view(status, {}, now);
  EXPECT_NE(text.find("  ! The API token is refused: the server does not accept the API token; replace it. Put a valid "
                      "API token into /etc/token, then `kill -HUP 7`. Changes wait on disk meanwhile.\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("cannot be reached"), std::string::npos) << text;
}

TEST(StatusView, SaysThatTheServerCannotBeAskedAndWhatEndsThat) {
  auto status = healthy();
  status.server.reachable = false;
  status.server.problem = status.server.last_error = "the CA certificates in /ca cannot be used (Permission denied)";
  status.server.remedy = "Mend that file, then `kill -HUP 7`.";
  const auto text = view(status, {}, now);
  EXPECT_NE(
      text.find("  ! The server cannot be asked: the CA certificates in /ca cannot be used (Permission denied). Mend "
                "that file, then `kill -HUP 7`. Changes wait on disk meanwhile.\n"),
      std::string::npos)
      << text;
  EXPECT_EQ(text.find("token"), std::string::npos) << text;
  api::FlushReply reply;
  reply.pending = 3;
  EXPECT_EQ(
      view(reply, status),
      "3 changes not synced yet. Nothing is tried, as the server cannot be asked: `neptune-sync status` says why, "
      "and what ends that.\n");
}

TEST(StatusView, SaysThatThereIsNothingToWatch) {
  api::Status status;
  status.version = "0.1.0";
  status.state = "running";
  EXPECT_EQ(view(status, {}, now), "neptune-syncd 0.1.0 · running\n\nEverything is synced.\nNo folder is watched.\n");
}

TEST(StatusView, StaysWithinTheTerminal) {
  auto status = healthy();
  make_read_only(status.workspaces[0]);
  status.workspaces[0].projects[0].name = std::string(120, 'x');
  for (const std::size_t width : {80u, 100u, 140u}) {
    std::string_view rest = "";
    const auto text = view(status, {false, width}, now);
    rest = text;
    while (!rest.empty()) {
      const auto end = rest.find('\n');
      EXPECT_LE(columns(rest.substr(0, end)), width) << rest.substr(0, end);
      rest.remove_prefix(end + 1);
    }
  }
}

TEST(StatusView, BreaksItsFirstLineInANarrowTerminal) {
  for (const std::size_t width : {30u, 40u, 60u}) {
    const auto text = view(healthy(), {false, width}, now);
    std::string_view rest = std::string_view(text).substr(0, text.find("\n\n"));
    EXPECT_TRUE(rest.starts_with("neptune-syncd 0.1.0 ·")) << rest;
    EXPECT_NE(rest.find("https://neptune.example.org"), std::string_view::npos) << rest;
    for (auto end = rest.find('\n'); !rest.empty(); end = rest.find('\n')) {
      EXPECT_LE(columns(rest.substr(0, end)), width) << rest;
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }
  EXPECT_TRUE(view(healthy(), {true, 40}, now).starts_with("\x1b[1mneptune-syncd 0.1.0\x1b[0m ·"));
}

TEST(StatusView, ColoursTheCauseAndLeavesTheRestPlain) {
  auto status = healthy();
  make_read_only(status.workspaces[0]);
  const auto text = view(status, {true, 200}, now);
  EXPECT_NE(text.find("  \x1b[33m!\x1b[0m ml-team is read-only"), std::string::npos) << text;
  EXPECT_NE(text.find("\x1b[33mread-only\x1b[0m"), std::string::npos);
}

TEST(AnythingHeld, MeansChangesOrAScopeAnOperatorHolds) {
  auto status = healthy();
  EXPECT_FALSE(anything_held(status));
  status.workspaces[0].mode = "read_only";
  EXPECT_FALSE(anything_held(status)) << "nothing waits for it";
  auto& found = status.sources.emplace_back();
  found.state = "settling_in";
  EXPECT_FALSE(anything_held(status)) << "it is not known";
  EXPECT_NE(view(status, {false, 200}, now).find("What waits behind it is not counted yet."), std::string::npos);
  found.project = "other-team/lab";
  EXPECT_EQ(view(status, {false, 200}, now).find("What waits behind it is not counted yet."), std::string::npos);
  status.sources.clear();
  status.workspaces[0].projects[0].held = 1;
  EXPECT_TRUE(anything_held(status));
  status = healthy();
  status.workspaces[0].projects[0].operator_hold = true;
  EXPECT_TRUE(anything_held(status));
}

TEST(StreamsView, SaysWhatOfARunWasMovedToAnotherMachine) {
  api::StreamList list;
  auto& stream = list.streams.emplace_back();
  stream.state = "done";
  stream.moved = 51;
  stream.moved_to = "stick.jsonl";
  EXPECT_NE(view(list, {}, now).find("51 changes moved to another machine in stick.jsonl\n"), std::string::npos)
      << view(list, {}, now);
  stream.why = "it waits";
  EXPECT_NE(view(list, {}, now).find("it waits; 51 changes moved"), std::string::npos) << view(list, {}, now);
}

TEST(StreamsView, TellsOfEachRunWhatItWaitsFor) {
  api::StreamList list;
  auto& first = list.streams.emplace_back();
  first.container = "sunny-fox-12";
  first.project = "ml-team/classification";
  first.state = "held";
  first.held = 1204;
  first.pending_bytes = 3355443;
  first.oldest_pending_at = "2026-01-02T11:48:00.000Z";
  first.why = "ml-team is read-only: storage limit exceeded.";
  auto& second = list.streams.emplace_back();
  second.container = "calm-owl-3";
  second.project = "ml-team/classification";
  second.state = "done";
  second.synced = 500;
  second.uploads = 2;
  EXPECT_EQ(
      view(list, {}, now),
      "RUN           PROJECT                 STATE  PENDING   HELD  SENT  SYNCED  REJECTED     SIZE  OLDEST  WHY\n"
      "sunny-fox-12  ml-team/classification  held         -  1,204     -       -         -  3.2 MiB  12 min  "
      "ml-team is read-only: storage limit exceeded.\n"
      "calm-owl-3    ml-team/classification  done         -      -     -     500         -        -       -  "
      "2 files wait to be uploaded.\n");
  EXPECT_EQ(view(list, {false, 90}, now),
            "RUN           PROJECT                 STATE  PENDING   HELD  SENT  SYNCED     SIZE  OLDEST\n"
            "sunny-fox-12  ml-team/classification  held         -  1,204     -       -  3.2 MiB  12 min\n"
            "    ml-team is read-only: storage limit exceeded.\n"
            "calm-owl-3    ml-team/classification  done         -      -     -     500        -       -\n"
            "    2 files wait to be uploaded.\n");
}

TEST(StatusView, LeavesOutAScopeOfWhichAllWasRejectedAndDropped) {
  api::Status status;
  status.state = "running";
  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "ml-teem";
  workspace.rejected = workspace.rejected_kept = 1;
  EXPECT_NE(view(status, {}, now).find("ml-teem"), std::string::npos);
  workspace.rejected_kept = 0;
  EXPECT_EQ(view(status, {}, now).find("ml-teem"), std::string::npos) << view(status, {}, now);
  workspace.synced = 1;
  EXPECT_NE(view(status, {}, now).find("ml-teem"), std::string::npos);
}

TEST(StatusView, TellsOfChangesThatCannotGoWhyAndWhereMoreIsTold) {
  api::Status status;
  status.state = "running";
  status.stuck.push_back(
      {"ml-teem/lab", "run", "r1", 2, 3, "the server does not know the project ml-teem/lab", "project"});
  status.stuck.push_back({"ml-team/lab", "run", "r2", 1, 1, "the server does not know the run r2", "run"});
  const auto text = view(status, {}, now);
  EXPECT_NE(text.find("  ! 3 changes of ml-teem/lab cannot go: the server does not know the project ml-teem/lab. "
                      "`neptune-sync explain ml-teem/lab` tells more.\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  ! 1 change of run r2 of ml-team/lab cannot go: the server does not know the run r2. "
                      "`neptune-sync explain r2` tells more.\n"),
            std::string::npos)
      << text;

  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "ml-team";
  workspace.projects.emplace_back().name = "lab";
  EXPECT_EQ(view(status, {}, now).find("Did you mean"), std::string::npos) << "that one may be mistyped, too";
  workspace.projects[0].synced = 1;
  EXPECT_NE(view(status, {}, now).find("project ml-teem/lab. Did you mean ml-team/lab? `neptune-sync explain"),
            std::string::npos)
      << view(status, {}, now);
}

TEST(StatusView, CutsALongPathInItsMiddleOnATerminal) {
  auto status = healthy();
  auto& source = status.sources.back();
  source.state = "set_aside";
  source.path = "/var/lib/neptune-syncd/runs/of-a-user/ml-team_classification_trial-7_1795923779897522885";
  source.detail = "the file is not a database; `rm " + source.path + "` removes it";
  const auto narrow = view(status, {false, 80}, now);
  EXPECT_NE(narrow.find("…/ml-team_classification_trial-7_1795923779897522885 is set"), std::string::npos) << narrow;
  EXPECT_EQ(narrow.find("  ! " + source.path), std::string::npos) << narrow;
  EXPECT_NE(narrow.find(source.path + "`"), std::string::npos) << "what is to be copied is whole";
  EXPECT_NE(view(status, {}, now).find(source.path + " is set aside"), std::string::npos) << "no terminal";
}

TEST(EventView, KeepsItsMessageTogetherOnATerminal) {
  api::Event event;
  event.id = 7;
  event.at = "2026-01-02T11:59:58.000Z";
  event.type = "mode_changed";
  event.message = "vision is read-only: Storage limit exceeded. Its writes are held; the rest goes on.";
  const std::string head = "     7  2026-01-02 11:59:58Z  mode_changed";
  EXPECT_EQ(view(event, {}), head + "        " + event.message + "\n");
  EXPECT_EQ(view(event, {false, 80}), head +
                                          "\n        vision is read-only: Storage limit exceeded. Its writes are "
                                          "held; the\n        rest goes on.\n");
  EXPECT_EQ(view(event, {false, 120}), head +
                                           "        vision is read-only: Storage limit exceeded. Its writes are held; "
                                           "the\n" +
                                           std::string(50, ' ') + "rest goes on.\n");
}

TEST(RejectedView, GivesTheReasonInFullAndTheWayToOlderOnes) {
  api::RejectedList list;
  auto& one = list.rejected.emplace_back();
  one.id = 7;
  one.at = "2026-01-02T11:00:00.000Z";
  one.project = "ml-team/x";
  one.container = "r1";
  one.kind = "run.update";
  one.code = "SERIES_STEP_NON_INCREASING";
  one.reason = "The step of metrics/loss is not above the last one.";
  list.next_before = 7;
  one.position = 42;
  one.source = "change queue: ml-team/x/run r1";
  EXPECT_EQ(
      view(list, {}, now),
      "REJECTED  CHANGE  AGE  PROJECT    NAME  KIND        CODE                        REASON\n"
      "       7      42  1 h  ml-team/x  r1    run.update  SERIES_STEP_NON_INCREASING  The step of metrics/loss is not "
      "above the last one.\n"
      "\n"
      "There are older ones: neptune-sync rejected --before 7\n");
  EXPECT_NE(view(one, {}).find("rejected     7\n"), std::string::npos) << view(one, {});
  EXPECT_NE(view(one, {}).find("change       42\n"), std::string::npos) << view(one, {});
  EXPECT_NE(view(one, {}).find("\nrun          r1\n"), std::string::npos) << view(one, {});
  EXPECT_EQ(view(one, {}).find("refused"), std::string::npos) << view(one, {});
  auto invitation = list;
  invitation.rejected[0].project = "ml-team/";
  EXPECT_NE(view(invitation, {}, now).find("  ml-team  "), std::string::npos) << "a workspace's, of no project";
  EXPECT_NE(view(invitation.rejected[0], {}).find("workspace    ml-team\n"), std::string::npos);
  one.part = {"lr", "metrics/loss"};
  EXPECT_NE(view(one, {}).find("\nrefused      lr, metrics/loss; the rest of it is on the server\n"), std::string::npos)
      << view(one, {});
  one.container_type = "model";
  EXPECT_NE(view(one, {}).find("\nmodel        r1\n"), std::string::npos) << view(one, {});
  one.source = "/runs/a";
  EXPECT_NE(view(list, {}, now).find("       7       -  1 h"), std::string::npos) << view(list, {}, now);
}

TEST(FlushView, SaysWhatIsLeft) {
  api::FlushReply reply;
  api::Status status;
  EXPECT_EQ(view(reply, status), "Everything is synced.\n");
  status.sources.emplace_back().state = "blocked";
  EXPECT_EQ(view(reply, status),
            "All that was counted is synced; something cannot go on now: `neptune-sync streams` says why.\n");
  status.sources.emplace_back().state = "settling_in";
  EXPECT_EQ(view(reply, status), "All that was looked into is synced; something was just found.\n");
  status.sources.emplace_back().state = "set_aside";
  EXPECT_EQ(view(reply, status),
            "All that can be read is synced. 1 log or folder is set aside, and is looked at again now: `neptune-sync "
            "status` says why.\n");
  reply.pending = 12;
  reply.held = 1204;
  EXPECT_EQ(view(reply, status), "Trying everything now: 1,216 changes not synced yet, 1,204 of them held.\n");
}

TEST(AcceptedView, SaysWhatWasTakenAndToAReaderWhatToDoNext) {
  Accepted accepted;
  accepted.add({{42}, 1, {"ml-team/lab"}});
  EXPECT_EQ(view(accepted, std::nullopt, false), "Accepted 1 change of ml-team/lab (change 42); it is safe on disk.\n");
  EXPECT_EQ(
      view(accepted, "r1", true),
      "Accepted 1 change of r1 in ml-team/lab (change 42); it is safe on disk. `neptune-sync wait --run r1 --project "
      "ml-team/lab --now` waits until the server has it.\n");
  accepted.add({{43, 44}, 2, {"ml-team/lab", "other"}});
  EXPECT_EQ(view(accepted, std::nullopt, true),
            "Accepted 3 changes of ml-team/lab and 1 more (changes 42 to 44); they are safe on disk.\n");
  accepted.add({{7}, 1, {"other"}});
  EXPECT_EQ(view(accepted, std::nullopt, false),
            "Accepted 4 changes of ml-team/lab and 1 more; they are safe on disk.\n");
  accepted = {};
  accepted.add({{42, 42}, 2, {"ml-team/lab"}});  // one key, twice
  EXPECT_EQ(view(accepted, std::nullopt, false), "Accepted 2 changes of ml-team/lab; they are safe on disk.\n");
}

TEST(TidyView, TellsWhatWentAndWhyTheRestStays) {
  api::TidyReply reply;
  reply.found.push_back({.path = "/runs/a", .kind = "run-log", .action = "kept", .why = "process 7 writes it"});
  reply.found.push_back({.path = "/runs/b", .kind = "run-log", .action = "removed", .bytes = 4096});
  reply.found.push_back({.path = "/runs/c", .kind = "client-1x", .action = "removed", .bytes = 3145728});
  EXPECT_EQ(view(reply, {}),
            "removed      3.0 MiB  /runs/c\n"
            "removed      4.0 KiB  /runs/b\n"
            "kept               -  /runs/a\n"
            "           process 7 writes it\n"
            "\n"
            "2 logs removed (3.0 MiB), 1 kept.\n");
  reply.found = {{.path = "/runs/d",
                  .kind = "run-log",
                  .action = "removed",
                  .why = "no part of the log",
                  .bytes = 4096,
                  .left = {"a", "b", "c", "d", "e", "f"}}};
  EXPECT_EQ(view(reply, {}),
            "removed      4.0 KiB  /runs/d\n"
            "           a, b, c, d, e and 1 more stay there: no part of the log\n"
            "\n"
            "1 log removed (4.0 KiB), 0 kept.\n");
  EXPECT_EQ(view(api::TidyReply{}, {}), "There is no log here that the daemon knows.\n");
}

TEST(ReleasePlanView, SaysHowMuchHowLongAndWhetherItFits) {
  api::ReleasePlan plan;
  plan.scope = "ml-team";
  plan.changes = 1204;
  plan.bytes = 3355443;
  plan.seconds = 90;
  plan.storage_available = 1024;
  plan.fits = false;
  EXPECT_EQ(
      view(plan, {}),
      "`neptune-sync release ml-team` would let 1,204 changes (3.2 MiB) go. At the present rate that takes 1 min. "
      "The server has 1.0 KiB of storage left there: they do not fit. Nothing was released now.\n");
}

TEST(ReleasePlanView, SaysThatNotAllIsCountedYet) {
  api::ReleasePlan plan;
  plan.scope = "ml-team";
  plan.changes = 3;
  EXPECT_EQ(view(plan, {}).find("counted"), std::string::npos);
  plan.uncounted = true;
  EXPECT_NE(view(plan, {}).find(" Not all that waits is counted yet: ask again in a moment."), std::string::npos);
}

TEST(ReleasePlanView, SaysWhatWouldStayAndWhy) {
  api::ReleasePlan plan;
  plan.scope = "ml-team/lab";
  plan.staying = 12;
  plan.staying_bytes = 2048;
  plan.storage_available = 0;
  plan.message = "ml-team is held by root";
  EXPECT_EQ(
      view(plan, {}),
      "`neptune-sync release ml-team/lab` would let nothing go now. 12 changes (2.0 KiB) would stay here. ml-team is "
      "held by root.\n");
  plan.changes = 3;
  plan.bytes = 1024;
  for (const std::int64_t left : {0, -5}) {
    plan.storage_available = left;
    plan.fits = false;
    EXPECT_NE(view(plan, {}).find("The server has nothing of storage left there: they do not fit."), std::string::npos);
  }
  plan.changes = 1;
  EXPECT_NE(view(plan, {}).find("there: it does not fit. "), std::string::npos) << view(plan, {});
}

}  // namespace
}  // namespace neptune::cli
