// Files and copies that the 1.x client logged: in order with the rest of their run.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

#include "tests/integration/client_1x.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t mib = 1 << 20;

/// Appends to the file every other moment until `done` says so.
bool keeps_changing(const fs::path& file, const std::function<bool()>& done) {
  const std::jthread writer([&file](const std::stop_token& stop) {
    for (; !stop.stop_requested(); std::this_thread::sleep_for(1ms)) write(file, "more", std::ios::app);
  });
  return done();
}

/// A log of these operations, numbered from 1.
struct Log {
  std::string text;
  int last = 0;

  int add(const std::string& obj) {
    text += logged(++last, obj);
    return last;
  }
  int upload(const std::string& attribute, const std::string& file) {
    return add(fmt::format(
        R"({{"type": "UploadFile", "path": ["{}"], "ext": "bin", "file_path": "{}", "tmp_file_name": null}})",
        attribute, file));
  }
  int upload_tmp(const std::string& attribute, const std::string& name) {
    return add(fmt::format(
        R"({{"type": "UploadFile", "path": ["{}"], "ext": "bin", "file_path": null, "tmp_file_name": "{}"}})",
        attribute, name));
  }
  int upload_set(const std::string& attribute, const std::string& glob, bool reset = false) {
    return add(fmt::format(R"({{"type": "UploadFileSet", "path": ["{}"], "file_globs": ["{}"], "reset": "{}"}})",
                           attribute, glob, reset ? "True" : "False"));
  }
  int assign(const std::string& attribute, const std::string& type, const std::string& value) {
    return add(fmt::format(R"({{"type": "Assign{}", "path": ["{}"], "value": {}}})", type, attribute, value));
  }
  int remove(const std::string& attribute) {
    return add(fmt::format(R"({{"type": "DeleteAttribute", "path": ["{}"]}})", attribute));
  }
  int copy(const std::string& attribute, const std::string& type, const std::string& from, const std::string& of,
           const std::string& kind = "run") {
    return add(fmt::format(
        R"({{"type": "CopyAttribute", "path": ["{}"], "container_id": "{}", "container_type": "{}",
             "source_path": ["{}"], "source_attr_name": "{}"}})",
        attribute, of, kind, from, type));
  }
};

class Client1xFiles : public Client1x {
 protected:
  Client1xFiles() { make(); }

  /// Parts of large files that the server took.
  std::int64_t parts() {
    const auto requests = box->sandbox().state("summary=1").at("requests");
    const auto* counts =
        requests.as_object().if_contains("POST /api/leaderboard/v1/attributes/storage/file/upload/part");
    return counts ? counts->at("200").as_int64() : 0;
  }
  /// Each part of a large file takes so long.
  void slow_down(int ms) {
    box->sandbox().control(fmt::format(
        R"({{"fault": {{"path": "/api/leaderboard/v1/attributes/storage/file/upload/part", "delay_ms": {}}}}})", ms));
  }

  void sync(const std::string& id, const Log& log) {
    hand_over(finished_run(id, log.text, log.last));
    ASSERT_TRUE(wait_synced(log.last));
  }
};

TEST_F(Client1xFiles, FilesOfAllKindsArriveWhole) {
  const auto small = make_file("small.bin", 1000), large = make_file("large.bin", 12 * mib + 7);
  make_file("set/a.bin", 10);
  make_file("set/deep/b.bin", 20);
  make_file("set/big.bin", 6 * mib);
  Log log;
  log.upload("small", small);
  log.upload("large", large);
  log.upload_tmp("tmp", "plot-1.bin");
  log.add(R"({"type": "UploadFileContent", "path": ["text"], "ext": "txt", "file_content": "aGVsbG8="})");
  log.upload_set("set", (box->dir() / "set" / "**" / "*.bin").string());
  log.add(R"({"type": "LogImages", "path": ["images"], "values": [
             {"value": {"data": "aGVsbG8=", "name": "first", "description": null}, "step": 0, "ts": 1},
             {"value": {"data": "aGVsbG8=", "name": "second", "description": "d"}, "step": 1, "ts": 2}]})");
  const auto directory = finished_run("files", log.text, log.last);
  write(directory / "upload_path" / "plot-1.bin", "a plot");
  hand_over(directory);
  ASSERT_TRUE(wait_synced(log.last));
  EXPECT_EQ(file_differs("LAB-1/small.bin", text_of(small)), "");
  EXPECT_EQ(file_differs("LAB-1/large.bin", text_of(large)), "");
  EXPECT_EQ(file_differs("LAB-1/tmp.bin", "a plot"), "");
  EXPECT_EQ(file_differs("LAB-1/text.txt", "hello"), "");
  for (const auto* name : {"a.bin", "deep/b.bin", "big.bin"})
    EXPECT_EQ(file_differs(std::string("LAB-1/set/") + name, text_of(box->dir() / "set" / name)), "") << name;
  EXPECT_EQ(run("files").at("series").at("images").as_array().size(), 2u);
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST_F(Client1xFiles, TheyGoInOrderWithWhatWasLoggedBeforeAndAfter) {
  const auto first = make_file("first.bin", 6 * mib), second = make_file("second.bin", 100);
  Log log;
  log.assign("x", "Float", "1.5");
  log.upload("replaced", first);
  log.upload("replaced", second);
  log.upload("removed", first);
  log.remove("removed");
  log.assign("was_a_float", "Float", "2");
  log.remove("was_a_float");
  log.upload("was_a_float", second);
  log.assign("x", "Float", "3.5");
  sync("order", log);
  EXPECT_EQ(file_differs("LAB-1/replaced.bin", text_of(second)), "");
  EXPECT_EQ(file_differs("LAB-1/was_a_float.bin", text_of(second)), "") << "a file is refused where a float is";
  EXPECT_FALSE(run("order").at("attrs").as_object().contains("removed"));
  EXPECT_EQ(run("order").at("attrs").at("x").to_number<double>(), 3.5);
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST_F(Client1xFiles, ASetThatIsResetTakesThePlaceOfWhatWasThere) {
  make_file("old/a.bin", 10);
  make_file("new/b.bin", 20);
  make_file("new/c.bin", 30);
  Log log;
  log.upload_set("set", (box->dir() / "old" / "*").string());
  log.upload_set("set", (box->dir() / "new" / "*").string(), true);
  sync("reset", log);
  EXPECT_EQ(file_differs("LAB-1/set/b.bin", text_of(box->dir() / "new" / "b.bin")), "");
  EXPECT_EQ(file_differs("LAB-1/set/c.bin", text_of(box->dir() / "new" / "c.bin")), "");
  EXPECT_EQ(box->sandbox().state().at("files").as_object().size(), 2u);
}

TEST_F(Client1xFiles, CopiesAssignWhatTheirSourceHoldsThen) {
  Log other;
  other.assign("lr", "Float", "0.30000000000000004");
  other.assign("n", "Int", "7");
  sync("other", other);
  const auto id = id_of("LAB-1");
  Log log;
  log.assign("when", "Datetime", "1767323045678");
  log.assign("name", "String", R"("a \"name\"")");
  log.assign("flag", "Bool", "true");
  log.copy("own_name", "String", "name", "copies");
  log.assign("name", "String", R"("another")");
  log.copy("own_when", "Datetime", "when", "copies");
  log.copy("own_flag", "Boolean", "flag", "copies");
  log.copy("lr", "Float", "lr", id);
  log.copy("n", "Integer", "n", "other");
  const auto missing = log.copy("missing", "Float", "nothing", id);
  const auto stranger = log.copy("missing", "Float", "lr", "no-such-run");
  const auto artifact = log.copy("artifact", "Artifact", "data", id);
  log.assign("end", "Int", "1");
  hand_over(finished_run("copies", log.text, log.last));
  ASSERT_TRUE(wait_synced(other.last + log.last));
  const auto attrs = run("copies").at("attrs");
  EXPECT_EQ(attrs.at("own_name").as_string(), "a \"name\"") << "as it was when it was copied";
  EXPECT_EQ(attrs.at("own_when"), attrs.at("when"));
  EXPECT_EQ(attrs.at("own_flag").as_bool(), true);
  EXPECT_EQ(json::serialize(attrs.at("lr")), json::serialize(run("other").at("attrs").at("lr")));
  EXPECT_EQ(attrs.at("n").as_int64(), 7);
  EXPECT_EQ(attrs.at("end").as_int64(), 1) << "the rest of the run goes on";
  EXPECT_NE(rejection_of(missing).find("copied_value_missing"), std::string::npos) << rejection_of(missing);
  EXPECT_NE(rejection_of(stranger).find("copied_value_missing"), std::string::npos) << rejection_of(stranger);
  EXPECT_NE(rejection_of(artifact).find("'Artifact' cannot be copied"), std::string::npos) << rejection_of(artifact);
}

TEST_F(Client1xFiles, WhatCannotBeSentIsRejectedWithItsReasonAndTheRestGoesOn) {
  const auto good = make_file("good.bin", 100), secret = make_file("secret.bin", 100);
  fs::permissions(secret, fs::perms::none);
  fs::create_symlink(good, box->dir() / "link.bin");
  make_file("secret_set/x.bin", 10);
  fs::permissions(box->dir() / "secret_set", fs::perms::none);
  fs::create_directories(box->dir() / "linked_set");
  fs::create_symlink(good, box->dir() / "linked_set" / "x.bin");
  write(box->dir() / "outside.bin", "outside");
  Log log;
  std::vector<std::pair<int, std::string>> wrong{
      {log.upload("a", (box->dir() / "gone.bin").string()), "file_missing"},
      {log.upload("b", secret), "file_not_readable"},
      {log.upload("c", (box->dir() / "link.bin").string()), "file_not_regular"},
      {log.upload("d", "good.bin"), "file_path_invalid"},
      {log.upload("e", box->dir().string()), "file_not_regular"},
      {log.upload_tmp("f", "../../../outside.bin"), "file_path_invalid"},
      {log.upload_tmp("g", "/etc/passwd"), "file_path_invalid"},
      {log.upload_tmp("h", "link-in-upload-path.bin"), "file_not_regular"},
      {log.upload_set("i", (box->dir() / "no_such" / "*").string()), "file_missing"},
      {log.upload_set("j", (box->dir() / "linked_set").string()), "file_not_regular"},
      {log.upload_set("k", (box->dir() / "set" / ".." / "*.bin").string()), "file_path_invalid"},
      {log.upload_set("o", (box->dir() / "secret_set" / "**").string()), "file_not_readable"},
      {log.add(R"({"type": "UploadFileContent", "path": ["l"], "ext": "txt", "file_content": "%"})"),
       "client_operation_invalid"},
      {log.add(R"({"type": "Explode", "path": ["p"]})"), "client_operation_unknown"},
      {log.add(R"({"type": "AssignArtifact", "path": ["m"], "hash": "x"})"), "no_such_attribute"},
      {log.add(R"({"type": "TrackFilesToArtifact", "path": ["n"], "project_id": "p", "entries": [["/a", null]]})"),
       "no_such_attribute"},
  };
  log.upload("good", good);
  log.assign("end", "Int", "1");
  const auto directory = finished_run("wrong", log.text, log.last);
  fs::create_symlink(good, directory / "upload_path" / "link-in-upload-path.bin");
  hand_over(directory);
  ASSERT_TRUE(wait_synced(log.last));
  for (const auto& [version, code] : wrong)
    EXPECT_EQ(rejection_of(version).substr(0, code.size() + 2), code + ": ") << rejection_of(version);
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), std::ssize(wrong));
  EXPECT_EQ(file_differs("LAB-1/good.bin", text_of(good)), "");
  EXPECT_EQ(run("wrong").at("attrs").at("end").as_int64(), 1);
  EXPECT_EQ(box->sandbox().state().at("files").as_object().size(), 1u);
}

TEST_F(Client1xFiles, FilesThatStayUnreadableAreRejectedAndTheRestGoesOn) {
  Log log;
  log.upload("a", "/proc/self/mem");  // read, it is as a bad disk
  log.upload("b", "/" + std::string(300, 'x'));
  log.upload_set("c", "/" + std::string(300, 'x') + "/*");
  log.assign("end", "Int", "1");
  sync("unreadable", log);
  EXPECT_EQ(rejection_of(2).substr(0, 19), "file_path_invalid: ") << rejection_of(2);
  EXPECT_EQ(rejection_of(3).substr(0, 17), "file_unreadable: ") << rejection_of(3);
  EXPECT_EQ(run("unreadable").at("attrs").at("end").as_int64(), 1);
}

TEST_F(Client1xFiles, ASetThatChangesWhileItIsSentArrivesOnceItHoldsStill) {
  make_file("set/a.bin", 3 * mib);
  const auto growing = make_file("set/growing.bin", 3 * mib);
  Log log;
  log.upload_set("set", (box->dir() / "set" / "*").string());
  log.assign("end", "Int", "1");
  hand_over(finished_run("still", log.text, log.last));
  const auto told = [this] {
    return box
        ->wait_status([this](const auto&) {
          return json::serialize(box->get("/v1/streams")).find("its set is sent anew") != std::string::npos;
        })
        .first;
  };
  ASSERT_TRUE(keeps_changing(growing, told));
  box->sync({"flush"});
  ASSERT_TRUE(wait_synced(log.last));
  EXPECT_EQ(rejection_of(1), "");
  EXPECT_EQ(file_differs("LAB-1/set/growing.bin", text_of(growing)), "");
  EXPECT_EQ(run("still").at("attrs").at("end").as_int64(), 1);
}

TEST_F(Client1xFiles, ASetThatNeverHoldsStillIsRejectedAndTheRestGoesOn) {
  make_file("set/a.bin", 3 * mib);
  const auto growing = make_file("set/growing.bin", 3 * mib);
  Log log;
  log.upload_set("set", (box->dir() / "set" / "*").string());
  log.assign("end", "Int", "1");
  hand_over(finished_run("restless", log.text, log.last));
  const auto over = [&] {
    return box
        ->wait_status([&](const auto& s) {
          box->sync({"flush"});  // it would wait for a while each time
          return s.at("totals").at("rejected").as_int64() + s.at("totals").at("synced").as_int64() == log.last;
        })
        .first;
  };
  ASSERT_TRUE(keeps_changing(growing, over));
  EXPECT_EQ(rejection_of(1).substr(0, 18), "file_set_changed: ") << rejection_of(1);
  EXPECT_EQ(run("restless").at("attrs").at("end").as_int64(), 1);
}

TEST_F(Client1xFiles, AnUploadPathThatIsALinkLeadsNowhere) {
  make_file("elsewhere/x.bin", 10);
  Log log;
  log.upload_tmp("x", "x.bin");
  const auto directory = finished_run("linked", log.text, log.last);
  fs::remove(directory / "upload_path");
  fs::create_directory_symlink(box->dir() / "elsewhere", directory / "upload_path");
  hand_over(directory);
  ASSERT_TRUE(wait_synced(1));
  EXPECT_NE(rejection_of(1), "");
  EXPECT_TRUE(box->sandbox().state().at("files").as_object().empty());
}

TEST_F(Client1xFiles, AFileThatWasRejectedIsSentWhenItIsTriedAgain) {
  Log log;
  log.upload("late", (box->dir() / "late.bin").string());
  log.upload_tmp("tmp", "late-1.bin");
  sync("again", log);
  ASSERT_NE(rejection_of(2), "");
  const auto renamed = place("async") / fmt::format("run__{}__{}__abcdefgh", id_of("LAB-1"), dead_pid);
  ASSERT_TRUE(box->wait_status([&](const auto&) { return fs::exists(renamed); }).first);
  const auto late = make_file("late.bin", 6 * mib);
  write(renamed / "upload_path" / "late-1.bin", "late");
  const auto rejected = box->get("/v1/rejected");
  for (const auto& each : rejected.at("rejected").as_array())
    EXPECT_EQ(box->sync({"rejected", "retry", std::to_string(each.at("id").as_int64())}).status, 0);
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 2; }).first);
  EXPECT_EQ(file_differs("LAB-1/late.bin", text_of(late)), "");
  EXPECT_EQ(file_differs("LAB-1/tmp.bin", "late"), "") << "found in the directory's new place";
}

TEST_F(Client1xFiles, ARejectedFileIsFoundWhereADaemonThatWasKilledHadJustRenamedItsDirectory) {
  auto job = living_job();
  Log log;
  log.upload_tmp("tmp", "late-1.bin");
  log.assign("end", "Int", "1");
  const auto directory = offline_run("renamed", job.pid());
  write(directory / "last_put_version", std::to_string(log.last));
  write(directory / "data-1.log", log.text);
  ASSERT_TRUE(wait_synced(log.last));
  ASSERT_NE(rejection_of(1), "");
  // As it is between the rename and the record of it.
  box->kill_daemon();
  job.kill();
  const auto renamed = place("async") / fmt::format("run__{}__{}__abcdefgh", id_of("LAB-1"), job.pid());
  age(directory, 60s);
  fs::rename(directory, renamed);
  box->start_daemon();
  ASSERT_TRUE(box->wait_status([this](const auto&) {
                   const auto found = source("abcdefgh");
                   return found.is_object() && found.at("state").as_string() == "synced";
                 })
                  .first);
  EXPECT_EQ(source("abcdefgh").at("run").as_string(), "renamed") << "it is known by the name it always had";
  write(renamed / "upload_path" / "late-1.bin", "late");
  const auto rejected = box->get("/v1/rejected");
  const auto id = rejected.at("rejected").at(0).at("id").as_int64();
  EXPECT_EQ(box->sync({"rejected", "retry", std::to_string(id)}).status, 0);
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 2; }).first);
  EXPECT_EQ(file_differs("LAB-1/tmp.bin", "late"), "");
}

TEST_F(Client1xFiles, AContainerThatIsGoneRejectsNoFile) {
  box->hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r"})");
  ASSERT_TRUE(wait_synced(1));
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "storage is full"})");
  Log log;
  log.upload("f", make_file("f.bin", 100));
  const auto leftover = finished_run("leftover", log.text, log.last);
  fs::rename(leftover, place("async") / fmt::format("run__{}__{}__abcdefgh", id_of("LAB-1"), dead_pid));
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 1; }).first);
  // Something on the way answers for the files of runs that are not there with a bare 404.
  box->sandbox().control(R"({"faults": [
    {"path": "/api/leaderboard/v1/attributes/storage", "status": 404},
    {"path": "/api/leaderboard/v1/experiments", "status": 404, "error_type": "EXPERIMENT_NOT_FOUND"}]})");
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box->sync({"probe", "ml-team"});
  EXPECT_TRUE(box->wait_status([this](const auto&) {
                   const auto streams = box->get("/v1/streams");
                   return json::serialize(streams).find("has no run 'LAB-1'") != std::string::npos;
                 })
                  .first)
      << json::serialize(box->get("/v1/streams"));
  EXPECT_EQ(rejection_of(1), "");
  box->sandbox().control(R"({"reset": true})");
  box->sync({"flush"});
  ASSERT_TRUE(wait_synced(2));
  EXPECT_EQ(rejection_of(1), "");
  EXPECT_TRUE(file_differs("LAB-1/f.bin", text_of(box->dir() / "f.bin")).empty());
}

TEST_F(Client1xFiles, NamesInFoldersThatWhoeverWroteTheLogMayNotReadAreNotTold) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make files of somebody else";
  make_file("roots/secret-name.bin", 10);
  fs::permissions(box->dir() / "roots", fs::perms(0711));
  fs::permissions(box->dir(), fs::perms(0755));
  Log log;
  log.upload_set("x", (box->dir() / "roots" / "*.bin").string());
  log.assign("end", "Int", "1");
  const auto directory = finished_run("curious", log.text, log.last);
  ASSERT_EQ(::chown((directory / "data-1.log").c_str(), 1234, 1234), 0);
  hand_over(directory);
  ASSERT_TRUE(wait_synced(log.last));
  EXPECT_EQ(rejection_of(1).substr(0, 17), "file_not_theirs: ") << rejection_of(1);
  EXPECT_EQ(rejection_of(1).find("secret-name"), std::string::npos) << rejection_of(1);
  EXPECT_EQ(run("curious").at("attrs").at("end").as_int64(), 1);
}

TEST_F(Client1xFiles, AServerWithoutUploadsRefusesTheFilesAndTakesTheRest) {
  box->sandbox().control(R"({"fault": {"path": "/api/leaderboard/v1/attributes/storage", "status": 404}})");
  const auto file = make_file("f.bin", 100), large = make_file("large.bin", 6 * mib);
  Log log;
  log.upload("a", file);
  log.upload("b", large);
  log.assign("end", "Int", "1");
  sync("without", log);
  for (const int version : {1, 2})
    EXPECT_NE(rejection_of(version).find("not_offered"), std::string::npos) << rejection_of(version);
  EXPECT_EQ(run("without").at("attrs").at("end").as_int64(), 1);
}

TEST_F(Client1xFiles, AFailingServerIsTriedAgainAndAnAnswerThatIsLostDoesNoHarm) {
  box->sandbox().control(R"({"faults": [
    {"path": "/api/leaderboard/v1/attributes/storage/file/upload", "status": 503, "times": 2},
    {"path": "/api/leaderboard/v1/attributes/storage/file/upload/part", "drop": "before_answer", "times": 1},
    {"path": "/api/leaderboard/v1/attributes/storage/file/upload/finish", "drop": "before_answer", "times": 1},
    {"path": "/api/leaderboard/v1/attributes/uploadFileSetTar", "drop": "before_answer", "times": 1}]})");
  const auto large = make_file("large.bin", 11 * mib);
  make_file("set/a.bin", 10);
  make_file("set/b.bin", 10);
  Log log;
  log.upload("large", large);
  log.upload_set("set", (box->dir() / "set").string());
  log.text += logged_floats(3, 50);
  log.last = 50;
  sync("troubled", log);
  EXPECT_EQ(file_differs("LAB-1/large.bin", text_of(large)), "");
  EXPECT_EQ(file_differs("LAB-1/set/a.bin", text_of(box->dir() / "set" / "a.bin")), "");
  EXPECT_EQ(run("troubled").at("series").at("loss").as_array().size(), 48u);
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST_F(Client1xFiles, AFileThatChangesWhileItIsSentIsRejectedAndNeverArrivesMixed) {
  const auto file = make_file("changing.bin", 30 * mib);
  slow_down(100);
  Log log;
  log.upload("changing", file);
  log.assign("end", "Int", "1");
  hand_over(finished_run("changing", log.text, log.last));
  ASSERT_TRUE(box->wait_status([this](const auto&) { return parts() >= 1; }).first);
  write(file, "other bytes", std::ios::app);
  ASSERT_TRUE(wait_synced(log.last));
  EXPECT_EQ(rejection_of(1).substr(0, 14), "file_changed: ") << rejection_of(1);
  EXPECT_TRUE(box->sandbox().state().at("files").as_object().empty());
  EXPECT_EQ(run("changing").at("attrs").at("end").as_int64(), 1);
}

TEST_F(Client1xFiles, FilesAreReadForWhoeverWroteTheLog) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make files of somebody else";
  const auto file = make_file("roots.bin", 100);
  fs::permissions(file, fs::perms::owner_read);
  Log log;
  log.upload("roots", file);
  const auto directory = finished_run("theirs", log.text, log.last);
  ASSERT_EQ(::chown((directory / "data-1.log").c_str(), 1234, 1234), 0);
  hand_over(directory);
  ASSERT_TRUE(wait_synced(1));
  EXPECT_EQ(rejection_of(1).substr(0, 17), "file_not_theirs: ") << rejection_of(1);
}

TEST_F(Client1xFiles, ImagesThatNoRequestCanHoldTogetherGoInSeveral) {
  const std::string data(5 * mib, 'A');
  std::string values;
  for (int i = 0; i < 4; ++i)
    values += fmt::format(R"({}{{"value": {{"data": "{}", "name": null, "description": null}}, "step": {}, "ts": 1}})",
                          i > 0 ? "," : "", data, i);
  Log log;
  log.add(R"({"type": "LogImages", "path": ["images"], "values": [)" + values + "]}");
  // The answer to the second request is lost.
  box->sandbox().control(R"({"fault": {"path": "/api/leaderboard/v1/attributes/operations", "drop": "before_answer",
                                       "times": 1}})");
  sync("images", log);
  EXPECT_EQ(run("images").at("series").at("images").as_array().size(), 4u);
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST_F(Client1xFiles, ALargeFileLetsOtherStreamsGoFirstNowAndThen) {
  server_lines = "max_in_flight = 1\n";
  make();
  const auto file = make_file("large.bin", 60 * mib);
  slow_down(500);
  Log log;
  log.upload("large", file);
  hand_over(finished_run("patient", log.text, log.last));
  ASSERT_TRUE(box->wait_status([this](const auto&) { return parts() >= 1; }).first);
  offline_run("quick", 1, 10);
  EXPECT_TRUE(box->wait_status([this](const auto&) { return misses("quick", 10).empty(); }).first);
  EXPECT_LT(parts(), 12) << "the other one came first";
  box->sandbox().control(R"({"reset": true})");
  ASSERT_TRUE(wait_synced(11));
  EXPECT_EQ(file_differs("LAB-1/large.bin", text_of(file)), "");
  EXPECT_EQ(parts(), 12) << "no part was sent twice";
}

}  // namespace
}  // namespace neptune::testing
