#include <fstream>

#include "tests/unit/server/uploads_fixture.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = UploadOutcome::Kind;
using What = AttributeUpload::What;

constexpr std::int64_t mib = 1 << 20;
const std::string octets = "application/octet-stream";

class AttributeUploads : public WithSandbox {
 protected:
  AttributeUploads() {
    const auto made = run(server->create_run(container, ""));
    if (!made) throw std::runtime_error(made.error().message);
    const auto state = sandbox.state();
    for (const auto& [name, about] : state.at("containers").as_object())
      if (about.at("type").as_string() == "run") short_id = std::string(name).substr(std::string(name).rfind('/') + 1);
  }
  AttributeUpload to_send(What what) {
    AttributeUpload out;
    out.container = container;
    out.attribute = "data/file";
    out.what = what;
    out.progress = &progress;
    out.on_progress = [this](std::uint64_t done) {
      shown = done;
      if (on_shown) on_shown(done);
    };
    return out;
  }
  UploadOutcome send(AttributeUpload upload) { return run(server->upload_attribute(std::move(upload), settings)); }
  UploadOutcome send_file(const SourceFile& file) {
    auto upload = to_send(What::file);
    upload.file = file;
    upload.ext = "bin";
    return send(std::move(upload));
  }
  AttributeUpload set_of(const std::vector<std::pair<std::string, SourceFile>>& files) {
    auto upload = to_send(What::file_set);
    for (const auto& [name, file] : files) upload.members.push_back({file, name});
    return upload;
  }
  std::int64_t calls(const std::string& endpoint, const std::string& status = "200") {
    const auto requests = sandbox.state("summary=1").at("requests");
    const auto* counts = requests.as_object().if_contains("POST /api/leaderboard/v1/attributes/" + endpoint);
    if (counts == nullptr || !counts->as_object().contains(status)) return 0;
    return counts->at(status).as_int64();
  }
  std::size_t files() { return sandbox.state().at("files").as_object().size(); }
  void fault(const std::string& members) { sandbox.control("{\"fault\": {" + members + "}}"); }

  const ContainerName container{{"ml-team", "lab"}, "run-1", ContainerKind::run};
  std::string short_id;
  std::function<void(std::uint64_t)> on_shown;
};

TEST_F(AttributeUploads, ASmallFileGoesInOneRequest) {
  const auto file = make_file("f", 1000);
  const auto how = send_file(file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(stored_differs(short_id + "/data/file.bin", file, octets), "");
  EXPECT_EQ(calls("storage/file/upload"), 1);
  EXPECT_EQ(send_file(make_file("f", 0)).kind, Kind::done);
  EXPECT_EQ(files(), 1u);
}

TEST_F(AttributeUploads, ContentGoesAsItIs) {
  const auto file = make_file("f", 6 * mib);
  auto upload = to_send(What::content);
  upload.content = bytes_of(file);
  upload.ext = "bin";
  EXPECT_EQ(send(std::move(upload)).kind, Kind::done);
  EXPECT_EQ(stored_differs(short_id + "/data/file.bin", file, octets), "");
  EXPECT_EQ(calls("storage/file/upload/part"), 2);
}

TEST_F(AttributeUploads, ALargeFileGoesInPartsAndGoesOnAfterARestart) {
  const auto file = make_file("f", 12 * mib);
  on_shown = [this, struck = false](std::uint64_t done) mutable {
    if (struck || done < 5 * mib + 1) return;
    struck = true;
    fault(R"("path": "/api/leaderboard/v1/attributes/storage", "status": 503, "times": 1)");
  };
  auto how = send_file(file);
  ASSERT_EQ(how.kind, Kind::server) << shown_outcome(how);
  EXPECT_EQ(how.failure.value().kind, Failure::Kind::busy);
  restart_server();
  how = send_file(file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 7u * mib);
  EXPECT_EQ(shown, 12u * mib);
  EXPECT_EQ(stored_differs(short_id + "/data/file.bin", file, octets), "");
  EXPECT_EQ(calls("storage/file/upload/start"), 1);
  EXPECT_FALSE(progress.kept);
}

TEST_F(AttributeUploads, AnUploadThatTheServerForgotBeginsAnew) {
  const auto file = make_file("f", 6 * mib);
  on_shown = [this](std::uint64_t done) {
    if (done == 5 * mib) sandbox.control(R"({"lose_sessions": true})");
  };
  EXPECT_EQ(send_file(file).kind, Kind::start_over);
  on_shown = {};
  EXPECT_EQ(send_file(file).kind, Kind::done);
  EXPECT_EQ(stored_differs(short_id + "/data/file.bin", file, octets), "");
}

TEST_F(AttributeUploads, ABareNotFoundWhileTheServerRestartsIsFollowedByAnotherTry) {
  for (const auto size : {std::size_t{10}, static_cast<std::size_t>(6 * mib)}) {
    const auto file = make_file("f", size);
    fault(R"("path": "/api/leaderboard/v1/attributes/storage", "status": 404, "times": 1)");
    const auto how = send_file(file);
    EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
    EXPECT_EQ(stored_differs(short_id + "/data/file.bin", file, octets), "");
  }
  fault(R"("path": "/api/leaderboard/v1/attributes/storage", "status": 404)");
  const auto how = send_file(make_file("f", 10));
  ASSERT_EQ(how.kind, Kind::server) << "there are no such calls";
  EXPECT_EQ(how.failure.value().code, "http_404");
}

TEST_F(AttributeUploads, ABareNotFoundForTheirContainerSaysNothingOfThem) {
  ASSERT_EQ(send_file(make_file("f", 10)).kind, Kind::done);
  fault(R"("path": "/api/leaderboard/", "status": 404)");
  const auto how = send_file(make_file("g", 10));
  ASSERT_EQ(how.kind, Kind::server) << shown_outcome(how);
  EXPECT_EQ(how.failure.value().kind, Failure::Kind::forbidden) << "it waits";
  EXPECT_EQ(how.failure.value().code, "container_not_looked_up");
}

TEST_F(AttributeUploads, ErrorsInsideOfA200AreRefusals) {
  sandbox.control(R"({"reject": {"path": "data/*", "code": "FIELD_PATH_INVALID"}})");
  for (const std::int64_t size : {std::int64_t{10}, 6 * mib}) {
    const auto how = send_file(make_file("f", static_cast<std::size_t>(size)));
    EXPECT_EQ(how.kind, Kind::refused) << shown_outcome(how);
    EXPECT_NE(how.message.find("data/file"), std::string::npos) << how.message;
  }
  const auto how = send(set_of({{"a", make_file("a", 10)}, {"b", make_file("b", 10)}}));
  EXPECT_EQ(how.kind, Kind::refused) << shown_outcome(how);
}

TEST_F(AttributeUploads, ReadOnlyModeIsTheServersAnswer) {
  sandbox.control(R"({"workspace": "ml-team", "mode": "read_only"})");
  const auto how = send_file(make_file("f", 10));
  ASSERT_EQ(how.kind, Kind::server);
  EXPECT_EQ(how.failure.value().kind, Failure::Kind::read_only);
}

TEST_F(AttributeUploads, ASetOfSmallFilesGoesAsOneArchive) {
  const auto long_name = std::string(90, 'd') + "/" + std::string(90, 'f') + ".txt";
  const auto a = make_file("a", 1), b = make_file("b", 70'000), c = make_file("c", 512), empty = make_file("e", 0);
  const auto how = send(set_of({{"a.txt", a}, {long_name, b}, {"sub/\xC3\xA4", c}, {"empty", empty}}));
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(calls("uploadFileSetTar"), 1);
  EXPECT_EQ(shown, 70'513u);
  const auto at = short_id + "/data/file/";
  EXPECT_EQ(stored_differs(at + "a.txt", a, octets), "");
  EXPECT_EQ(stored_differs(at + long_name, b, octets), "");
  EXPECT_EQ(stored_differs(at + "sub/\xC3\xA4", c, octets), "");
  EXPECT_EQ(stored_differs(at + "empty", empty, octets), "");
}

TEST_F(AttributeUploads, ASetOfManyBytesGoesInArchivesAndLargeFilesAlone) {
  const auto a = make_file("a", 3 * mib), b = make_file("b", 3 * mib), large = make_file("large", 6 * mib);
  auto upload = set_of({{"a", a}, {"b", b}, {"large", large}});
  fault(R"("path": "/api/leaderboard/v1/attributes/storage", "status": 503, "times": 1)");
  auto how = send(upload);
  EXPECT_EQ(how.kind, Kind::server) << shown_outcome(how);
  how = send(upload);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(calls("uploadFileSetTar"), 2);
  EXPECT_EQ(calls("storage/fileset/upload/finish"), 1);
  EXPECT_EQ(shown, 12u * mib);
  for (const auto& [name, file] : {std::pair{"a", a}, {"b", b}, {"large", large}})
    EXPECT_EQ(stored_differs(short_id + "/data/file/" + name, file, octets), "") << name;
}

TEST_F(AttributeUploads, ALargeFileOfASetGoesOnWhereItWas) {
  const auto a = make_file("a", 10), first = make_file("first", 6 * mib), large = make_file("large", 12 * mib);
  const auto upload = set_of({{"a", a}, {"first", first}, {"large", large}});
  on_shown = [this, struck = false](std::uint64_t done) mutable {
    if (struck || done < 6 * mib + 5 * mib + 1) return;
    struck = true;
    fault(R"("path": "/api/leaderboard/v1/attributes/storage/fileset/upload/part", "status": 503, "times": 1)");
  };
  auto how = send(upload);
  ASSERT_EQ(how.kind, Kind::server) << shown_outcome(how);
  restart_server();
  how = send(upload);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 7u * mib + 10);
  EXPECT_EQ(shown, 18u * mib + 10);
  EXPECT_EQ(calls("storage/fileset/upload/start"), 2);
  for (const auto& [name, file] : {std::pair{"a", a}, {"first", first}, {"large", large}})
    EXPECT_EQ(stored_differs(short_id + "/data/file/" + name, file, octets), "") << name;
  EXPECT_FALSE(progress.kept);
}

TEST_F(AttributeUploads, ALargeFileOfASetThatTheServerForgotBeginsAnew) {
  const auto large = make_file("large", 12 * mib);
  const auto upload = set_of({{"large", large}});
  on_shown = [this](std::uint64_t done) {
    if (done == 5 * mib) sandbox.control(R"({"lose_sessions": true})");
  };
  EXPECT_EQ(send(upload).kind, Kind::start_over);
  on_shown = {};
  const auto how = send(upload);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 12u * mib);
  EXPECT_EQ(stored_differs(short_id + "/data/file/large", large, octets), "");
}

TEST_F(AttributeUploads, ASetThatTakesThePlaceOfAnotherLeavesNothingOfIt) {
  const auto a = make_file("a", 10), large = make_file("large", 6 * mib);
  ASSERT_EQ(send(set_of({{"old", a}})).kind, Kind::done);
  auto one_archive = set_of({{"new", a}});
  one_archive.reset = true;
  ASSERT_EQ(send(std::move(one_archive)).kind, Kind::done);
  EXPECT_EQ(files(), 1u);
  auto several = set_of({{"newer", a}, {"large", large}});
  several.reset = true;
  const auto how = send(std::move(several));
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(files(), 2u);
  EXPECT_EQ(stored_differs(short_id + "/data/file/newer", a, octets), "");
}

TEST_F(AttributeUploads, ASetThatChangesWhileItIsSentBeginsAnewAndArrivesAsItIsThen) {
  const auto a = make_file("a", 100'000), b = make_file("b", 100'000), gone = make_file("gone", 10);
  const auto upload = set_of({{"a", a}, {"b", b}, {"gone", gone}});
  on_shown = [&](std::uint64_t) {
    std::ofstream(b.path, std::ios::app) << "more";
    std::filesystem::remove(gone.path);
  };
  auto how = send(upload);
  EXPECT_EQ(how.kind, Kind::later) << shown_outcome(how);
  EXPECT_EQ(how.code, "file_set_changed");
  EXPECT_EQ(files(), 0u);
  on_shown = {};
  how = send(upload);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(files(), 2u);
  EXPECT_EQ(stored_differs(short_id + "/data/file/b", b, octets), "");
}

TEST_F(AttributeUploads, ASetThatChangesEachTimeItIsSentIsGivenUp) {
  const auto a = make_file("a", 100'000), b = make_file("b", 100'000);
  on_shown = [&](std::uint64_t) { std::ofstream(b.path, std::ios::app) << "more"; };
  for (int time = 1; time < 5; ++time) {
    const auto how = send(set_of({{"a", a}, {"b", b}}));
    EXPECT_EQ(how.kind, Kind::later) << time << shown_outcome(how);
    EXPECT_EQ(how.retry_after, 5s * (1 << (time - 1)));
    restart_server();
  }
  const auto how = send(set_of({{"a", a}, {"b", b}}));
  EXPECT_EQ(how.kind, Kind::source) << shown_outcome(how);
  EXPECT_EQ(how.code, "file_set_changed");
}

TEST_F(AttributeUploads, ASetThatChangesEachTimeItIsHaltedIsGivenUp) {
  const auto a = make_file("a", 3 * mib), b = make_file("b", 3 * mib);
  progress.halted = true;
  UploadOutcome how;
  for (int time = 1; time <= 5; ++time) {
    how = send(set_of({{"a", a}, {"b", b}}));
    EXPECT_EQ(how.code, "upload_halted") << time << shown_outcome(how);
    std::ofstream(b.path, std::ios::app) << "more";
    how = send(set_of({{"a", a}, {"b", b}}));
    EXPECT_EQ(how.code, "file_set_changed") << time << shown_outcome(how);
  }
  EXPECT_EQ(calls("uploadFileSetTar"), 5);
  EXPECT_EQ(how.kind, Kind::source) << shown_outcome(how);
}

TEST_F(AttributeUploads, ASetOfWhichNothingWasSentMayChangeAsOftenAsItDoes) {
  const auto a = make_file("a", 10);
  fault(R"("path": "/api/leaderboard/v1/attributes", "status": 503)");
  for (int time = 1; time <= 8; ++time) {
    EXPECT_EQ(send(set_of({{"a", a}})).kind, Kind::server) << time;
    std::ofstream(a.path, std::ios::app) << "more";
  }
  sandbox.control(R"({"reset": true})");
  EXPECT_EQ(send(set_of({{"a", a}})).kind, Kind::done);
}

}  // namespace
}  // namespace neptune::server
