#include "client/cli/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "client/lib/time.h"

// Why something is not on the server yet, for every reason there is.
namespace neptune::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const Time now = api::parse_time("2026-01-02T12:00:00.000Z").value();
constexpr const char* log_path = "/runs/ml-team_lab_r1_17";

api::Stream waiting(const std::string& waiting_for, const std::string& why) {
  api::Stream stream;
  stream.id = stream.source = log_path;
  stream.project = "ml-team/lab";
  stream.container = "r1";
  stream.state = "waiting";
  stream.why = why;
  stream.waiting_for = waiting_for;
  stream.closed = true;
  stream.pending = 12;
  stream.pending_bytes = 2048;
  stream.oldest_pending_at = "2026-01-02T11:48:00.000Z";
  return stream;
}

api::Status box() {
  api::Status status;
  status.state = "running";
  status.server = {"https://neptune.example.org", true, "2026-01-02T11:59:58.000Z", std::nullopt};
  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "ml-team";
  workspace.projects.emplace_back().name = "lab";
  auto& watch = status.sources.emplace_back();
  watch.kind = "watch";
  watch.path = "/runs";
  watch.state = "watching";
  auto& source = status.sources.emplace_back();
  source.kind = "run-log";
  source.path = log_path;
  source.state = "closed";
  source.project = "ml-team/lab";
  source.run = "r1";
  return status;
}

Question about(const std::string& text, const std::string& path = {}) {
  return {.text = text, .path = path, .now = now};
}

std::string words_of(const std::vector<Explanation>& list) {
  return view(list, {});
}

std::vector<std::string> words_of_the_daemon() {
  std::ostringstream text;
  text << std::ifstream(NEPTUNE_DOCS "/openapi.json").rdbuf();
  const auto document = text.str();
  const auto begin = document.find("\"enum\"", document.find("\"waiting_for\""));
  const auto list = document.substr(begin + 6, document.find(']', begin) - begin - 6);
  const std::regex word("\"([a-z_]+)\"");
  std::vector<std::string> words;
  for (std::sregex_iterator it(list.begin(), list.end(), word), end; it != end; ++it) words.push_back((*it)[1]);
  return words;
}

TEST(Explanation, SaysForEveryReasonWhatItIsAndWhatMakesItMove) {
  const std::map<std::string, std::string> what_moves_it{
      {"turn", "next free connection"},
      {"sending", "on its way"},
      {"unconfirmed", "asks until the server says"},
      {"recording", "Within moments"},
      {"counting", "as soon as that is done"},
      {"lookup", "within moments"},
      {"paused", "when the client's own sync has ended"},
      {"earlier_source", "neptune-sync streams --run r1"},
      {"parent", "once the parent is on the server"},
      {"discovery", "the server is asked for it"},
      {"project", "neptune-sync explain ml-team/lab"},
      {"earlier_change", "neptune-sync streams --project ml-team/lab"},
      {"retry", "neptune-sync flush"},
      {"doubt", "in the second rejected"},
      {"server", "neptune-sync doctor"},
      {"workspace_mode", "neptune-sync probe ml-team`"},
      {"project_mode", "neptune-sync probe ml-team/lab`"},
      {"workspace_held", "neptune-sync release ml-team`"},
      {"project_held", "neptune-sync release ml-team/lab`"},
      {"ramp", "let go over a while"},
      {"source", "Mend that"}};
  const auto words = words_of_the_daemon();
  EXPECT_THAT(words, SizeIs(what_moves_it.size() + 2)) << "and \"nothing\", and \"lost\", which does not wait";
  for (const auto& word : words) {
    if (word == "nothing" || word == "lost") continue;
    const auto found = explain(about("r1"), box(), {waiting(word, "the daemon's own reason")});
    ASSERT_THAT(found, SizeIs(1)) << word;
    EXPECT_EQ(found[0].subject, "Run r1 of ml-team/lab");
    EXPECT_EQ(found[0].waiting_for, word);
    EXPECT_EQ(found[0].state, "12 changes (2.0 KiB) are not on the server yet; the oldest has waited for 12 min.");
    EXPECT_EQ(found[0].where, "In the run log /runs/ml-team_lab_r1_17, which nobody has open.");
    EXPECT_EQ(found[0].why, "The daemon's own reason.");
    ASSERT_TRUE(what_moves_it.contains(word)) << word;
    EXPECT_THAT(found[0].next, HasSubstr(what_moves_it.at(word)));
    EXPECT_THAT(found[0].next, Not(HasSubstr("{")));
  }
}

TEST(Explanation, IsSetForATerminal) {
  const auto found = explain(about("r1"), box(), {waiting("workspace_held", "ml-team is held by root")});
  EXPECT_EQ(view(found, {false, 80}),
            "Run r1 of ml-team/lab\n"
            "         12 changes (2.0 KiB) are not on the server yet; the oldest has waited\n"
            "         for 12 min.\n"
            "  where  In the run log /runs/ml-team_lab_r1_17, which nobody has open.\n"
            "  why    ml-team is held by root.\n"
            "  then   `neptune-sync release ml-team` lets it go; with --dry-run it first\n"
            "         tells how much.\n");
}

TEST(Explanation, LeavesNamesAsTheyAre) {
  const auto why = [](const char* text) { return explain(about("r1"), box(), {waiting("ramp", text)})[0].why; };
  EXPECT_EQ(why("vision is held by root"), "vision is held by root.");
  EXPECT_EQ(why("it is being found out"), "It is being found out.");
  EXPECT_EQ(why("there is no API token"), "There is no API token.");
  EXPECT_EQ(why("sent; it is asked for"), "Sent; it is asked for.");
  EXPECT_EQ(why("a fork: its parent comes first"), "A fork: its parent comes first.");
}

TEST(Explanation, OfWhatIsOnTheServerIsCalm) {
  auto stream = waiting("nothing", "");
  stream.pending = 0;
  stream.synced = 1204;
  stream.last_synced_at = "2026-01-02T11:59:00.000Z";
  stream.closed = false;
  const auto found = explain(about("ml-team/lab/r1"), box(), {stream});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].state,
            "All that was found of it is on the server: 1,204 changes. The last was confirmed 1 min ago.");
  EXPECT_THAT(found[0].next, HasSubstr("as it comes"));
}

TEST(Explanation, OfALogThatWasRemovedUnsyncedIsNotCalm) {
  auto stream = waiting("lost", "/runs/a was removed with 3 changes of r1 that were not synced");
  stream.state = "lost";
  stream.pending = 0;
  stream.lost = 3;
  for (const auto* text : {"r1", "ml-team/lab", "ml-team"}) {
    const auto found = explain(about(text), box(), {stream});
    const auto lost = std::ranges::find(found, "lost", &Explanation::waiting_for);
    ASSERT_NE(lost, found.end()) << text;
    EXPECT_EQ(lost->state, "/runs/a was removed with 3 changes of r1 that were not synced.");
    EXPECT_THAT(lost->next, HasSubstr("`neptune-sync discard ml-team/lab --run r1` gives up what was lost."));
    EXPECT_THAT(view({*lost}, {true, 0}), HasSubstr("\x1b[33m/runs/a was removed"));
  }
}

TEST(Explanation, OfWhatWasMovedToAnotherMachineTellsOfAllLogsOfTheRunAndOfItsProject) {
  std::vector<api::Stream> logs(3, waiting("nothing", {}));
  for (auto& log : logs) {
    log.state = "done";
    log.pending = log.pending_bytes = 0;
    log.moved = 25;
    log.moved_to = "stick.jsonl";
    log.moved_at = "2026-01-02T11:57:00.000Z";
  }
  logs.back().moved = 1;
  logs.back().moved_to = "second.jsonl, stick.jsonl";
  constexpr auto said =
      "1 change was moved to another machine in second.jsonl, stick.jsonl 3 min ago, which sends it. 50 changes were "
      "moved to "
      "another machine in stick.jsonl 3 min ago, which sends them.";
  for (const auto* text : {"r1", "ml-team/lab", "ml-team"}) {
    const auto found = explain(about(text), box(), logs);
    ASSERT_FALSE(found.empty()) << text;
    EXPECT_THAT(found[0].state, HasSubstr(said)) << text;
    EXPECT_THAT(found[0].next, HasSubstr("`neptune-sync import` of second.jsonl and stick.jsonl takes them in"));
    EXPECT_EQ(found[0].waiting_for, "moved");
    EXPECT_THAT(view({found[0]}, {true, 0}), HasSubstr("\x1b[33m")) << "it is not calm";
  }
  logs.push_back(waiting("turn", "it waits for its turn"));
  const auto goes_on = explain(about("r1"), box(), logs);
  ASSERT_THAT(goes_on, SizeIs(1));
  EXPECT_EQ(goes_on[0].waiting_for, "turn");
  EXPECT_THAT(goes_on[0].state, HasSubstr(said)) << "also while more of it waits";
}

TEST(Explanation, OfAServerThatIsAwayOrATokenThatIsMissingSaysWhichItIs) {
  const auto away = explain(about("r1"), box(), {waiting("server", "connection refused; tried again in 8 s")});
  EXPECT_THAT(away[0].next, Not(HasSubstr("SIGHUP")));
  const auto of_away = away[0].next;
  EXPECT_EQ(explain(about("r1"), box(), {waiting("server", "the gateway wants a token")})[0].next, of_away)
      << "the words do not tell";
  auto stream = waiting("server", "there is none to use");
  stream.missing = "token";
  const auto no_token = explain(about("r1"), box(), {stream});
  EXPECT_THAT(no_token[0].next, HasSubstr("neptune-sync doctor` goes the way"));
  EXPECT_THAT(no_token[0].next, HasSubstr("where a new one goes"));
  EXPECT_THAT(no_token[0].next, AllOf(HasSubstr("every five minutes"), Not(HasSubstr("flush` tries"))));
}

TEST(Explanation, OfALogWithoutAStreamSaysWhatKeepsIt) {
  const std::map<std::string, std::string> what_moves_it{
      {"settling_in", "takes seconds"}, {"left_to_client", "when it ends"}, {"set_aside", "Mend that"}};
  for (const auto& [state, next] : what_moves_it) {
    auto status = box();
    status.sources[1].state = state;
    status.sources[1].detail = "why it is so";
    for (const auto& question : {about("r1"), about(log_path, log_path), about("/runs", "/runs")}) {
      const auto found = explain(question, status, {});
      ASSERT_THAT(found, SizeIs(1)) << state;
      EXPECT_EQ(found[0].waiting_for, state);
      EXPECT_EQ(found[0].why, "Why it is so.");
      EXPECT_THAT(found[0].next, HasSubstr(next));
    }
  }
}

TEST(Explanation, OfRejectedChangesNamesTheLatestAndWhatCanBeDone) {
  auto question = about("r1");
  for (int i = 9; i > 4; --i) {
    auto& one = question.rejected.emplace_back();
    one.id = i;
    one.project = "ml-team/lab";
    one.container = i == 9 ? "r2" : "r1";
    one.code = "SERIES_STEP_NON_INCREASING";
    one.reason = "step 3 comes after step 4";
  }
  const auto found = explain(question, box(), {waiting("nothing", "")});
  const auto text = words_of(found);
  EXPECT_THAT(text, HasSubstr("The server refused 4 changes of it for good"));
  EXPECT_THAT(text, AllOf(HasSubstr("8: Step 3"), HasSubstr("6: Step 3"), Not(HasSubstr("5: Step 3")),
                          Not(HasSubstr("9: Step 3")), HasSubstr("neptune-sync rejected retry ID")));
}

TEST(Explanation, OfFilesSaysThatTheyWait) {
  auto stream = waiting("nothing", "");
  stream.pending = 0;
  stream.uploads = 2;
  const auto found = explain(about("r1"), box(), {stream});
  ASSERT_THAT(found, SizeIs(1)) << "what waits is all that is said of the run";
  EXPECT_EQ(found[0].waiting_for, "uploads");
  EXPECT_EQ(found[0].state, "2 files wait to be uploaded.");
}

TEST(Explanation, GivesARunOneHeadingAndOneVerdict) {
  auto queued = waiting("turn", "its turn comes"), log = waiting("nothing", "");
  queued.source = queued.id = "change queue: ml-team/lab run r1";
  log.pending = 0;
  log.synced = 12;
  auto files = log;
  files.container_type = "files";
  files.synced = 1;
  files.last_synced_at = "2026-01-02T11:59:00.000Z";
  const auto waits = explain(about("r1"), box(), {files, log, queued});
  ASSERT_THAT(waits, SizeIs(1));
  EXPECT_EQ(waits[0].subject, "Run r1 of ml-team/lab");
  EXPECT_EQ(waits[0].state,
            "12 changes (2.0 KiB) are not on the server yet; the oldest has waited for 12 min. Already there: 12 "
            "changes and 1 file.");
  queued.pending = 0;
  queued.waiting_for = "nothing";
  const auto done = explain(about("r1"), box(), {files, log, queued});
  ASSERT_THAT(done, SizeIs(1));
  EXPECT_EQ(done[0].subject, "Run r1 of ml-team/lab");
  EXPECT_EQ(done[0].state,
            "All that was found of it is on the server: 12 changes and 1 file. The last was confirmed 1 min ago.");
  const auto uploaded = explain(about("r1"), box(), {files});
  ASSERT_THAT(uploaded, SizeIs(1));
  EXPECT_THAT(uploaded[0].where, IsEmpty()) << "what is uploaded need not stay as it is";
  auto other = log;
  other.project = "ml-team/x";
  EXPECT_THAT(explain(about("r1"), box(), {log, other}), SizeIs(2)) << "a run of that name in another project";
}

TEST(Explanation, DoesNotSayThatAllIsThereWhereSomethingWasRejected) {
  auto question = about("r1");
  auto& one = question.rejected.emplace_back();
  one.id = 7;
  one.project = "ml-team/lab";
  one.container = "r1";
  one.code = "http_400";
  auto stream = waiting("nothing", "");
  stream.pending = 0;
  stream.rejected_kept = 1;
  EXPECT_THAT(explain(question, box(), {stream})[1].state, testing::Eq("Nothing else of it waits."));
  stream.synced = 12;
  EXPECT_EQ(explain(question, box(), {stream})[1].state, "Nothing else of it waits. On the server: 12 changes.");
  auto status = box();
  status.workspaces[0].projects[0].rejected_kept = 1;
  status.workspaces[0].projects[0].synced = 12;
  question.text = "ml-team/lab";
  EXPECT_EQ(explain(question, status, {stream})[1].state, "Nothing else of it waits. On the server: 12 changes.");
}

TEST(Explanation, OfARunThatIsNotThereSaysHowItIsMade) {
  auto stream = waiting("retry", "there is none; it was not created there, or was deleted");
  stream.missing = "run";
  EXPECT_THAT(explain(about("r1"), box(), {stream})[0].next,
              HasSubstr("`neptune-sync run create r1 --project ml-team/lab` creates it."));
  const auto fork = waiting("retry", "the server does not know the run r0 of ml-team/lab, which it is a fork of");
  EXPECT_THAT(explain(about("r1"), box(), {fork})[0].next, Not(HasSubstr("run create"))) << "its parent is not there";
}

api::Stream files_waiting(const std::string& source) {
  auto stream = waiting("sending", "being sent");
  stream.container_type = "files";
  stream.source = source;
  stream.id = source + " (files)";
  stream.pending = stream.uploads = 2;
  stream.active_uploads.push_back({.project = "ml-team/lab",
                                   .run = "r1",
                                   .attribute = "model",
                                   .file = "/data/model.bin",
                                   .bytes_done = 1u << 30,
                                   .bytes_total = 3ull << 30,
                                   .bytes_per_second = 52u << 20,
                                   .seconds_left = 39.4});
  return stream;
}

TEST(Explanation, OfFilesThatAreSentTellsHowFarTheyAreAndOfEachOnce) {
  auto log = waiting("turn", "its turn comes");
  log.uploads = 2;
  const auto found = explain(about("r1"), box(), {log, files_waiting(log_path)});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].subject, "Run r1 of ml-team/lab");
  EXPECT_EQ(found[1].subject, "Files of run r1 of ml-team/lab");
  EXPECT_EQ(found[1].state, "2 files (2.0 KiB) are not on the server yet; the oldest has waited for 12 min.");
  EXPECT_EQ(found[1].why, "Being sent. model.bin: 1.0 GiB of 3.0 GiB (33 %), 52.0 MiB/s, 39 s left.");
  EXPECT_THAT(found[1].where, HasSubstr(std::string("the run log ") + log_path + " names them"));
  EXPECT_THAT(found[1].next, HasSubstr("max_concurrent"));
  // And of the project.
  const auto of_project = words_of(explain(about("ml-team/lab"), box(), {log, files_waiting(log_path)}));
  EXPECT_THAT(of_project, AllOf(HasSubstr("Files of run r1"), Not(HasSubstr("wait to be uploaded"))));
}

TEST(Explanation, OfAPathInAWatchedFolderThatIsNotThereIsNotOfTheFolder) {
  auto typo = about("/runs/trial", "/runs/trial");
  EXPECT_THAT(words_of(explain(typo, box(), {})), HasSubstr("It is watched, and nothing is known of /runs/trial."));
  typo.is_there = false;
  EXPECT_THAT(explain(typo, box(), {}), IsEmpty());
  EXPECT_THAT(nothing_known(typo, box(), {}), HasSubstr("There is no such file or folder."));
  EXPECT_THAT(words_of(explain(about("/runs", "/runs"), box(), {})), Not(HasSubstr("nothing is known")));
}

TEST(Explanation, OfAFileThatIsBeingSentIsFoundByItsPath) {
  const auto source = "change queue: ml-team/lab files r1";
  const auto found = explain(about("/data/model.bin", "/data/model.bin"), box(), {files_waiting(source)});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].subject, "Files of run r1 of ml-team/lab");
  EXPECT_THAT(found[0].where, AllOf(HasSubstr("change queue"), HasSubstr("--copy")));
  const auto other = explain(about("/data/other.bin", "/data/other.bin"), box(), {files_waiting(source)});
  EXPECT_THAT(words_of(other), HasSubstr("The daemon does not look there."));
  EXPECT_THAT(words_of(other), Not(HasSubstr("If a run log asks for it")));
  const auto of_a_log = explain(about("/data/other.bin", "/data/other.bin"), box(), {files_waiting(log_path)});
  EXPECT_THAT(words_of(of_a_log), HasSubstr("If a run log asks for it, `neptune-sync explain r1`"));
}

TEST(Explanation, OfAFileThatWaitsForItsUploadIsFoundByItsPath) {
  auto stream = files_waiting("change queue: ml-team/lab files r1");
  stream.id = stream.source + " (files)";
  stream.active_uploads.clear();
  stream.waiting_for = "workspace_held";
  auto question = about("model.bin", "/data/model.bin");
  question.of_file.push_back(stream);
  const auto found = explain(question, box(), {stream});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].subject, "Files of run r1 of ml-team/lab");
  EXPECT_THAT(found[0].state, AllOf(HasSubstr("It waits to be uploaded"), HasSubstr("2 files are not on the server")));
  EXPECT_EQ(found[0].waiting_for, "workspace_held");
  EXPECT_THAT(found[0].next, HasSubstr("neptune-sync release ml-team`"));
}

TEST(Explanation, OfFilesThatWaitForTheirRunSaysSo) {
  auto stream = files_waiting("change queue: ml-team/lab files r1");
  stream.active_uploads.clear();
  stream.waiting_for = "earlier_change";
  EXPECT_THAT(explain(about("r1"), box(), {stream})[0].next, HasSubstr("once the run is on the server"));
  stream.waiting_for = "workspace_held";
  EXPECT_THAT(explain(about("r1"), box(), {stream})[0].next, HasSubstr("neptune-sync release ml-team`"));
}

TEST(Explanation, OfRejectedFilesDoesNotBlameTheServer) {
  auto question = about("r1");
  auto& one = question.rejected.emplace_back();
  one.id = 7;
  one.position = 42;
  one.project = "ml-team/lab";
  one.container_type = "files";
  one.container = "r1";
  one.code = "file_missing";
  one.reason = "the file /data/model.bin is not there any more; put it back and try again";
  // Its stream may be forgotten by then.
  const auto found = explain(question, box(), {});
  const auto files = std::ranges::find(found, "Rejected files", &Explanation::subject);
  ASSERT_NE(files, found.end());
  EXPECT_EQ(files->state, "1 file could not be uploaded; what asks for it is kept.");
  EXPECT_THAT(files->why, HasSubstr("7: The file /data/model.bin is not there any more"));
  auto by_path = about("/data/model.bin", "/data/model.bin");
  by_path.rejected = question.rejected;
  EXPECT_EQ(explain(by_path, box(), {})[0].subject, "Rejected files");
  question.change = api::ChangePlace{.id = 42, .state = "rejected", .rejected = 7};
  EXPECT_EQ(explain(question, box(), {})[0].state, "Its file was not uploaded; the change is kept.");
}

TEST(Explanation, OfAScopeTellsItsModeAndEachReasonOnce) {
  auto status = box();
  auto& workspace = status.workspaces[0];
  workspace.mode = "read_only";
  workspace.reason = "Storage limit exceeded";
  workspace.since = "2026-01-02T11:00:00.000Z";
  workspace.next_probe_at = "2026-01-02T12:02:00.000Z";
  workspace.operator_hold = true;
  workspace.held_by = "root";
  workspace.held_since = "2026-01-02T11:57:00.000Z";
  workspace.held = 40;
  std::vector<api::Stream> streams;
  for (const char* run : {"a", "b", "c", "d"}) {
    streams.push_back(waiting("workspace_mode", "ml-team is read-only on the server"));
    streams.back().container = run;
    streams.back().pending = 0;
    streams.back().held = 10;
  }
  streams.push_back(waiting("parent", "a fork"));
  const auto found = explain(about("ml-team"), status, streams);
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found[0].subject, "Workspace ml-team");
  EXPECT_EQ(found[0].why,
            "ml-team is read-only on the server for 1 h: Storage limit exceeded. ml-team has been held by root for "
            "3 min.");
  EXPECT_THAT(found[0].next, AllOf(HasSubstr("neptune-sync probe ml-team`"), HasSubstr("The next probe is in 2 min."),
                                   HasSubstr("neptune-sync release ml-team`")));
  EXPECT_THAT(words_of(found),
              AllOf(HasSubstr("4 streams (a, b, c, …)"), HasSubstr("40 changes"), HasSubstr("Run r1 of ml-team/lab")));
  const auto of_project = explain(about("ml-team/lab"), status, {});
  ASSERT_THAT(of_project, SizeIs(1));
  EXPECT_EQ(of_project[0].subject, "Project ml-team/lab");
}

TEST(Explanation, OfAProjectHasTheModeOfItsWorkspaceToo) {
  auto status = box();
  auto& workspace = status.workspaces[0];
  auto& project = workspace.projects[0];
  project.held = 2;
  workspace.mode = "read_only";
  workspace.reason = "Storage limit exceeded";
  const auto read_only = explain(about("ml-team/lab"), status, {});
  ASSERT_THAT(read_only, SizeIs(1));
  EXPECT_EQ(read_only[0].waiting_for, "read_only");
  EXPECT_EQ(read_only[0].why, "ml-team is read-only on the server: Storage limit exceeded.");
  EXPECT_THAT(read_only[0].next, HasSubstr("neptune-sync probe ml-team`"));

  workspace.mode = "held";
  workspace.operator_hold = true;
  workspace.held_by = "jackie";
  const auto held = explain(about("ml-team/lab"), status, {});
  EXPECT_EQ(held[0].waiting_for, "held");
  EXPECT_EQ(held[0].why, "ml-team is held by jackie.");
  workspace.held_since = "2026-01-02T11:57:00.000Z";
  EXPECT_EQ(explain(about("ml-team/lab"), status, {})[0].why, "ml-team has been held by jackie for 3 min.");
  EXPECT_THAT(held[0].next, HasSubstr("neptune-sync release ml-team`"));
}

TEST(Explanation, TellsARunAndItsFilesApart) {
  auto files = files_waiting("change queue: ml-team/lab files r1");
  files.active_uploads.clear();
  files.waiting_for = "turn";
  const auto text = words_of(explain(about("ml-team/lab"), box(), {waiting("turn", "its turn comes"), files}));
  EXPECT_THAT(text, HasSubstr("2 streams (r1, files of r1)"));
}

TEST(Explanation, OfAScopeThatIsOpenIsOnlyCalmWhenNothingOfItWaits) {
  auto status = box();
  status.workspaces[0].projects[0].pending = 2;
  const auto found = explain(about("ml-team/lab"), status, {waiting("turn", "its turn comes")});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].subject, "Project ml-team/lab");
  EXPECT_EQ(found[0].waiting_for, "waiting") << "the streams below it say what for";
  status.workspaces[0].projects[0].pending = 0;
  EXPECT_EQ(explain(about("ml-team/lab"), status, {})[0].waiting_for, "nothing");
}

TEST(Explanation, OfAChangeSaysItsPlaceInTheQueue) {
  auto stream = waiting("project_held", "ml-team/lab is held by root");
  stream.id = stream.source = "change queue: ml-team/lab run r1";
  auto question = about("42");
  question.change = api::ChangePlace{.id = 42,
                                     .state = "waiting",
                                     .project = "ml-team/lab",
                                     .container_type = "run",
                                     .container = "r1",
                                     .source = stream.id,
                                     .kind = "run.update",
                                     .accepted_at = "2026-01-02T11:30:00.000Z",
                                     .ahead = 3};
  auto found = explain(question, box(), {stream});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].subject, "Change 42 (run.update), Run r1 of ml-team/lab");
  EXPECT_EQ(found[0].state,
            "It is not on the server yet. It was handed in 30 min ago. 3 changes of the same stream go before it.");
  EXPECT_THAT(found[0].next, HasSubstr("neptune-sync release ml-team/lab`"));

  question.change = api::ChangePlace{.id = 42, .state = "done"};
  EXPECT_THAT(explain(question, box(), {})[0].state, HasSubstr("the server has it"));
  auto& refused = question.rejected.emplace_back();
  refused.id = 7;
  refused.position = 42;
  refused.source = stream.id;
  refused.reason = "no such role";
  question.change = api::ChangePlace{.id = 42, .state = "rejected", .rejected = 7};
  found = explain(question, box(), {});
  EXPECT_EQ(found[0].waiting_for, "rejected");
  EXPECT_THAT(found[0].why, HasSubstr("7: No such role."));
}

TEST(Explanation, OfAChangeThatWasDiscardedMovedOrForgottenNeverSaysThatTheServerHasIt) {
  auto question = about("42");
  question.change = api::ChangePlace{.id = 42,
                                     .state = "discarded",
                                     .rejected = 7,
                                     .why = "the server refused it",
                                     .discarded_at = "2026-01-02T11:57:00.000Z",
                                     .discarded_by = "jackie"};
  auto found = explain(question, box(), {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].state,
            "The server does not have it: it was rejected (as rejected 7), and thrown away 3 min ago by jackie.");
  EXPECT_EQ(found[0].why, "The server refused it.");
  EXPECT_EQ(found[0].waiting_for, "discarded");
  question.change =
      api::ChangePlace{.id = 42, .state = "moved", .moved_at = "2026-01-02T11:57:00.000Z", .moved_to = "stick.jsonl"};
  found = explain(question, box(), {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].state, "It was moved to another machine in stick.jsonl 3 min ago, which sends it.");
  EXPECT_THAT(found[0].next, HasSubstr("`neptune-sync import` of stick.jsonl takes it in"));
  EXPECT_EQ(found[0].waiting_for, "moved");
  question.change = api::ChangePlace{.id = 42, .state = "unknown"};
  found = explain(question, box(), {});
  EXPECT_THAT(found[0].state, HasSubstr("not known any more"));
  EXPECT_EQ(found[0].waiting_for, "unknown");
}

TEST(Explanation, OfWhatWasThrownAwayUnsentDoesNotBlameTheServer) {
  auto question = about("r1");
  auto& one = question.rejected.emplace_back();
  one.id = 7;
  one.project = "ml-team/lab";
  one.container = "r1";
  one.code = api::discarded_code;
  one.reason = "discarded by root";
  const auto unsent = explain(question, box(), {});
  const auto about_it = std::ranges::find(unsent, "Rejected changes", &Explanation::subject);
  ASSERT_NE(about_it, unsent.end());
  EXPECT_EQ(about_it->state, "1 change of it was thrown away before the server had it; it is kept.");
  question.text = "42";
  question.change = api::ChangePlace{.id = 42, .state = "rejected", .rejected = 7};
  EXPECT_EQ(explain(question, box(), {})[0].state, "It was thrown away before the server had it; it is kept.");
}

TEST(Explanation, OfANumberSaysWhichOfTheTwoNumberingsItWasTakenFor) {
  auto question = about("7");
  auto& one = question.rejected.emplace_back();
  one.id = 7;
  one.project = "ml-team/lab";
  one.container = "r1";
  one.code = "SERIES_STEP_NON_INCREASING";
  one.reason = "step 3 comes after step 4";
  auto found = explain(question, box(), {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].subject, "Rejected 7, of ml-team/lab/r1");
  EXPECT_THAT(found[0].state, HasSubstr("No change was handed in with that number."));
  EXPECT_THAT(found[0].next, HasSubstr("`neptune-sync rejected retry 7`"));
  question.change = api::ChangePlace{.id = 7, .state = "done"};
  found = explain(question, box(), {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].subject, "Change 7");
  EXPECT_THAT(found[0].next, AllOf(HasSubstr("of change 7, as it was handed in"), HasSubstr("rejected show 7")));
  question.change = api::ChangePlace{.id = 7, .state = "rejected", .rejected = 7};
  EXPECT_THAT(explain(question, box(), {})[0].next, Not(HasSubstr("another one")));
}

TEST(Explanation, NamesTheHoldAndTheReadOnlyModeWhereBothKeepARun) {
  auto status = box();
  status.workspaces[0].mode = "read_only";
  status.workspaces[0].projects[0].mode = "held";
  const auto found = explain(about("r1"), status, {waiting("project_held", "both")});
  EXPECT_THAT(found[0].next,
              AllOf(HasSubstr("All of that has to end"), HasSubstr("`neptune-sync release ml-team/lab` ends the hold"),
                    HasSubstr("`neptune-sync probe ml-team`")));
}

TEST(Explanation, OfWhatTheServerRefusesNamesTheCommandThatThrowsItAway) {
  auto status = box();
  status.sources.pop_back();  // the log
  auto stream = waiting("retry", "the server does not know the project ml-team/lab; tried again in 5 s");
  EXPECT_THAT(explain(about("r1"), status, {stream})[0].next, Not(HasSubstr("discard"))) << "a run log is its owner's";
  stream.source = "change queue: ml-team/lab/run r1";
  EXPECT_THAT(explain(about("r1"), status, {stream})[0].next, HasSubstr("`neptune-sync discard ml-team/lab --run r1`"));
  auto other = stream;
  other.container = "r2";
  const auto of_project = explain(about("ml-team/lab"), status, {stream, other});
  EXPECT_THAT(of_project[0].next, HasSubstr("`neptune-sync discard ml-team/lab`"));
  stream.container_type = "management";
  stream.container.clear();
  EXPECT_THAT(explain(about("ml-team/lab"), status, {stream})[0].next, HasSubstr("`neptune-sync discard ml-team/lab`"));
}

TEST(Explanation, OfARunOfWhichAllIsSyncedDoesNotSpeakOfTheQueue) {
  auto status = box();
  status.sources.pop_back();  // the log
  auto stream = waiting("nothing", "");
  stream.source = "change queue: ml-team/lab/run r1";
  EXPECT_THAT(explain(about("r1"), status, {stream})[0].where, HasSubstr("change queue"));
  stream.pending = 0;
  stream.synced = 12;
  const auto found = explain(about("r1"), status, {stream});
  EXPECT_EQ(found[0].where, "");
  EXPECT_THAT(found[0].state, HasSubstr("All that was found of it is on the server"));
}

TEST(Explanation, BesideWhatIsQueuedSaysThatNotAllIsCountedYet) {
  auto status = box();
  status.sources.pop_back();  // the log
  auto stream = waiting("nothing", "");
  stream.pending = 0;
  stream.synced = 12;
  const auto looked_through = HasSubstr("A watched folder is still being looked through");
  EXPECT_THAT(explain(about("r1"), status, {stream})[0].state, Not(looked_through));
  for (const auto* name : {"ml-team/lab", "ml-team"})
    EXPECT_THAT(explain(about(name), status, {stream})[0].state, Not(HasSubstr("counted"))) << name;
  ASSERT_EQ(status.sources.front().kind, "watch");
  status.sources.front().state = "settling_in";
  const auto found = explain(about("r1"), status, {stream});
  EXPECT_THAT(found[0].state, looked_through);
  EXPECT_EQ(found[0].waiting_for, "settling_in");
  for (const auto* name : {"ml-team/lab", "ml-team"})
    EXPECT_THAT(explain(about(name), status, {stream})[0].state, HasSubstr("Not all of it is counted yet.")) << name;
}

TEST(Explanation, OfARunWhoseLogWasJustFoundSaysThatItIsSettlingIn) {
  auto status = box();
  auto& source = status.sources.emplace_back();
  source.kind = "run-log";
  source.path = "/runs/ml-team_lab_trial-7_1795452630867980288";
  source.state = "settling_in";
  source.detail = "found lately; it is being found out whether the client syncs it by itself";
  const auto found = explain(about("trial-7"), status, {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].waiting_for, "settling_in");
  EXPECT_EQ(found[0].state, "Its log was found, and nothing of it is sent yet.");
  EXPECT_THAT(found[0].where, HasSubstr(source.path));
  EXPECT_EQ(found[0].subject, "Run trial-7");
  for (const auto* other : {"trial", "lab", "7"}) EXPECT_THAT(explain(about(other), status, {}), IsEmpty()) << other;
}

TEST(Explanation, OfARunWhoseLogWasSetAsideBeforeItWasLookedIntoSaysWhy) {
  auto status = box();
  auto& source = status.sources.emplace_back();
  source.kind = "run-log";
  source.path = "/runs/ml-team_lab_trial-7_1795452630867980288";
  source.state = "set_aside";
  source.detail = "it is no database";
  const auto found = explain(about("trial-7"), status, {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].subject, "Run trial-7");
  EXPECT_EQ(found[0].waiting_for, "set_aside");
  EXPECT_EQ(found[0].why, "It is no database.");
}

TEST(Explanation, OfAPathNobodyWatchesSaysWhatIsWatched) {
  const auto found = explain(about("/home/jo/runs", "/home/jo/runs"), box(), {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(found[0].why, HasSubstr("/runs"));
  EXPECT_THAT(found[0].next, HasSubstr("[[watch]]"));
  const auto inside = explain(about("/runs/other", "/runs/other"), box(), {});
  ASSERT_THAT(inside, SizeIs(1));
  EXPECT_THAT(inside[0].next, HasSubstr("run_operations.sqlite3"));
}

TEST(Explanation, OfAFileInALogIsThatOfItsLog) {
  const auto file = std::string(log_path) + "/run_operations.sqlite3";
  const auto found = explain(about(file, file), box(), {waiting("turn", "its turn comes")});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].subject, "Run r1 of ml-team/lab");
}

TEST(Explanation, BeginsWithWhatKeepsEverything) {
  auto status = box();
  status.state = "draining";
  status.problems.push_back("The disk of the state directory /var is full");
  const auto found = explain(about("r1"), status, {waiting("turn", "its turn comes")});
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found[0].waiting_for, "draining");
  EXPECT_EQ(found[1].state, "The disk of the state directory /var is full.");
}

TEST(Explanation, OfAnUnknownNameSaysWhatIsKnown) {
  EXPECT_THAT(explain(about("r9"), box(), {waiting("turn", "")}), IsEmpty());
  EXPECT_THAT(nothing_known(about("nightly"), box(), {}),
              AllOf(HasSubstr("'nightly'"), HasSubstr("/runs"), HasSubstr("Known projects: ml-team/lab."),
                    Not(HasSubstr("Did you mean"))));
  auto status = box();
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) status.workspaces[0].projects.emplace_back().name = name;
  EXPECT_THAT(nothing_known(about("nightly"), status, {}), HasSubstr("ml-team/e, and 2 more."));
}

TEST(Explanation, OfAProjectThatIsNotThereSaysHowItIsMadeAndWhichMayBeMeant) {
  auto stream = waiting("retry", "there is none, or it may not be used; tried again in 8 s");
  stream.missing = "project";
  stream.project = "ml-teem/lab";
  auto status = box();
  status.workspaces[0].projects[0].synced = 7;
  const auto found = explain(about("r1"), status, {stream});
  ASSERT_FALSE(found.empty());
  EXPECT_THAT(found[0].why, testing::EndsWith("tried again in 8 s. Did you mean ml-team/lab?"));
  EXPECT_THAT(found[0].next, HasSubstr("`neptune-sync project create ml-teem/lab` creates it."));
}

TEST(Explanation, OfAMistypedNameSaysWhichMayBeMeant) {
  const std::vector<std::pair<std::string, std::string>> meant{
      {"ml-taem", "ml-team"}, {"ml-team/lob", "ml-team/lab"}, {"r11", "r1"}, {"ml-team/lab/r11", "ml-team/lab/r1"}};
  for (const auto& [word, name] : meant)
    EXPECT_THAT(nothing_known(about(word), box(), {waiting("turn", "")}), HasSubstr(" Did you mean " + name + "? "));
}

TEST(Explanation, IsJsonForPrograms) {
  EXPECT_EQ(
      to_json(explain(about("r1"), box(), {waiting("ramp", "\"so\"")})),
      R"({"explanations":[{"subject":"Run r1 of ml-team/lab","state":"12 changes (2.0 KiB) are not on the server )"
      R"(yet; the oldest has waited for 12 min.","where":"In the run log /runs/ml-team_lab_r1_17, which nobody has )"
      R"(open.","why":"\"so\".","next":"It goes by itself: what was held is let go over a while, so that not all )"
      R"(machines begin at once.","waiting_for":"ramp"}]})");
}

}  // namespace
}  // namespace neptune::cli
