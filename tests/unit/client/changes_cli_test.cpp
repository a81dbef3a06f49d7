#include <gmock/gmock.h>

#include "changes/limits.h"
#include "client/lib/client.h"
#include "client/lib/json.h"
#include "tests/unit/client/command.h"

// The verbs that hand in changes: what the daemon is given, what is said, and the exit codes.
namespace neptune {
namespace {

using test::FixedControl;
using testing::HasSubstr;
using testing::IsEmpty;

class HandingIn : public test::CommandTest {
 protected:
  /// The last change the daemon was given.
  Change last() {
    return served_.on_loop(
        [](FixedControl& control) { return control.accepted.empty() ? Change{} : control.accepted.back().first; });
  }
  std::size_t accepted() {
    return served_.on_loop([](FixedControl& control) { return control.accepted.size(); });
  }
  /// What the daemon keeps of the change that `arguments` make; empty when it was not taken.
  std::string payload(const std::string& arguments) {
    const auto before = accepted();
    const auto ran = ask(arguments);
    EXPECT_EQ(ran.exit, 0) << arguments << ": " << ran.err;
    return accepted() == before + 1 ? last().payload : "";
  }
  /// 100,010 changes, with an empty line after the first, but for those that are given by number.
  std::string write_long_file(const std::map<int, std::string>& others) {
    const auto file = (folder_ / "changes").string();
    std::ofstream out(file);
    for (int i = 1; i <= 100'010; ++i) {
      const auto other = others.find(i);
      out << (other == others.end() ? R"({"kind": "trash.empty", "project": "a/b"})" : other->second)
          << (i == 1 ? "\n\n" : "\n");
    }
    return file;
  }
  void tell(std::vector<api::Stream> streams) {
    served_.on_loop([&](FixedControl& control) { control.streams_now = std::move(streams); });
  }
};

api::Stream stream_of(std::uint64_t pending, std::uint64_t held) {
  api::Stream stream;
  stream.id = "s1";
  stream.project = "ml-team/lab";
  stream.container = "r1";
  stream.pending = pending;
  stream.held = held;
  return stream;
}

TEST_F(HandingIn, SaysWhatWasTakenAndThatItIsSafe) {
  const auto ran = ask("run log r1 loss=0.3 acc=0.9 --step 12 --project ml-team/lab");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "Accepted 1 change of r1 in ml-team/lab (change 1); it is safe on disk.\n");
  EXPECT_EQ(last().kind, ChangeKind::run_update);
  EXPECT_EQ(last().container.id, "r1");
  EXPECT_THAT(last().payload, testing::AllOf(HasSubstr("loss"), HasSubstr("acc")));
  EXPECT_EQ(ask("--json trash empty a/b").out, R"({"ids":[2],"accepted":1,"scopes":["a/b"]})"
                                               "\n");
}

TEST_F(HandingIn, SaysWhichChangeOfAFileIsWrong) {
  const auto file = (folder_ / "changes").string();
  const std::string good = R"({"kind": "trash.empty", "project": "a/b"})",
                    bad = R"({"kind": "trash.empty", "projct": "a/b"})";
  std::ofstream(file) << good << "\n\n" << bad << "\n";
  EXPECT_THAT(ask("change -f " + file).err, testing::StartsWith("neptune-sync: Change 2 (line 3): There is no field"));
  std::ofstream(file) << "[" << good << ",\n" << good << ",\n" << bad << "]";
  EXPECT_THAT(ask("change -f " + file).err, testing::StartsWith("neptune-sync: Change 3 (line 3): There is no field"));
  EXPECT_THAT(ask("--json change -f " + file).err, HasSubstr(R"("field":"2.projct")"));
  std::ofstream(file) << bad;
  EXPECT_THAT(ask("change -f " + file).err, testing::StartsWith("neptune-sync: There is no field")) << "there is one";
  std::ofstream(file) << good << "\n" << "{\n";
  EXPECT_THAT(ask("change -f " + file).err,
              testing::StartsWith("neptune-sync: The body cannot be read as JSON at line 2, column 2: "));
  std::ofstream(file) << R"({"kind": "run.create", "run": "r"})";
  EXPECT_THAT(ask("change -f " + file).err, testing::AllOf(HasSubstr("--project"), HasSubstr("NEPTUNE_PROJECT")));
  EXPECT_THAT(ask("change -f nofile").err, HasSubstr("'nofile' cannot be read"));
  EXPECT_EQ(accepted(), 0u);
}

TEST_F(HandingIn, TakesALongFilePartByPart) {
  EXPECT_EQ(client::body_changes, limits::changes_a_body);
  EXPECT_EQ(client::body_bytes, local_api::Options{}.max_changes_bytes);
  const auto file = write_long_file({});
  const auto ran = ask("change -f " + file);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "Accepted lines 1 to 100001 (changes 1 to 100000).\n"
            "Accepted lines 100002 to 100011 (changes 100001 to 100010).\n"
            "Accepted 100,010 changes of a/b (changes 1 to 100010); they are safe on disk.\n");
  const auto json = ask("--json change -f - --skip 100007", file);
  EXPECT_EQ(json.out, R"({"ids":[100011,100012,100013],"accepted":3,"scopes":["a/b"]})"
                      "\n")
      << json.err;
}

TEST_F(HandingIn, SaysHowFarALongFileCameAndHowToHandInTheRest) {
  const auto file = write_long_file({{100'004, R"({"kind": "trash.empty", "projct": "a/b"})"}});
  const auto ran = ask("change -f " + file);
  EXPECT_EQ(ran.exit, 2);
  EXPECT_EQ(ran.out, "Accepted lines 1 to 100001 (changes 1 to 100000).\n");
  EXPECT_THAT(ran.err, testing::StartsWith("neptune-sync: Change 100004 (line 100005): There is no field 'projct'"));
  EXPECT_THAT(ran.err, HasSubstr("Accepted are the first 100,000 changes of the file, up to line 100001; the same "
                                 "command with `--skip 100000` hands in the rest."));
  EXPECT_EQ(accepted(), 100'000u);
  const auto json = ask("--json change -f " + file + " --skip 100000");
  EXPECT_EQ(json.exit, 2);
  EXPECT_THAT(json.err, HasSubstr(R"("field":"100003.projct")"));
  EXPECT_THAT(json.err, HasSubstr("Nothing of the file was accepted now."));
  write_long_file({{100'004, "{\"kind\": }"}});
  EXPECT_THAT(ask("change -f " + file + " --skip 100000").err,
              testing::StartsWith("neptune-sync: The body cannot be read as JSON at line 100005, column 10: "));
  write_long_file({});
  EXPECT_THAT(ask("change -f " + file + " --skip 100000").out,
              HasSubstr("Accepted lines 100002 to 100011 (changes 100001 to 100010).\n"));
  EXPECT_EQ(ask("change -f " + file + " --skip 100010").out,
            "Nothing is left to hand in after the first 100,010 changes.\n");
  const auto too_many = ask("change -f " + file + " --skip 100011");
  EXPECT_EQ(too_many.exit, 2);
  EXPECT_THAT(too_many.err, HasSubstr("no more than 100010 changes in"));
}

TEST_F(HandingIn, WaitsForAllPartsOfALongFile) {
  const auto file = write_long_file({});
  served_.on_loop([](FixedControl& control) {
    control.changes_now = {{.id = 1, .state = "done", .done_through = 100'000},
                           {.id = 100'001, .state = "done", .done_through = 100'010}};
  });
  const auto ran = ask("change --wait -f " + file);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, testing::EndsWith("All 100,010 changes are synced.\n"));
  EXPECT_EQ(served_.on_loop([](FixedControl& control) { return control.changes_asked; }), 2u);
}

TEST_F(HandingIn, APartThatNamesMoreRunsThanARequestTakesIsHandedInWithFewer) {
  const auto file = (folder_ / "changes").string();
  std::string runs;
  for (int i = 0; i < 1000; ++i) runs += (i == 0 ? "\"" : ",\"") + std::string(70, 'r') + std::to_string(i) + "\"";
  std::ofstream out(file);
  for (int i = 0; i < 230; ++i) out << R"({"kind": "run.trash", "project": "a/b", "runs": [)" << runs << "]}\n";
  out.close();
  ASSERT_GT(std::filesystem::file_size(file), client::body_bytes);
  const auto ran = ask("change -f " + file);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(accepted(), 230u);
}

TEST_F(HandingIn, AnArrayIsOneTextHoweverLong) {
  const auto file = (folder_ / "changes").string();
  std::ofstream out(file);
  out << "[";
  for (int i = 0; i < 100'001; ++i) out << (i == 0 ? "" : ",\n") << R"({"kind": "trash.empty", "project": "a/b"})";
  out << "]";
  out.close();
  const auto ran = ask("change -f " + file);
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("jq -c '.[]' FILE"));
  EXPECT_EQ(ask("change --skip 1 -f " + file).exit, 2);
  EXPECT_EQ(accepted(), 0u);
}

TEST_F(HandingIn, RefusesWordsThatAreNotUtf8) {
  for (const char* words :
       {"run create $(printf 'caf\\351') --project a/b", "run log r $(printf 'n=caf\\351') --project a/b",
        "run log r n=1 --project $(printf 'a/\\377')", "hold $(printf '\\377')"}) {
    const auto ran = ask(words);
    EXPECT_EQ(ran.exit, 2) << words;
    EXPECT_THAT(ran.err, HasSubstr("?' is not UTF-8; write it in that encoding.")) << words;
  }
  const auto name = (folder_ / "caf").string() + "\xe9";
  std::ofstream(name) << R"({"kind": "trash.empty", "project": "a/b"})";
  const auto file = "$(printf '" + (folder_ / "caf").string() + "\\351')";
  EXPECT_EQ(ask("change -f " + file).exit, 0) << "a file's name is bytes of any kind";
  const auto upload = ask("run upload r attribute " + file + " --project a/b");
  EXPECT_EQ(upload.exit, 2);
  EXPECT_THAT(upload.err, HasSubstr("path is not UTF-8"));
  EXPECT_EQ(accepted(), 1u);
}

TEST_F(HandingIn, TakesTheProjectFromTheEnvironment) {
  ::setenv("NEPTUNE_PROJECT", "ml-team/env", 1);
  EXPECT_EQ(ask("run log r1 lr=0.1").exit, 0);
  EXPECT_EQ(last().container.project.full(), "ml-team/env");
  EXPECT_EQ(ask("run log r1 lr=0.1 --project ml-team/flag").exit, 0);
  EXPECT_EQ(last().container.project.full(), "ml-team/flag");
  EXPECT_EQ(ask("project delete").exit, 2) << "what is removed must be named";
  ::unsetenv("NEPTUNE_PROJECT");
  const auto without = ask("run log r1 lr=0.1");
  EXPECT_EQ(without.exit, 2);
  EXPECT_THAT(without.err, HasSubstr("NEPTUNE_PROJECT"));
}

TEST_F(HandingIn, EveryVerbMakesItsKindOfChange) {
  const std::vector<std::pair<std::string, ChangeKind>> verbs{
      {"project create a/lab --visibility private --description 'Some trials' --key LAB", ChangeKind::project_create},
      {"project update a/lab --description x", ChangeKind::project_update},
      {"project archive a/lab --discard-pending", ChangeKind::project_update},
      {"project unarchive a/lab", ChangeKind::project_update},
      {"project delete a/lab", ChangeKind::project_delete},
      {"project storage-limit a/lab --bytes 5000", ChangeKind::project_set_storage_limit},
      {"project storage-limit a/lab --none", ChangeKind::project_set_storage_limit},
      {"project members add jo --role owner --project a/lab", ChangeKind::member_add},
      {"project members update jo --role viewer --project a/lab", ChangeKind::member_update},
      {"project members remove jo --project a/lab", ChangeKind::member_remove},
      {"project members add jo a/lab --role owner", ChangeKind::member_add},
      {"project metadata a/lab version=v3", ChangeKind::project_metadata},
      {"trash empty --project a/lab", ChangeKind::trash_empty},
      {"trash empty a/lab --yes", ChangeKind::trash_empty},
      {"project accounts add ci@a --role viewer --project a/lab", ChangeKind::service_account_add},
      {"project accounts remove ci@a --project a/lab", ChangeKind::service_account_remove},
      {"project metadata version=v3 --insert sys/tags=x --delete old --project a/lab", ChangeKind::project_metadata},
      {"workspace invite a --user jo --idempotency-key k", ChangeKind::workspace_invite},
      {"workspace invite a --email jo@example.org --role owner --add-to-all-projects", ChangeKind::workspace_invite},
      {"run create r2 --experiment e --fork-run r1 --fork-step 10 --project a/lab", ChangeKind::run_create},
      {"run log r1 loss=.3 --step 1 --assign lr=0.1 --assign note=x --preview 0.5 --project a/lab",
       ChangeKind::run_update},
      {"run upload r1 models/best /a/best.pt --copy --mime-type application/x-torch --project a/lab",
       ChangeKind::run_upload},
      {"run tag r1 best new --project a/lab", ChangeKind::run_update},
      {"run untag r1 best --path my/tags --project a/lab", ChangeKind::run_update},
      {"run trash r1 r2 --discard-pending --project a/lab", ChangeKind::run_trash},
      {"run restore r1 --project a/lab", ChangeKind::run_restore},
      {"run delete r1 --project a/lab", ChangeKind::run_delete},
      {"run archive r1 --project a/lab", ChangeKind::run_archive},
      {"run unarchive r1 --project a/lab", ChangeKind::run_unarchive},
      {"model create FOREST --name 'Random forest' --project a/lab", ChangeKind::model_create},
      {"model version FOREST --project a/lab", ChangeKind::model_version_create},
      {"model update FOREST kind=trees --append acc=0.9 --project a/lab", ChangeKind::model_update},
      {"model update LAB-FOREST-3 acc=0.9 --step 2 --project a/lab", ChangeKind::model_version_update},
      {"trash empty a/lab --discard-pending", ChangeKind::trash_empty},
  };
  for (const auto& [verb, kind] : verbs) {
    EXPECT_FALSE(payload(verb).empty()) << verb;
    EXPECT_EQ(last().kind, kind) << verb;
    EXPECT_EQ(last().discard_pending, verb.find("--discard") != std::string::npos) << verb;
  }
}

TEST_F(HandingIn, AStorageLimitIsASizeAndIsLiftedOnlyWhenThatIsSaid) {
  for (const auto& [size, bytes] : {std::pair("5GiB", "5368709120"), {"50000", "50000"}, {"'3 MB'", "3000000"}})
    EXPECT_THAT(payload("project storage-limit a/lab --bytes " + std::string(size)), HasSubstr(bytes));
  const auto before = accepted();
  for (const char* wrong : {"", "--bytes 5GiB --none", "--bytes -1", "--bytes 5x"}) {
    const auto ran = ask("project storage-limit a/lab " + std::string(wrong));
    EXPECT_EQ(ran.exit, 2) << wrong;
    EXPECT_THAT(ran.err, HasSubstr("--bytes: ")) << wrong;
  }
  EXPECT_EQ(accepted(), before);
}

TEST_F(HandingIn, OneProjectIsNamedAndOnlyOnce) {
  ::setenv("NEPTUNE_PROJECT", "a/other", 1);
  EXPECT_FALSE(payload("project members remove jo a/lab").empty());
  EXPECT_EQ(last().container.project.full(), "a/lab") << "the word goes before the environment";
  EXPECT_EQ(ask("trash empty").exit, 2) << "what is deleted for good is named";
  ::unsetenv("NEPTUNE_PROJECT");
  for (const char* wrong : {"project members remove jo a/lab --project a/b", "project metadata a/lab v=1 --project a/b",
                            "trash empty a/lab --project a/lab", "project members remove jo"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
}

TEST_F(HandingIn, ATextAtAStepIsLoggedWithANoteAndNotWhereItLooksLikeANumber) {
  const auto refused = ask("run log r1 loss=0.31% --step 1 --project a/b");
  EXPECT_EQ(refused.exit, 2);
  EXPECT_EQ(refused.err.substr(0, refused.err.find('\n')),
            "neptune-sync: loss: '0.31%' is no number; write one, or loss='\"0.31%\"' to log a text, which makes it a "
            "series of texts.");
  const auto noted = ask("run log r1 note=warm-up acc=0.3 --step 1 --project a/b");
  EXPECT_EQ(noted.exit, 0);
  EXPECT_THAT(noted.err, HasSubstr("note: 'warm-up' is logged as a text"));
  const auto forgotten = ask("run log r1 loss=0.3 step=1 --project a/b");
  EXPECT_EQ(forgotten.exit, 0);
  EXPECT_THAT(forgotten.err, HasSubstr("`--step 1` logs points at that step"));
  for (const char* meant : {"note='\"warm-up\"' --step 1", "loss=0.31%", "step=1", "step=2 --step 1", "loss=0.3 lr=1"})
    EXPECT_EQ(ask("run log r1 --project a/b " + std::string(meant)).err, "") << meant;
}

TEST_F(HandingIn, AnInvitationNamesOnePersonAndMakesThemAMemberUnlessTold) {
  const auto by_name = payload("workspace invite a --user jo");
  EXPECT_THAT(by_name,
              testing::AllOf(HasSubstr("\"jo\""), HasSubstr("member"), HasSubstr("\"add_to_all_projects\":false")));
  EXPECT_EQ(last().container.project.workspace, "a");
  const auto by_address = payload("workspace invite a --email jo@x.org --role owner --add-to-all-projects");
  EXPECT_THAT(by_address,
              testing::AllOf(HasSubstr("jo@x.org"), HasSubstr("owner"), HasSubstr("\"add_to_all_projects\":true")));
  for (const char* wrong : {"workspace invite a", "workspace invite a --user jo --email jo@x.org",
                            "workspace invite --user jo", "workspace invite a --user jo --role viewer",
                            "workspace invite a/lab --user jo", "workspace invite a --email jo", "workspace"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
  EXPECT_EQ(accepted(), 2u);
}

TEST_F(HandingIn, AnOptionTakesOneValueAndLeavesTheRestAlone) {
  const auto kept = payload("project metadata --assign a=1 b=2 --insert t=x c=3 --project a/lab");
  for (const char* name : {"\"a\"", "\"b\"", "\"c\"", "\"t\""}) EXPECT_THAT(kept, HasSubstr(name));
}

TEST_F(HandingIn, ATagMayBeCalledLikeAVerb) {
  EXPECT_THAT(payload("run tag r1 status log --project a/lab"), testing::AllOf(HasSubstr("status"), HasSubstr("log")));
}

TEST_F(HandingIn, WrongUsageIsTwoAndHandsInNothing) {
  for (const char* wrong :
       {"run log r1 --project a/b", "run log r1 loss --project a/b", "run log r1 loss=nan --step 1 --project a/b",
        "run log r1 loss=1 --step x --project a/b", "run log r1 --assign a=1 --step 1 --project a/b", "run", "project",
        "run create r1 --fork-run r0 --project a/b", "run trash --project a/b", "change", "trash empty",
        "project members add jo --project a/b", "run log r1 a=1 --project a/b --timeout 5s",
        "run log r1 a=1 --project a/b --wait --timeout soon", "model update M a=1 --append b=1 --step 1 --project a/b"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
  EXPECT_EQ(accepted(), 0u);
}

TEST_F(HandingIn, NumbersThatAreNoneOfTheServersAreAWrongUsageWithoutADaemon) {
  const std::vector<std::pair<std::string, std::string>> told{
      {"run log r1 a=1 --step -1 --project a/b", "--step: '-1' is negative; steps begin at 0."},
      {"run log r1 a=1 --step 1e400 --project a/b", "--step: '1e400' is no number, or too large"},
      {"run log r1 a=1e400 --step 1 --project a/b", "a: the server takes no NaN and no infinity"},
      {"run create r1 --fork-run r0 --fork-step -3 --project a/b", "--fork-step: '-3' is negative"}};
  for (const auto& [arguments, text] : told) {
    const auto ran = run("--socket " + log_path() + " " + arguments);
    EXPECT_EQ(ran.exit, 2) << arguments;
    EXPECT_THAT(ran.err, HasSubstr(text));
  }
}

TEST_F(HandingIn, WhatTheDaemonFindsWrongWithAChangeIsAWrongUsage) {
  const auto ran = ask("project create a/lab --visibility secret");
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_THAT(ran.err, HasSubstr("secret"));
  EXPECT_THAT(ask("project storage-limit a/lab --bytes -1").err, HasSubstr("--bytes: '-1' is no size"));
  for (const auto& wrong :
       std::vector<std::string>{"run create " + std::string(731, 'r') + " --project a/lab",
                                "run create r1 --project lab", "run log r1 a=1 --step 1e12 --project a/lab"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
  const auto file = (folder_ / "changes").string();
  for (const char* wrong :
       {"nonsense", "{\"kind\": \"run.create\"}", "{\"kind\": \"run.crate\", \"project\": \"a/b\"}"}) {
    std::ofstream(file) << wrong;
    EXPECT_EQ(ask("change -f " + file).exit, 2) << wrong;
  }
  EXPECT_EQ(accepted(), 0u);
}

TEST_F(HandingIn, ARefusalForTheStateOfThingsIsOne) {
  served_.on_loop([](FixedControl& control) { control.failure = Error{"queue_full", "The queue is full.", true}; });
  EXPECT_EQ(ask("trash empty a/b").exit, 1);
  EXPECT_EQ(run("--socket " + log_path() + " trash empty a/b --wait").exit, 3);
}

TEST_F(HandingIn, ChangesComeFromAFileOrStandardInput) {
  const auto file = (folder_ / "changes").string();
  std::ofstream(file) << "{\"kind\": \"trash.empty\", \"project\": \"a/b\"}\n"
                      << "{\"kind\": \"trash.empty\", \"project\": \"a/c\"}\n";
  const auto from_file = ask("change -f " + file);
  EXPECT_EQ(from_file.out, "Accepted 2 changes of a/b and 1 more (changes 1 to 2); they are safe on disk.\n");
  EXPECT_EQ(ask("change -f -", file).exit, 0);
  EXPECT_EQ(accepted(), 4u);
  EXPECT_EQ(ask("change", file).exit, 0) << "what is no terminal is read";
  EXPECT_EQ(accepted(), 6u);
  std::ofstream(file) << "[{\"kind\": \"trash.empty\", \"project\": \"a/b\"}]";
  EXPECT_EQ(ask("change -f " + file).exit, 0);
  EXPECT_EQ(ask("change -f -").exit, 2) << "nothing is no change";
  const auto missing = ask("change -f " + log_path());
  EXPECT_EQ(missing.exit, 1);
  EXPECT_THAT(missing.err, HasSubstr("'" + log_path() + "' cannot be read: No such file"));
}

TEST_F(HandingIn, ChangesOfAFileThatNameNoProjectAreOfTheOneOfTheEnvironment) {
  const auto file = (folder_ / "changes").string();
  std::ofstream(file)
      << "{\"kind\": \"run.create\", \"run\": \"r1\"}\n"
      << "{\"kind\": \"run.create\", \"project\": \"a/named\", \"run\": \"r2\"}\n"
      << "{\"kind\": \"workspace.invite\", \"workspace\": \"a\", \"user\": \"jo\", \"role\": \"member\"}\n";
  EXPECT_EQ(ask("change -f " + file).exit, 2);
  ::setenv("NEPTUNE_PROJECT", "ml team/env", 1);
  const auto ran = ask("change -f " + file);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const auto projects = served_.on_loop([](FixedControl& control) {
    std::vector<std::string> names;
    for (const auto& [change, by] : control.accepted) names.push_back(change.container.project.full());
    return names;
  });
  EXPECT_THAT(projects, testing::ElementsAre("ml team/env", "a/named", "a/"));
  EXPECT_EQ(ask("change -f " + file + " --project a/flag").exit, 0);
  std::ofstream(file) << "{\"kind\": \"project.delete\"}";
  EXPECT_EQ(ask("change -f " + file).exit, 2) << "what is removed must be named";
  ::unsetenv("NEPTUNE_PROJECT");
}

TEST_F(HandingIn, AnIdempotencyKeyGoesAlong) {
  EXPECT_EQ(ask("trash empty a/b --idempotency-key nightly-7").exit, 0);
  EXPECT_EQ(last().idempotency_key, "nightly-7");
}

TEST_F(HandingIn, WaitingHasACodeForEachEndAndIsForWhatWasHandedInAlone) {
  tell({stream_of(1000, 0)});
  const auto tell_next = [this](const std::string& state) {
    served_.on_loop([&](FixedControl& control) {
      const auto id = static_cast<std::int64_t>(control.accepted.size()) + 1;
      control.changes_now = {{.id = id, .state = state}};
      if (state == "rejected") control.changes_now[0].rejected = 3;
    });
  };
  const std::string log = "run log r1 a=1 --project ml-team/lab --wait";
  tell_next("done");
  const auto synced = ask(log);
  EXPECT_EQ(synced.exit, 0) << synced.err;
  EXPECT_THAT(synced.out, HasSubstr("Change 1 is synced.\n"));
  tell_next("done");
  EXPECT_EQ(ask("run trash r1 --project ml-team/lab --wait").exit, 0);
  tell_next("waiting");
  EXPECT_EQ(ask(log + " --timeout 50ms").exit, 4);
  tell_next("waiting");
  const auto killed = run_line("timeout 0.5 " NEPTUNE_SYNC " --socket " + served_.path() + " " + log);
  EXPECT_EQ(killed.exit, 124);
  EXPECT_THAT(killed.out, HasSubstr("safe on disk")) << "told before it waits";
  tell_next("held");
  EXPECT_EQ(ask(log + " --timeout 50ms").exit, 5);
  tell_next("rejected");
  const auto rejected = ask("project update ml-team/lab --description x --wait");
  EXPECT_EQ(rejected.exit, 1);
  EXPECT_THAT(rejected.err, HasSubstr("neptune-sync rejected"));
}

TEST_F(HandingIn, ProjectsAreListedWithTheirMode) {
  EXPECT_THAT(ask("project list").out, HasSubstr("no changes"));
  served_.on_loop([](FixedControl& control) {
    auto& workspace = control.status_now.workspaces.emplace_back();
    workspace.name = "ml-team";
    auto& project = workspace.projects.emplace_back();
    project.name = "lab";
    project.mode = "read_only";
  });
  const auto ran = ask("project list");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_THAT(ran.out, testing::ContainsRegex("ml-team/lab +read-only"));
  served_.on_loop([](FixedControl& control) {
    auto& workspace = control.status_now.workspaces[0];
    workspace.mode = workspace.projects[0].mode = "held";
    workspace.projects[0].inherited = true;
  });
  EXPECT_THAT(ask("project list").out, testing::ContainsRegex("ml-team/lab +held")) << "as its workspace is";
}

}  // namespace
}  // namespace neptune
