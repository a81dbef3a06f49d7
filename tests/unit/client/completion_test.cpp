#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/client/command.h"

// The completion scripts in the shells themselves.
namespace neptune {
namespace {

using test::FixedControl;
using testing::HasSubstr;
using testing::IsEmpty;

class Completion : public test::CommandTest {
 protected:
  Completion() {
    served_.on_loop([](FixedControl& control) {
      auto& workspace = control.status_now.workspaces.emplace_back();
      workspace.name = "ml-team";
      workspace.projects.emplace_back().name = "x";
    });
    ::setenv("NEPTUNE_SYNC_SOCKET", served_.path().c_str(), 1);
    const auto of_program = std::filesystem::path(NEPTUNE_SYNC).parent_path().string();
    path_ = of_program + ":" + std::string(std::getenv("PATH"));
  }
  ~Completion() override { ::unsetenv("NEPTUNE_SYNC_SOCKET"); }

  /// Writes the script of a shell to a file; its path.
  std::string script(const std::string& shell) {
    const auto path = (folder_ / ("completion." + shell)).string();
    std::ofstream(path) << run("completion " + shell).out;
    return path;
  }

  /// What a shell prints that runs `text`, its errors too.
  std::string in_shell(const std::string& shell, const std::string& text) {
    const auto file = (folder_ / "script").string(), out = (folder_ / "printed").string();
    std::ofstream(file) << text;
    const auto line = "PATH='" + path_ + "' " + shell + " " + file + " >" + out + " 2>&1 </dev/null";
    if (std::system(line.c_str()) != 0) return "failed: " + read(out);
    return read(out);
  }

  /// What bash offers for a command line whose last word is being typed: "a|b|".
  std::string in_bash(const std::string& words) {
    return in_shell("bash", "source " + script("bash") + "\nCOMP_WORDS=(" + words +
                                ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_neptune_sync\n"
                                "for word in \"${COMPREPLY[@]}\"; do printf '%s|' \"$word\"; done\n");
  }

  std::string in_fish(const std::string& line) {
    return in_shell("fish --no-config", "source " + script("fish") + "\ncomplete -C '" + line + "'\n");
  }

  /// Whether an interactive zsh shows `wanted` once a line was typed and the tabulator pressed.
  bool zsh_shows(const std::string& line, const std::string& wanted) {
    const auto out = in_shell("timeout 20 zsh -f",
                              "zmodload zsh/zpty\n"
                              "zpty shell 'TERM=vt100 zsh -f -i'\n"
                              "zpty -w shell \"PS1='> '; LISTMAX=0; autoload -Uz compinit; compinit -u -D; source " +
                                  script("zsh") +
                                  "; print set-\\$((40 + 2))\"\n"
                                  "zpty -r shell shown '*set-42*'\n"
                                  "zpty -n -w shell '" +
                                  line +
                                  "'$'\\t'\n"
                                  "zpty -r shell shown '*" +
                                  wanted + "*' && print shown\n");
    return out.ends_with("shown\n");
  }

  static bool has(const std::string& shell) {
    return std::system(("command -v " + shell + " >/dev/null").c_str()) == 0;
  }

  std::string path_;
};

TEST_F(Completion, OfBashOffersVerbsAndOptions) {
  EXPECT_EQ(in_bash("neptune-sync st"), "status|streams|");
  EXPECT_EQ(in_bash("neptune-sync run lo"), "log|");
  EXPECT_EQ(in_bash("neptune-sync run log trial-7 --st"), "--step|");
  EXPECT_EQ(in_bash("neptune-sync run log trial-7 --js"), "--json|") << "global options may stand after the verb";
  EXPECT_EQ(in_bash("neptune-sync --socket status st"), "status|streams|") << "an option's value is no verb";
  EXPECT_EQ(in_bash("neptune-sync wait --run st"), "") << "nor is one that is being typed";
}

TEST_F(Completion, OfBashOffersTheNamesTheDaemonKnows) {
  EXPECT_EQ(in_bash("neptune-sync hold ''"), "ml-team|ml-team/x|");
  EXPECT_EQ(in_bash("neptune-sync wait --project = ml-team/"), "ml-team/x|");
  EXPECT_EQ(in_bash("neptune-sync project delete ''"), "ml-team/x|");
  served_.on_loop([](FixedControl& control) { control.streams_now.emplace_back().container = "trial-7"; });
  EXPECT_EQ(in_bash("neptune-sync wait --run ''"), "trial-7|");
  EXPECT_EQ(in_bash("neptune-sync explain ''"), "ml-team|ml-team/x|trial-7|");
  ::setenv("NEPTUNE_SYNC_SOCKET", "/nowhere", 1);
  EXPECT_EQ(in_bash("neptune-sync hold ''"), "") << "and nothing when there is no daemon";
  EXPECT_EQ(in_bash("neptune-sync completion ''"), "bash|fish|zsh|");
}

TEST_F(Completion, RunsNothingThatStandsInTheNameOfARun) {
  served_.on_loop([this](FixedControl& control) {
    auto& stream = control.streams_now.emplace_back();
    stream.container = "$(touch " + log_path() + ")";
  });
  EXPECT_THAT(in_bash("neptune-sync wait --run ''"), HasSubstr("\\$\\(touch"));
  if (has("fish")) {
    EXPECT_THAT(in_fish("neptune-sync wait --run "), HasSubstr("$(touch"));
  }
  EXPECT_FALSE(std::filesystem::exists(log_path()));
}

TEST_F(Completion, OfFishOffersTheSame) {
  if (!has("fish")) GTEST_SKIP() << "fish is not installed";
  EXPECT_EQ(in_shell("bash", "fish --no-config -n " + script("fish")), "");
  EXPECT_THAT(in_fish("neptune-sync st"), testing::AllOf(HasSubstr("status\tWhat is synced"), HasSubstr("streams\t")));
  EXPECT_THAT(in_fish("neptune-sync --socket x run lo"), testing::StartsWith("log\t"));
  EXPECT_THAT(in_fish("neptune-sync run log trial-7 --st"), testing::StartsWith("--step\t"));
  EXPECT_EQ(in_fish("neptune-sync hold "), "ml-team\nml-team/x\n");
  EXPECT_EQ(in_fish("neptune-sync explain "), "ml-team\nml-team/x\n");
  EXPECT_EQ(in_fish("neptune-sync completion "), "bash\nfish\nzsh\n");
}

TEST_F(Completion, ScriptsAreGoodShell) {
  EXPECT_EQ(in_shell("bash", "bash -n " + script("bash")), "");
}

TEST_F(Completion, OfZshOffersTheSame) {
  if (!has("zsh")) GTEST_SKIP() << "zsh is not installed";
  EXPECT_EQ(in_shell("bash", "zsh -f -n " + script("zsh")), "");
  EXPECT_EQ(in_shell("zsh -f", "autoload -Uz compinit; compinit -u -D; source " + script("zsh") +
                                   "; print -r -- $_comps[neptune-sync]"),
            "_neptune_sync\n");
  EXPECT_TRUE(zsh_shows("neptune-sync st", "streams"));
  EXPECT_TRUE(zsh_shows("neptune-sync run log trial-7 --st", "--step"));
  EXPECT_TRUE(zsh_shows("neptune-sync --socket x run u", "upload"));
  EXPECT_TRUE(zsh_shows("neptune-sync hold ml-team/", "ml-team/x"));
  EXPECT_TRUE(zsh_shows("neptune-sync explain ml-team/", "ml-team/x"));
  EXPECT_TRUE(zsh_shows("neptune-sync completion b", "bash"));
}

TEST_F(Completion, OfAnUnknownShellIsAWrongUsage) {
  const auto ran = run("completion tcsh");
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.out, IsEmpty());
}

}  // namespace
}  // namespace neptune
