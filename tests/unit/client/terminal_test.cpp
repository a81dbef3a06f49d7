#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/unit/client/command.h"

// The command in a real terminal: tmux draws what it writes.
namespace neptune {
namespace {

using namespace std::chrono_literals;
using test::FixedControl;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Terminal : public test::CommandTest {
 protected:
  void SetUp() override {
    if (std::system("command -v tmux >/dev/null") != 0) GTEST_SKIP() << "there is no tmux here";
    served_.on_loop([](FixedControl& control) {
      control.status_now.version = "0.1.0";
      control.status_now.state = "running";
      auto& workspace = control.status_now.workspaces.emplace_back();
      workspace.name = "ml-team";
      workspace.pending = 12;
      control.status_now.totals.pending = 12;
      auto& stream = control.streams_now.emplace_back();
      stream.project = "ml-team/lab";
      stream.container = "trial-7";
      stream.state = "blocked";
      stream.pending = 12;
      stream.why = "the server refuses connections, and this goes on for longer than a small terminal is wide";
    });
  }
  void TearDown() override { tmux("kill-server 2>/dev/null"); }

  std::string tmux(const std::string& arguments) {
    const auto out = (folder_ / "tmux.out").string();
    const auto line = "TERM=xterm-256color tmux -u -f /dev/null -S " +
                      (folder_ / ("tmux-" + std::to_string(terminals_))).string() + " " + arguments + " >" + out +
                      " 2>&1";
    static_cast<void>(std::system(line.c_str()));
    return read(out);
  }
  /// A shell in a terminal of that size, in which the command is started. Each is a server of its own: one that was
  /// told to end still answers at its socket for a while.
  void start(const std::string& arguments, int width, int height = 24) {
    start_line(std::string(NEPTUNE_SYNC) + " --socket " + served_.path() + " " + arguments, width, height);
  }
  void start_line(const std::string& line, int width, int height = 24) {
    tmux("kill-server");
    ++terminals_;
    tmux("new-session -d -x " + std::to_string(width) + " -y " + std::to_string(height) + " \"PS1='ready> ' sh\"");
    ASSERT_TRUE(shows("ready>"));
    type(line + "; echo ended $?");
  }
  void type(const std::string& line) { tmux("send-keys -l '" + line + "'"), tmux("send-keys Enter"); }
  std::string screen() { return tmux("capture-pane -p"); }

  /// Waits until the screen has that text, or has it no more.
  bool shows(const std::string& text, bool there = true) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while ((screen().find(text) != std::string::npos) != there) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(20ms);
    }
    return true;
  }

  int terminals_ = 0;
};

TEST_F(Terminal, MessagesAreNotCutWithinWords) {
  start("wait --run r1 --timeout 0s", 44);
  ASSERT_TRUE(shows("ended 4")) << screen();
  EXPECT_THAT(screen(),
              AllOf(HasSubstr("neptune-sync: Time is up. Run r1 was not\n"), HasSubstr("\n  seen: no watched")));
  start("hold ml-team/lab/none/of/these", 44);
  ASSERT_TRUE(shows("ended 2")) << screen();
  EXPECT_THAT(screen(), HasSubstr("\n  "));
}

TEST_F(Terminal, WatchShowsWhatChangesAtEightyColumnsAndGivesTheTerminalBack) {
  start("watch", 80);
  ASSERT_TRUE(shows("trial-7")) << screen();
  EXPECT_THAT(screen(), AllOf(HasSubstr("changes/s"), HasSubstr("ml-team"), Not(HasSubstr("ready>"))));
  served_.on_loop([](FixedControl& control) {
    control.status_now.totals.pending = 4321;
    control.happen({.type = "mode_changed", .message = "vision is read-only."});
  });
  EXPECT_TRUE(shows("4,321 changes")) << screen();
  EXPECT_TRUE(shows("vision is read-only.")) << "an event";
  tmux("send-keys C-c");
  ASSERT_TRUE(shows("ended 0")) << screen();
  EXPECT_THAT(screen(), AllOf(HasSubstr("ready>"), Not(HasSubstr("trial-7")))) << "what was there before";
  type("stty -a");
  EXPECT_TRUE(shows(" icanon ")) << screen();
  EXPECT_THAT(screen(), HasSubstr(" echo "));
  EXPECT_EQ(tmux("display -p '#{cursor_flag} #{alternate_on} #{wrap_flag}'"), "1 0 1\n");
}

TEST_F(Terminal, WatchDrawsTheRateAndTheFilesThatAreSent) {
  served_.on_loop([](FixedControl& control) {
    control.status_now.uploads.push_back({.project = "ml-team/lab",
                                          .run = "trial-7",
                                          .attribute = "model",
                                          .file = "/data/model.bin",
                                          .bytes_done = 1u << 20,
                                          .bytes_total = 4u << 20,
                                          .bytes_per_second = 1u << 20,
                                          .seconds_left = 3.0});
  });
  start("watch", 100, 30);
  EXPECT_TRUE(shows("model.bin: 1.0 MiB of 4.0 MiB (25 %)")) << screen();
  served_.on_loop([](FixedControl& control) { control.status_now.totals.synced = 5000; });
  EXPECT_TRUE(shows("█")) << screen();
  served_.on_loop([](FixedControl& control) {
    control.status_now.uploads[0].bytes_done = 3u << 20;
    control.happen({.type = "upload_progress", .message = "model.bin is at 75 %."});
  });
  EXPECT_TRUE(shows("3.0 MiB of 4.0 MiB (75 %)")) << screen();
  tmux("send-keys q");
  EXPECT_TRUE(shows("ended 0")) << screen();
}

TEST_F(Terminal, WatchWritesTheLastColumnToo) {
  served_.on_loop([](FixedControl& control) {
    control.happen({.type = "mode_changed", .message = "This goes on " + std::string(100, 'o') + "."});
  });
  start("watch", 80);
  ASSERT_TRUE(shows("This goes on")) << screen();
  const auto drawn = screen();
  const auto at = drawn.find("This goes on");
  EXPECT_EQ(drawn.substr(drawn.find('\n', at) - 3, 3), "…") << drawn;
  tmux("send-keys q");
  EXPECT_TRUE(shows("ended 0")) << screen();
}

TEST_F(Terminal, WatchTakesTheWidthOfTheTerminalAlsoWhenThatChanges) {
  start("watch", 200);
  ASSERT_TRUE(shows("longer than a small terminal is wide")) << screen();
  tmux("resize-window -x 80 -y 20");
  EXPECT_TRUE(shows("longer than a small terminal is wide", false)) << screen();
  EXPECT_TRUE(shows("trial-7")) << screen();
  tmux("resize-window -x 200 -y 30");
  EXPECT_TRUE(shows("longer than a small terminal is wide")) << screen();
  tmux("send-keys q");
  EXPECT_TRUE(shows("ended 0")) << screen();
}

TEST_F(Terminal, WatchOfALowTerminalShowsWhatIsWrongAndTheRate) {
  served_.on_loop([](FixedControl& control) {
    auto& workspace = control.status_now.workspaces[0];
    workspace.mode = "read_only";
    workspace.reason = "storage is full";
    control.status_now.server.url = "https://neptune.example.org";
    for (int i = 0; i < 30; ++i) workspace.projects.emplace_back().name = "p" + std::to_string(i);
    control.happen({.type = "mode_changed", .message = "ml-team is read-only."});
  });
  start("watch", 80, 8);
  ASSERT_TRUE(shows("ml-team is read-only: storage is full")) << screen();
  EXPECT_TRUE(shows("changes/s")) << screen();
  EXPECT_THAT(screen(), AllOf(HasSubstr("neptune-syncd 0.1.0"), HasSubstr("more lines: `neptune-sync status`")));
  tmux("resize-window -x 80 -y 3");
  EXPECT_TRUE(shows("more lines")) << screen();
  tmux("resize-window -x 80 -y 30");
  EXPECT_TRUE(shows("LAST EVENTS")) << screen();
  tmux("resize-window -x 80 -y 8");
  EXPECT_TRUE(shows("LAST EVENTS", false)) << screen();
  tmux("send-keys q");
  ASSERT_TRUE(shows("ended 0")) << screen();
  EXPECT_THAT(screen(), Not(HasSubstr("read-only")));
}

TEST_F(Terminal, WatchOutlivesItsDaemon) {
  start("watch", 80);
  ASSERT_TRUE(shows("trial-7")) << screen();
  served_.stop();
  EXPECT_TRUE(shows("it is asked each second")) << screen();
  EXPECT_TRUE(shows("trial-7")) << "what it told last";
  served_.restart();
  EXPECT_TRUE(shows("it is asked each second", false)) << screen();
  tmux("send-keys q");
  EXPECT_TRUE(shows("ended 0")) << screen();
}

TEST_F(Terminal, WatchSaysThatItNeedsOne) {
  const auto ran = ask("watch");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("needs a terminal"));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
}

TEST_F(Terminal, WaitDrawsABarThatIsGoneInTheEnd) {
  start("wait --project ml-team --timeout 60s", 80);
  ASSERT_TRUE(shows("0 of 12 changes")) << screen();
  EXPECT_THAT(screen(), HasSubstr("░"));
  served_.on_loop([](FixedControl& control) {
    control.streams_now[0].pending = 3;
    control.streams_now[0].synced = 9;
  });
  EXPECT_TRUE(shows("75 %  9 of 12 changes")) << screen();
  served_.on_loop([](FixedControl& control) {
    control.streams_now[0].pending = 0;
    control.streams_now[0].closed = true;
    control.status_now.totals.pending = 0;
  });
  ASSERT_TRUE(shows("ended 0")) << screen();
  EXPECT_THAT(screen(), AllOf(HasSubstr("ml-team is synced."), Not(HasSubstr("75 %"))));
}

/// The longest line as it was written: what the terminal had to break is one line here.
std::size_t longest_line(const std::string& joined) {
  std::size_t longest = 0;
  std::istringstream lines(joined);
  for (std::string line; std::getline(lines, line);) {
    const auto characters = std::ranges::count_if(line, [](char c) { return (c & 0xc0) != 0x80; });
    longest = std::max(longest, static_cast<std::size_t>(characters));
  }
  return longest;
}

TEST_F(Terminal, WhatIsFoundOfAConfigurationIsToldWithinTheWidth) {
  const auto file = folder_ / "config.toml";
  std::ofstream(file) << "state_dir = \"" << (folder_ / "state").string() << "\"\n[server]\napi_token_file = \""
                      << (folder_ / "no-token-here").string() << "\"\n";
  start_line(NEPTUNE_SYNCD " --config " + file.string() + " --check-config", 60);
  ASSERT_TRUE(shows("ended 0")) << screen();
  const auto written = tmux("capture-pane -p -J");
  const auto begin = written.find("warning: ");
  ASSERT_NE(begin, std::string::npos) << written;
  EXPECT_LE(longest_line(written.substr(begin)), 60u) << written;
}

TEST_F(Terminal, WhatDeletesForGoodIsAskedFor) {
  const auto accepted = [this] {
    return served_.on_loop([](FixedControl& control) { return control.accepted.size(); });
  };
  const std::string deletes = "project delete ml-team/lab";
  start(deletes, 80);
  ASSERT_TRUE(shows("Delete the project ml-team/lab, with all runs and models in it? [y/N]")) << screen();
  type("n");
  ASSERT_TRUE(shows("ended 1")) << screen();
  EXPECT_THAT(screen(), HasSubstr("Nothing was done."));
  start(deletes, 80);
  ASSERT_TRUE(shows("[y/N]"));
  tmux("send-keys Enter");
  ASSERT_TRUE(shows("ended 1")) << screen();
  EXPECT_EQ(accepted(), 0u);
  start(deletes, 80);
  ASSERT_TRUE(shows("[y/N]"));
  type("y");
  ASSERT_TRUE(shows("ended 0")) << screen();
  EXPECT_EQ(accepted(), 1u);
  for (const auto* unasked : {" --yes", " </dev/null", " 2>/dev/null"}) {
    start(deletes + unasked, 80);
    ASSERT_TRUE(shows("ended 0")) << unasked << screen();
  }
  EXPECT_EQ(accepted(), 4u);
  start("trash empty ml-team/lab", 80);
  EXPECT_TRUE(shows("Delete for good what is in the trash of ml-team/lab? [y/N]")) << screen();
  start("run delete r1 r2 r3 r4 r5 --project ml-team/lab", 100);
  EXPECT_TRUE(shows("Delete for good the runs r1, r2, r3 and 2 more of ml-team/lab? [y/N]")) << screen();
}

TEST_F(Terminal, WhatWasAcceptedIsToldWithinTheWidth) {
  start("run log r1 a=1 --project ml-team/a-project-of-a-longer-name", 80);
  ASSERT_TRUE(shows("Accepted 1 change")) << screen();
  const auto written = tmux("capture-pane -p -J");
  EXPECT_LE(longest_line(written.substr(written.rfind("Accepted"))), 80u) << written;
}

TEST_F(Terminal, TablesFitEightyColumnsAndUseTwoHundred) {
  for (const int width : {80, 200}) {
    start("streams; " NEPTUNE_SYNC " --socket " + served_.path() + " status", width, 40);
    ASSERT_TRUE(shows("ended 0")) << screen();
    // Below the line that was typed, which may be longer than the terminal is wide.
    const auto written = tmux("capture-pane -p -J");
    const auto begin = written.find("trial-7");
    ASSERT_NE(begin, std::string::npos) << written;
    EXPECT_LE(longest_line(written.substr(begin)), static_cast<std::size_t>(width)) << written;
    EXPECT_EQ(written.find("longer than a small terminal is wide") != std::string::npos, width == 200) << written;
  }
}

TEST_F(Terminal, ABarOfAWaitTakesOneLineAlsoAtTwoHundredColumns) {
  start("wait --project ml-team --timeout 60s", 200);
  ASSERT_TRUE(shows("0 of 12 changes")) << screen();
  const auto written = tmux("capture-pane -p -J");
  const auto at = written.find("░");
  ASSERT_NE(at, std::string::npos);
  EXPECT_LE(longest_line(written.substr(at)), 200u) << written;
  EXPECT_EQ(written.find("0 of 12 changes"), written.rfind("0 of 12 changes")) << "drawn once";
  tmux("send-keys C-c");
}

/// The epilog that docs/operations.md gives, run where the job's node has a terminal to show it.
class Epilog : public Terminal {
 protected:
  void SetUp() override {
    Terminal::SetUp();
    const auto page = read(NEPTUNE_DOCS "/operations.md");
    const auto begin = page.find("# /etc/slurm/epilog.d/");
    ASSERT_NE(begin, std::string::npos);
    auto script = page.substr(begin, page.find("```", begin) - begin);
    put(script, "/run/neptune-syncd/api.sock", served_.path());
    put(script, "ml-team/classification", "ml-team/lab");
    put(script, "--timeout 5m", "--timeout 1s");
    std::ofstream(folder_ / "epilog.sh") << "set -eu\n" << script;
    std::filesystem::create_directory(folder_ / "bin");
    std::ofstream(folder_ / "bin/logger") << "#!/bin/sh\nprintf 'logged: %s\\n' \"$*\"\n";
    std::filesystem::permissions(folder_ / "bin/logger", std::filesystem::perms::owner_all);
    std::filesystem::create_symlink(NEPTUNE_SYNC, folder_ / "bin/neptune-sync");
  }

  static void put(std::string& text, const std::string& what, const std::string& with) {
    ASSERT_NE(text.find(what), std::string::npos) << what;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
      text.replace(at, what.size(), with);
  }

  /// What it logs, in one line.
  std::string logged() {
    start_line("SLURM_JOB_ID=7 PATH=" + (folder_ / "bin").string() + ":$PATH sh " + (folder_ / "epilog.sh").string(),
               80, 40);
    EXPECT_TRUE(shows("ended 0")) << "it must not drain the node: " << screen();
    const auto text = tmux("capture-pane -p -J");
    const auto begin = text.find("logged: ");
    return begin == std::string::npos ? std::string() : text.substr(begin);
  }
};

TEST_F(Epilog, OfAJobThatIsNotSyncedSaysThatItGoesOn) {
  EXPECT_THAT(logged(), HasSubstr("logged: neptune: job 7 is not synced yet; it goes on in the background"));
}

TEST_F(Epilog, OfAJobThatIsHeldSaysWhyAndWhatEndsIt) {
  served_.on_loop([](FixedControl& control) {
    auto& stream = control.streams_now[0];
    std::swap(stream.pending, stream.held);
    stream.state = "held";
    stream.waiting_for = "workspace_held";
    stream.why = "ml-team is held by root";
    control.status_now.workspaces[0].projects.emplace_back().name = "lab";
  });
  EXPECT_THAT(logged(), AllOf(HasSubstr("logged: neptune: what job 7 logged is held; it is safe on disk: "),
                              HasSubstr("ml-team is held by root"), HasSubstr("neptune-sync release ml-team")));
}

TEST_F(Epilog, OfAJobOfWhichSomethingWasRefusedOrWithoutADaemonSaysWhatIsToBeDone) {
  served_.on_loop([](FixedControl& control) {
    auto& stream = control.streams_now[0];
    stream.pending = 0;
    stream.closed = true;
    stream.rejected = stream.rejected_kept = 1;
    control.status_now.totals.pending = 0;
  });
  EXPECT_THAT(logged(), AllOf(HasSubstr("logged: neptune: job 7: neptune-sync: "), HasSubstr("neptune-sync rejected")));
  served_.stop();
  EXPECT_THAT(logged(), AllOf(HasSubstr("logged: neptune: job 7: neptune-sync: "), HasSubstr(served_.path())));
  served_.restart();
}

TEST_F(Terminal, StatusIsWithinTheWidthAndColouredOnlyWhereThatIsWanted) {
  start("status; NO_COLOR=1 " + std::string(NEPTUNE_SYNC) + " --socket " + served_.path() + " status", 80, 40);
  ASSERT_TRUE(shows("ended 0")) << screen();
  const auto painted = tmux("capture-pane -p -e");
  const auto first = painted.find("neptune-syncd 0.1.0"), second = painted.find("neptune-syncd 0.1.0", first + 1);
  ASSERT_NE(second, std::string::npos) << painted;
  EXPECT_EQ(painted.substr(first - 4, 4), "\x1b[1m");
  EXPECT_EQ(painted.find("\x1b[1m", second - 4), std::string::npos) << painted;
}

}  // namespace
}  // namespace neptune
