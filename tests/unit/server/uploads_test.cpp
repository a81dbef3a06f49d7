#include "server/uploads.h"

#include <fmt/format.h>

#include <fstream>

#include "server/impl/url.h"
#include "tests/unit/server/uploads_fixture.h"

namespace neptune::server {
namespace {

using namespace test;
using Kind = UploadOutcome::Kind;

constexpr std::int64_t mib = 1 << 20;

class Uploads : public WithSandbox {
 protected:
  void provider(const std::string& name) {
    sandbox.control(R"({"workspace": "ml-team", "storage_provider": ")" + name + "\"}");
  }
  void fault(const std::string& members) { sandbox.control("{\"fault\": {" + members + "}}"); }

  std::optional<SignedFile> sign(const std::string& path, const SourceFile& file) {
    std::vector<FileToSign> files{{lab, path, std::filesystem::file_size(file.path)}};
    auto answer = run(server->sign_uploads(std::move(files)));
    if (!answer) {
      ADD_FAILURE() << answer.error().message;
      return {};
    }
    return std::move(answer->at(0));
  }
  Upload to_send(const std::string& path, const SourceFile& file, std::optional<SignedFile> with) {
    Upload out;
    out.file = file;
    out.project = lab;
    out.path = path;
    out.content_type = "text/plain";
    out.signed_file = std::move(with);
    out.progress = &progress;
    out.on_progress = [this](std::uint64_t done) {
      shown = done;
      if (on_shown) on_shown(done);
    };
    return out;
  }
  UploadOutcome send(const std::string& path, const SourceFile& file, std::optional<SignedFile> with) {
    return run(server->upload(to_send(path, file, std::move(with)), settings));
  }
  UploadOutcome sign_and_send(const std::string& path, const SourceFile& file) {
    return send(path, file, sign(path, file));
  }

  const ProjectName lab{"ml-team", "lab"};
  std::function<void(std::uint64_t)> on_shown;
};

class ToEachStore : public Uploads, public ::testing::WithParamInterface<std::string> {
 protected:
  ToEachStore() { provider(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Stores, ToEachStore, ::testing::Values("aws", "gcp", "azure"),
                         [](const auto& each) { return each.param; });

TEST_P(ToEachStore, ALargeFileArrivesByteForByte) {
  const auto file = make_file("big", 5 * mib + 12345);
  const auto how = sign_and_send("a/big", file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(stored_differs("a/big", file, GetParam() == "aws" ? "" : "text/plain"), "");
  EXPECT_EQ(received() / mib, 5);
  EXPECT_EQ(how.sent, 5u * mib + 12345);
  EXPECT_EQ(shown, 5u * mib + 12345);
  EXPECT_EQ(uploads().at("tokens_seen").as_int64(), 0);
}

TEST_P(ToEachStore, AFileWhoseEndNobodyPutOnRecordIsFoundThereAndNotSentAgain) {
  const auto file = make_file("big", 5 * mib);
  ASSERT_EQ(sign_and_send("big", file).kind, Kind::done);
  ASSERT_TRUE(progress.kept);
  const auto before = uploads();
  restart_server();
  const auto how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 0u);
  EXPECT_EQ(how.file, *identify(file));
  EXPECT_LT(received() - before.at("received_bytes").as_int64(), 2048) << "a list of blocks";
  EXPECT_EQ(uploads().at("signing_requests"), before.at("signing_requests"));
}

TEST_P(ToEachStore, SmallAndEmptyFilesArriveWithTheirType) {
  for (const std::size_t size : {0u, 1u, 1000u}) {
    const auto file = make_file("small", size);
    const auto how = sign_and_send("small", file);
    EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
    EXPECT_EQ(stored_differs("small", file, "text/plain"), "") << size;
  }
}

TEST_P(ToEachStore, ExpiredUrlsAreSignedAgain) {
  const auto file = make_file("big", 3 * mib);
  const auto with = sign("big", file);
  sandbox.control(R"({"expire_urls": true})");
  EXPECT_EQ(send("big", file, with).kind, Kind::expired);
  const auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(stored_differs("big", file, GetParam() == "aws" ? "" : "text/plain"), "");
}

TEST_P(ToEachStore, WithoutAUrlNothingBeginsAndNobodyIsAsked) {
  const auto file = make_file("big", 3 * mib);
  EXPECT_EQ(send("big", file, {}).kind, Kind::expired);
  EXPECT_EQ(received(), 0);
}

TEST_P(ToEachStore, APieceThatFailsIsTriedLaterAndOnlyThatPiece) {
  const auto file = make_file("big", 5 * mib);
  const auto with = sign("big", file);
  settings.parallel_parts = 1;
  on_shown = [this, struck = false](std::uint64_t done) mutable {
    if (struck || done < 2 * mib + 1) return;
    struck = true;
    fault(R"("path": "/storage", "status": 503, "retry_after": 7, "times": 1, "method": "PUT")");
  };
  auto how = send("big", file, with);
  EXPECT_EQ(how.kind, Kind::later) << shown_outcome(how);
  EXPECT_EQ(how.code, "http_503");
  EXPECT_EQ(how.retry_after, 7s);
  ASSERT_TRUE(progress.kept);
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(stored_differs("big", file, GetParam() == "aws" ? "" : "text/plain"), "");
  EXPECT_LE(received(), 6 * mib + 2048);
}

TEST_P(ToEachStore, GoesOnWhereItWasAfterARestart) {
  const auto file = make_file("big", 8 * mib);
  auto started = start(server->upload(to_send("big", file, sign("big", file)), settings));
  run_until([&] { return shown > 5 * mib; });
  started->cancel.emit(asio::cancellation_type::terminal);
  run_until([&] { return started->ended; });
  EXPECT_TRUE(started->error);
  restart_server();
  ASSERT_TRUE(progress.kept);
  const auto how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(stored_differs("big", file, GetParam() == "aws" ? "" : "text/plain"), "");
  EXPECT_LT(how.sent, 8u * mib);
  EXPECT_LE(received(), static_cast<std::int64_t>((8 + settings.parallel_parts) * mib + 4096));
}

TEST_P(ToEachStore, EndsWithThePieceThatIsBeingSentWhenItMayNotGoOn) {
  const auto file = make_file("big", 5 * mib);
  settings.parallel_parts = 1;
  settings.chunk_size = mib;
  on_shown = [this](std::uint64_t done) { progress.halted |= done > 2 * mib; };
  auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::later) << shown_outcome(how);
  EXPECT_EQ(how.code, "upload_halted");
  EXPECT_EQ(how.sent, 3u * mib);
  ASSERT_TRUE(progress.kept);
  progress.halted = false;
  on_shown = {};
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 2u * mib);
  EXPECT_EQ(stored_differs("big", file, GetParam() == "aws" ? "" : "text/plain"), "");
}

TEST_P(ToEachStore, ASessionThatIsGoneBeginsAnew) {
  const auto file = make_file("big", 5 * mib);
  const auto with = sign("big", file);
  on_shown = [this, struck = false](std::uint64_t done) mutable {
    if (struck || done < 2 * mib + 1) return;
    struck = true;
    sandbox.control(R"({"lose_sessions": true})");
  };
  settings.parallel_parts = 1;
  auto how = send("big", file, with);
  EXPECT_EQ(how.kind, Kind::start_over) << shown_outcome(how);
  EXPECT_FALSE(progress.kept);
  how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(stored_differs("big", file, GetParam() == "aws" ? "" : "text/plain"), "");
}

TEST_P(ToEachStore, NeverSaysReadOnlyOfAStoresRefusal) {
  const auto file = make_file("f", 10);
  for (const std::string status : {"401", "402", "403", "422"}) {
    fault(R"("path": "/storage", "times": 1, "error_type": "WORKSPACE_IN_READ_ONLY_MODE", "status": )" + status);
    const auto how = sign_and_send("f", file);
    EXPECT_EQ(how.kind, Kind::expired) << shown_outcome(how);
    EXPECT_FALSE(how.failure);
  }
  for (const std::string status : {"307", "405", "412"}) {
    fault(R"("path": "/storage", "times": 1, "status": )" + status);
    EXPECT_EQ(sign_and_send("f", file).kind, Kind::refused) << status;
  }
}

TEST_P(ToEachStore, TellsAStoreThatWantsAPauseFromOneThatDoesNotTakeThePiece) {
  const auto file = make_file("f", 10);
  for (const std::string status : {"408", "429", "500", "503"}) {
    fault(R"("path": "/storage", "times": 1, "retry_after": 7, "status": )" + status);
    const auto how = sign_and_send("f", file);
    EXPECT_EQ(how.kind, Kind::later) << shown_outcome(how);
    EXPECT_EQ(how.retry_after, 7s);
  }
  fault(R"("path": "/storage", "times": 1, "status": 400)");
  const auto how = sign_and_send("f", file);
  EXPECT_EQ(how.kind, Kind::stalled) << shown_outcome(how);
  EXPECT_EQ(how.message.find("again"), std::string::npos) << "what comes of it is not its to say";
}

TEST_P(ToEachStore, AFileThatChangesMeanwhileIsNotStored) {
  const auto file = make_file("big", 5 * mib);
  on_shown = [&, struck = false](std::uint64_t done) mutable {
    if (struck || done < 2 * mib + 1) return;
    struck = true;
    std::ofstream(file.path, std::ios::app) << "more";
  };
  const auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::source) << shown_outcome(how);
  EXPECT_EQ(how.code, "file_changed");
  EXPECT_TRUE(sandbox.state().at("files").as_object().empty());
}

TEST_P(ToEachStore, ASmallFileThatVanishesBeforeItsEndIsNotStored) {
  const auto file = make_file("small", 100'000);
  on_shown = [&](std::uint64_t) { std::filesystem::remove(file.path); };
  const auto how = sign_and_send("small", file);
  EXPECT_EQ(how.kind, Kind::source) << shown_outcome(how);
  EXPECT_EQ(how.code, "file_missing");
  EXPECT_TRUE(sandbox.state().at("files").as_object().empty());
}

TEST_P(ToEachStore, TakesMemoryForPiecesOnly) {
  const SourceFile file{(folder / "sparse").string()};
  std::ofstream(file.path) << "x";
  std::filesystem::resize_file(file.path, 64 * mib);
  settings.chunk_size = 32 * mib;
  sandbox.control(R"({"multipart_part_size": 33554432})");
  ASSERT_EQ(sign_and_send("warm", make_file("warm", 2 * mib)).kind, Kind::done);
  [[maybe_unused]] const auto before = resident_kib();
  std::int64_t most = 0;
  on_shown = [&](std::uint64_t) { most = std::max(most, resident_kib()); };
  const auto how = sign_and_send("sparse", file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_GT(most, 0);
#ifndef __SANITIZE_ADDRESS__  // whose memory is not ours
  EXPECT_LT(most - before, 8 * 1024);
#endif
}

TEST_P(ToEachStore, ProgressThatCannotBeKeptEndsTheUpload) {
  const auto file = make_file("big", 3 * mib);
  progress.broken = true;
  const auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::later) << shown_outcome(how);
  EXPECT_EQ(how.code, "disk_full");
}

TEST_P(ToEachStore, AnotherFilesProgressIsNotUsed) {
  const auto file = make_file("big", 3 * mib);
  settings.parallel_parts = 1;
  fault(R"("path": "/storage", "status": 500, "times": 1, "method": "PUT")");
  EXPECT_EQ(sign_and_send("big", file).kind, Kind::later);
  ASSERT_TRUE(progress.kept);
  const auto other = make_file("other", 3 * mib, 2);
  EXPECT_EQ(sign_and_send("big", other).kind, Kind::done);
  EXPECT_EQ(stored_differs("big", other, GetParam() == "aws" ? "" : "text/plain"), "");
}

TEST_F(Uploads, AnAwsPartWithoutAnEtagIsSentAgain) {
  const auto file = make_file("big", 3 * mib);
  settings.chunk_size = 3 * mib;  // all parts at once
  sandbox.control(R"({"missing_etags": 1})");
  auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::stalled);
  EXPECT_EQ(how.code, "etag_missing");
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(stored_differs("big", file, ""), "");
  EXPECT_LE(how.sent, 1u * mib);
}

TEST_F(Uploads, AnAwsUploadIsNotCompletedWhenItMayNotGoOn) {
  const auto file = make_file("big", 3 * mib);
  settings.parallel_parts = 1;
  on_shown = [this](std::uint64_t done) { progress.halted |= done == 3 * mib; };
  auto how = sign_and_send("big", file);
  EXPECT_EQ(how.code, "upload_halted") << shown_outcome(how);
  EXPECT_TRUE(sandbox.state().at("files").as_object().empty());
  progress.halted = false;
  on_shown = {};
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 0u);
}

TEST_F(Uploads, PartsThatCameInWhileOneWasKeptInVainAreKept) {
  const auto file = make_file("big", 3 * mib);
  settings.chunk_size = 3 * mib;  // all parts at once
  asio::steady_timer until(loop, asio::steady_timer::time_point::max());
  progress.fails_when_over = &until;
  auto started = start(server->upload(to_send("big", file, sign("big", file)), settings));
  run_until([&] { return !progress.fails_when_over && received() == 3 * mib; });
  while (loop.run_one_for(20ms) > 0) {
  }  // the others are there, too, and stand in line
  until.cancel();
  run_until([&] { return started->ended; });
  auto how = started->value.value();
  EXPECT_EQ(how.code, "disk_full") << shown_outcome(how);
  ASSERT_TRUE(progress.kept);
  EXPECT_EQ(progress.kept->finished.size(), 2u);
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 1u * mib);
}

TEST_F(Uploads, AnAwsUploadGoesOnWithNewUrlsOfTheSameUpload) {
  sandbox.control(R"({"reuse_multipart": true})");
  const auto file = make_file("big", 5 * mib);
  settings.parallel_parts = 1;
  on_shown = [this](std::uint64_t done) {
    if (done == 2 * mib) sandbox.control(R"({"expire_urls": true})");
  };
  EXPECT_EQ(sign_and_send("big", file).kind, Kind::expired);
  on_shown = {};
  const auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_LE(how.sent, 4u * mib);
  EXPECT_EQ(stored_differs("big", file, ""), "");
}

TEST_F(Uploads, AnAwsUploadBeginsAnewWithThePartsOfTheUploadThatIsSignedInItsPlace) {
  const auto file = make_file("big", 5 * mib);
  settings.parallel_parts = 1;
  on_shown = [this](std::uint64_t done) {
    if (done == 2 * mib) sandbox.control(R"({"expire_urls": true})");
  };
  EXPECT_EQ(sign_and_send("big", file).kind, Kind::expired);
  on_shown = {};
  ASSERT_TRUE(progress.kept);
  const auto first = progress.kept->session;
  EXPECT_FALSE(progress.kept->finished.empty());
  // Another upload, and in parts of another size: no tag of the first may be told of it.
  sandbox.control(fmt::format(R"({{"multipart_part_size": {}}})", 2 * mib));
  const auto with = sign("big", file);
  ASSERT_TRUE(with && with->multipart);
  EXPECT_NE(with->multipart->upload_id, first);
  fault(R"("path": "/api/storagebridge/v1/s3", "status": 503, "times": 1)");
  EXPECT_EQ(send("big", file, with).kind, Kind::server);
  ASSERT_TRUE(progress.kept);
  EXPECT_EQ(progress.kept->session, with->multipart->upload_id);
  EXPECT_EQ(progress.kept->finished.size(), 3u);
  const auto how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 0u);
  EXPECT_EQ(stored_differs("big", file, ""), "");
}

TEST_F(Uploads, AGcpSessionIsResumedWhereTheServerIsAlsoBackwards) {
  provider("gcp");
  const auto file = make_file("big", 5 * mib);
  sandbox.control(R"({"keep_less": 3})");
  const auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_GT(how.sent, 5u * mib);
  EXPECT_EQ(stored_differs("big", file, "text/plain"), "");
}

TEST_F(Uploads, AGcpSessionThatIsClosedToUsIsReplaced) {
  provider("gcp");
  const auto file = make_file("big", 3 * mib);
  fault(R"("path": "/storage/gcp-session", "times": 1, "status": 403)");
  EXPECT_EQ(sign_and_send("big", file).kind, Kind::start_over);
  EXPECT_FALSE(progress.kept);
  EXPECT_EQ(sign_and_send("big", file).kind, Kind::done);
}

TEST_F(Uploads, ALostAnswerToTheCompletionIsNoHarm) {
  const auto file = make_file("big", 3 * mib);
  // A connection that was kept alive and is lost is replaced quietly, once.
  fault(R"("path": "/api/storagebridge/v1/s3", "times": 2, "drop": "before_answer")");
  auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::server) << shown_outcome(how);
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 0u);
  EXPECT_EQ(sandbox.state().at("workspaces").at("ml-team").at("storage_bytes").as_int64(), 3 * mib);
}

TEST_F(Uploads, ALostAnswerToAnAzureListIsNoHarm) {
  provider("azure");
  const auto file = make_file("big", 3 * mib);
  settings.parallel_parts = 1;
  on_shown = [this, struck = false](std::uint64_t done) mutable {
    if (std::exchange(struck, struck || done == 3 * mib) || done < 3 * mib) return;
    fault(R"("path": "/storage/azure", "times": 2, "drop": "before_answer")");
  };
  auto how = sign_and_send("big", file);
  EXPECT_EQ(how.kind, Kind::later) << shown_outcome(how);
  on_shown = {};
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 0u);
  EXPECT_EQ(stored_differs("big", file, "text/plain"), "");
}

TEST_F(Uploads, ReadOnlyModeShowsWhereTheNeptuneServerAnswers) {
  const auto file = make_file("big", 3 * mib);
  const auto with = sign("big", file);
  sandbox.control(R"({"workspace": "ml-team", "mode": "read_only"})");
  std::vector<FileToSign> files{{lab, "big", 1}};
  const auto refused = run(server->sign_uploads(std::move(files)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Failure::Kind::read_only);
  auto how = send("big", file, with);
  ASSERT_EQ(how.kind, Kind::server) << shown_outcome(how);
  EXPECT_EQ(how.failure.value().kind, Failure::Kind::read_only);
  sandbox.control(R"({"workspace": "ml-team", "mode": "normal"})");
  how = send("big", file, {});
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
  EXPECT_EQ(how.sent, 0u);
}

TEST_F(Uploads, ManyFilesAreSignedAtOnceInTheirOrder) {
  std::vector<FileToSign> files;
  for (int i = 0; i < 100; ++i) files.push_back({lab, "f" + std::to_string(i), 1});
  const auto answer = run(server->sign_uploads(files));
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->size(), 100u);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(answer->at(i).path, files[i].path);
  EXPECT_EQ(uploads().at("signing_requests").as_int64(), 1);
  files.push_back({lab, "one more", 1});
  EXPECT_EQ(run(server->sign_uploads(files)).error().kind, Failure::Kind::too_large);
}

TEST_F(Uploads, TogetherStayBelowTheBandwidth) {
  settings.bandwidth = std::make_shared<Bandwidth>(4 * mib);
  const auto file = make_file("big", 3 * mib);
  const auto with = sign("big", file);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(send("big", file, with).kind, Kind::done);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 400ms);
}

TEST_F(Uploads, ASlowStoreIsWaitedForAsLongAsItMoves) {
  fault(R"("path": "/storage", "read_bytes_per_second": 1000000)");
  const auto file = make_file("f", mib - 1);
  const auto how = sign_and_send("f", file);
  EXPECT_EQ(how.kind, Kind::done) << shown_outcome(how);
}

TEST_F(Uploads, AnUnreachableStoreIsTriedLater) {
  const auto file = make_file("f", 10);
  auto with = sign("f", file);
  with->url = "http://127.0.0.1:" + std::to_string(closed_port(loop.get_executor())) + "/f?secret=1";
  const auto how = send("f", file, with);
  EXPECT_EQ(how.kind, Kind::later);
  EXPECT_EQ(how.message.find("secret"), std::string::npos);
}

TEST_F(Uploads, ARedirectIsNotFollowed) {
  int elsewhere = 0;
  ScriptedPeer other(loop.get_executor(), [&](const Received&) {
    ++elsewhere;
    return http_reply(200, "", {"ETag: x"});
  });
  ScriptedPeer peer(loop.get_executor(), [&](const Received& request) {
    EXPECT_FALSE(request.headers.contains("authorization"));
    EXPECT_FALSE(request.headers.contains("x-neptune-api-token"));
    return http_reply(307, "", {"Location: " + other.url() + "/f"});
  });
  const auto file = make_file("f", 10);
  auto with = sign("f", file);
  with->url = peer.url() + "/f";
  EXPECT_EQ(send("f", file, with).kind, Kind::refused);
  EXPECT_EQ(peer.requests().size(), 1u);
  EXPECT_EQ(elsewhere, 0);
}

TEST_F(Uploads, AHeaderCannotBeSmuggledInByAContentType) {
  const auto file = make_file("f", 10);
  auto upload = to_send("f", file, sign("f", file));
  upload.content_type = "a/b\r\nX-Other: 1";
  EXPECT_EQ(run(server->upload(std::move(upload), settings)).kind, Kind::refused);
  EXPECT_EQ(received(), 0);
}

TEST_F(Uploads, AFileThatIsNotWhatItWasWhenItWasAskedForIsRefused) {
  const auto file = make_file("f", 10);
  auto upload = to_send("f", file, sign("f", file));
  upload.expected = *identify(file);
  make_file("f", 11);
  EXPECT_EQ(run(server->upload(std::move(upload), settings)).code, "file_changed");
}

}  // namespace
}  // namespace neptune::server
