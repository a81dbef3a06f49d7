// Files: of run logs and handed in over the socket; whatever happens on the way, they arrive, or somebody is told why
// not.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include <array>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "tests/integration/box.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/samples.h"
#include "tests/integration/support/small_disk.h"
#include "tests/integration/support/sqlite.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::uint64_t mib = 1u << 20;

std::string quick(const std::string& uploads = "") {
  return "[read_only]\nprobe_interval = \"1s\"\nprobe_interval_max = \"2s\"\nrelease_ramp = \"200ms\"\n"
         "[queue]\nmin_free_disk = \"1MiB\"\n[uploads]\n" +
         uploads;
}

Box::Options box_with(const std::string& uploads) {
  Box::Options options;
  options.config = quick(uploads);
  return options;
}

std::string to_text(const json::value& value) {
  return std::string(value.as_string());
}

fs::path random_file(const fs::path& path, std::uint64_t size) {
  std::mt19937_64 random(size);
  std::ofstream out(path, std::ios::binary);
  std::string piece(64 << 10, '\0');
  for (std::uint64_t left = size; left > 0; left -= std::min<std::uint64_t>(left, piece.size())) {
    for (std::size_t i = 0; i < piece.size(); i += 8) {
      const auto value = random();
      std::copy_n(reinterpret_cast<const char*>(&value), 8, piece.data() + i);
    }
    out.write(piece.data(), static_cast<std::streamsize>(std::min<std::uint64_t>(left, piece.size())));
  }
  return path;
}

std::string sha256(const fs::path& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(("sha256sum < '" + path.string() + "'").c_str(), "r"),
                                                   ::pclose);
  std::array<char, 65> hex{};
  return pipe && std::fread(hex.data(), 1, 64, pipe.get()) == 64 ? std::string(hex.data()) : "unreadable";
}

/// What the server holds at an attribute of a run: its file, whose path leads to the bytes.
json::value field_of(const json::value& state, const std::string& run, const std::string& attribute) {
  const auto* found = state.at("runs").as_object().if_contains("ml-team/lab/" + run);
  if (!found) return nullptr;
  const auto* value = found->at("attrs").as_object().if_contains(attribute);
  return value ? *value : json::value(nullptr);
}

bool is_assigned(const json::value& state, const std::string& attribute) {
  return field_of(state, "r-1", attribute).is_object();
}

/// The SHA-256 of the file an attribute refers to.
std::string stored_sha(const json::value& state, const std::string& run, const std::string& attribute) {
  const auto field = field_of(state, run, attribute);
  if (!field.is_object()) return "no such field";
  const auto* file = state.at("files").as_object().if_contains("ml-team/lab/" + to_text(field.at("path")));
  return file ? to_text(file->at("sha256")) : "no such file";
}

void turn_read_only(Box& box) {
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "full"})");
}

void create_run(Box& box, const std::string& run) {
  EXPECT_EQ(box.hand_in(fmt::format(R"({{"kind":"run.create","project":"ml-team/lab","run":"{}"}})", run)).first, 202u);
}

std::string upload_json(const std::string& run, const std::string& attribute, const fs::path& file,
                        const std::string& more = "") {
  return fmt::format(R"({{"kind":"run.upload","project":"ml-team/lab","run":"{}","attribute":"{}","file":"{}"{}}})",
                     run, attribute, file.string(), more);
}

void hand_in(Box& box, const std::string& changes) {
  const auto [status, answer] = box.hand_in(changes);
  EXPECT_EQ(status, 202u) << json::serialize(answer);
}

void replace_in(const fs::path& path, const std::string& what, const std::string& with) {
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  text.replace(text.find(what), what.size(), with);
  std::ofstream(path) << text;
}

constexpr uid_t somebody = 65534;

/// As another user, who may connect; the answer's status.
unsigned hand_in_as(Box& box, uid_t uid, const std::string& changes) {
  unsigned status = 0;
  const auto connect = [&box, &status, &changes, uid] {
    // Of this thread alone, which glibc's call would not do.
    if (::syscall(SYS_setresuid, -1, uid, -1) == 0) status = box.hand_in(changes).first;
  };
  std::thread(connect).join();
  return status;
}

std::int64_t seen_by_stores(Box& box, const char* what) {
  return box.sandbox().state("summary=1").at("uploads").at(what).to_number<std::int64_t>();
}

TEST(UploadsOfRunLogs, TheSamplesThreeFilesArriveByteForByteAndTemporaryOnesAreGone) {
  Box box;
  copy_run_log_sample("basic", box.runs());
  std::map<std::string, std::string> hashes;
  for (const auto& entry : fs::recursive_directory_iterator(box.runs()))
    if (entry.is_regular_file()) hashes[entry.path().filename()] = sha256(entry.path());
  box.wait_synced();
  EXPECT_EQ(differs_from_sample(box, "basic"), "");
  const auto expected = read_json(test_data() / "run-logs/basic/expected.json").at("files").as_object();
  const auto files = box.sandbox().state().at("files").as_object();
  EXPECT_EQ(files.size(), expected.size());
  for (const auto& [path, size] : expected) {
    ASSERT_TRUE(files.contains(path)) << path;
    EXPECT_EQ(files.at(path).at("bytes").to_number<std::int64_t>(), size.to_number<std::int64_t>());
    EXPECT_EQ(to_text(files.at(path).at("sha256")), hashes[fs::path(std::string(path)).filename()]);
  }
  const auto log = run_logs_in(box.runs()).front();
  EXPECT_EQ(std::distance(fs::directory_iterator(log.parent_path()), {}), 1);
  EXPECT_TRUE(fs::exists(box.runs() / "weights.bin"));
  EXPECT_EQ(box.get("/v1/status").at("sources").at(0).at("uploads").to_number<int>(), 0);
}

TEST(UploadsOfRunLogs, TheEndOfALogIsToldOnceAndNamesWhatOfItWasRejected) {
  Box box;
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = "", .fork = {}});
  const auto file = random_file(box.dir() / "model.bin", 100);
  for (const auto* name : {"a", "b"})
    log.add_upload(file, fmt::format("r-1/model/none/{}", name), "application/octet-stream", false);
  fs::remove(file);
  log.close(false);
  ASSERT_TRUE(
      box.wait_status([](const json::value& s) { return s.at("totals").at("rejected").to_number<int>() == 2; }).first);
  ASSERT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "30s"}).status, 1);
  fs::remove_all(log.path().parent_path());
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("sources").as_array().size() == 1; }).first);
  const auto events = box.sync({"--json", "events"}).out;
  const std::string end = "all of it that was known is synced, but for 2 changes rejected";
  const auto told = events.find(end);
  ASSERT_NE(told, std::string::npos) << events;
  EXPECT_EQ(events.find("is gone", told), std::string::npos) << "and once";
}

TEST(UploadsOfRunLogs, AFileThatVanishedIsRejectedWithItsReasonAndArrivesWhenItIsBackAndTriedAgain) {
  Box box;
  const auto file = random_file(box.dir() / "model.bin", 10'000);
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = "", .fork = {}});
  log.add_upload(file, "r-1/model/none/model.bin", "application/octet-stream", false);
  log.add_upload(file, "r-1/model/none/other.bin", "application/octet-stream", false);
  const auto away = box.dir() / "away.bin";
  fs::rename(file, away);
  log.close(false);
  const auto rejected = [](const json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 2;
  };
  ASSERT_TRUE(box.wait_status(rejected).first);
  const auto list = box.get("/v1/rejected").at("rejected").as_array();
  EXPECT_EQ(to_text(list.at(0).at("code")), "file_missing");
  EXPECT_EQ(to_text(list.at(0).at("kind")), "run.upload");
  fs::rename(away, file);
  EXPECT_EQ(box.sync({"rejected", "retry", fmt::format("{}", list.at(0).at("id").to_number<int>())}).status, 0);
  const auto arrived = [](const json::value& state) { return state.at("files").as_object().size() == 1; };
  EXPECT_TRUE(box.sandbox().wait_for(arrived, 20s, "").first);
}

TEST(UploadsOfRunLogs, ATemporaryFileStaysWhileItsUploadFailsAndGoesOnlyOnceTheServerHasAllOfIt) {
  Box box(box_with(""));
  box.sandbox().control(
      fmt::format(R"({{"workspace": "ml-team", "multipart_part_size": {}, "multipart_threshold": {}}})", mib, mib));
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = "", .fork = {}});
  const auto file = random_file(log.path().parent_path() / "model.bin", 3 * mib);
  const auto hash = sha256(file);
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 503}})");
  log.add_upload(file, "r-1/model/none/model.bin", "application/octet-stream", true);
  log.close(false);
  const auto struck = [&box](int times) {
    return [&box, times](const json::value&) {
      EXPECT_EQ(box.sync({"flush"}).status, 0);
      return box.sandbox().state("summary=1").at("faults_struck").to_number<int>() >= times;
    };
  };
  EXPECT_TRUE(box.wait_status(struck(10)).first);
  EXPECT_EQ(sha256(file), hash);
  box.kill_daemon();
  box.start_daemon();
  EXPECT_TRUE(box.wait_status(struck(15)).first);
  EXPECT_EQ(sha256(file), hash);
  // What was on its way is in vain, too.
  box.stop_daemon();
  auto in_vain = seen_by_stores(box, "received_bytes");
  for (auto before = in_vain - 1; before != in_vain; std::this_thread::sleep_for(50ms))
    before = std::exchange(in_vain, seen_by_stores(box, "received_bytes"));
  // All of its parts are there now, and the server does not say that they are the file.
  box.sandbox().control(R"({"reset": true, "fault": {"path": "/api/storagebridge/v1/s3", "status": 503}})");
  box.start_daemon();
  EXPECT_TRUE(box.wait_status(struck(20)).first);
  EXPECT_EQ(seen_by_stores(box, "received_bytes") - in_vain, static_cast<std::int64_t>(3 * mib));
  EXPECT_EQ(sha256(file), hash);
  EXPECT_TRUE(box.sandbox().state().at("files").as_object().empty());
  box.sandbox().control(R"({"reset": true})");
  box.wait_synced();
  const auto files = box.sandbox().state().at("files").as_object();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(to_text(files.begin()->value().at("sha256")), hash);
  EXPECT_FALSE(fs::exists(file));
}

TEST(UploadsOfRunLogs, BehindOneThatTakesLongAreNotSentAgainAfterAKill) {
  Box box(box_with("max_bandwidth = \"2MiB\"\nchunk_size = \"512KiB\"\n"));
  box.sandbox().control(
      fmt::format(R"({{"workspace": "ml-team", "multipart_part_size": {}, "multipart_threshold": {}}})", mib / 2, mib));
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = "", .fork = {}});
  const auto large = random_file(box.dir() / "large.bin", 8 * mib);
  log.add_upload(large, "r-1/large/none/large.bin", "application/octet-stream", false);
  constexpr int small = 20;
  for (int i = 0; i < small; ++i)
    log.add_upload(random_file(box.dir() / fmt::format("f{}.bin", i), 1'000), fmt::format("r-1/f{}/none/f.bin", i),
                   "application/octet-stream", false);
  log.close(false);
  const auto on_record = [&box](const json::value&) {
    const auto memory = sqlite::open(box.dir() / "state" / "memory.sqlite3");
    return sqlite::integer(memory, "SELECT count(*) FROM uploads WHERE done") == small;
  };
  ASSERT_TRUE(box.wait_status(on_record).first);
  EXPECT_EQ(seen_by_stores(box, "stored_files"), small) << "the large one is on its way";
  box.kill_daemon();
  box.start_daemon();
  box.wait_synced();
  EXPECT_EQ(seen_by_stores(box, "stored_files"), small + 1);
  const auto files = box.sandbox().state().at("files").as_object();
  EXPECT_EQ(to_text(files.at("ml-team/lab/r-1/large/none/large.bin").at("sha256")), sha256(large));
}

TEST(Uploads, AreAssignedToTheirAttributeOnceTheyAreThere) {
  Box box(box_with(""));
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "plot.png", 70'000);
  const auto copied = random_file(box.dir() / "copied.txt", 3'000);
  const auto hash = sha256(copied);
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 503, "times": 2}})");
  hand_in(box, "[" + upload_json("r-1", "images/plot", file) + "," +
                   upload_json("r-1", "notes", copied, R"(,"copy":true,"mime_type":"text/x-notes")") + "]");
  fs::remove(copied);
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(stored_sha(state, "r-1", "images/plot"), sha256(file));
  EXPECT_EQ(stored_sha(state, "r-1", "notes"), hash);
  EXPECT_EQ(to_text(field_of(state, "r-1", "images/plot").at("mime")), "image/png");
  EXPECT_EQ(to_text(field_of(state, "r-1", "notes").at("mime")), "text/x-notes");
  EXPECT_TRUE(fs::is_empty(box.dir() / "state" / "files"));
}

TEST(Uploads, OfAnotherUserArriveFromACopyThatOnlyTheDaemonMayRead) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to hand in as somebody else";
  Box box(box_with(""));
  fs::permissions(box.dir(), fs::perms(0711));
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "theirs.bin", 20'000);
  ASSERT_EQ(::chown(file.c_str(), somebody, somebody), 0);
  fs::permissions(file, fs::perms(0600));
  EXPECT_EQ(hand_in_as(box, somebody, upload_json("r-1", "model", file, R"(,"copy":true)")), 202u);
  EXPECT_EQ(hand_in_as(box, somebody + 1, upload_json("r-1", "stolen", file, R"(,"copy":true)")), 403u);
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
  EXPECT_TRUE(fs::is_empty(box.dir() / "state" / "files"));
}

TEST(Uploads, AreAssignedAndTakeTheirCopyAlongThoughTheDiskHasNoRoomForMore) {
  const SmallDisk disk(32);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  auto options = box_with("");
  options.state_dir = disk.path() / "state";
  Box box(options);
  create_run(box, "r-1");
  box.wait_synced();
  turn_read_only(box);
  const auto file = random_file(box.dir() / "model.bin", 4 * mib);
  hand_in(box, upload_json("r-1", "model", file, R"(,"copy":true)"));
  const auto held = [](const json::value& status) { return status.at("totals").at("held").to_number<int>() == 1; };
  ASSERT_TRUE(box.wait_status(held).first);
  disk.fill();
  EXPECT_EQ(box.hand_in(upload_json("r-1", "more", file)).first, 507u);
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
  EXPECT_TRUE(fs::is_empty(disk.path() / "state" / "files"));
}

std::size_t copies_in(const Box& box) {
  const auto folder = box.dir() / "state" / "files";
  return fs::exists(folder) ? static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {})) : 0;
}

TEST(Uploads, ThatAreNotTakenLeaveNoCopy) {
  Box box(box_with(""));
  const auto file = random_file(box.dir() / "model.bin", 1'000);
  const auto copied = upload_json("r-1", "model", file, R"(,"copy":true)");
  EXPECT_EQ(box.hand_in("[" + copied + "," + upload_json("r-1", "other", box.dir() / "nothing") + "]").first, 400u);
  EXPECT_TRUE(fs::exists(box.dir() / "state" / "files"));
  EXPECT_EQ(copies_in(box), 0u);
}

TEST(Uploads, ThatComeAgainUnderTheirKeyNeedNeitherTheirFileNorAnotherCopy) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  turn_read_only(box);
  const auto file = random_file(box.dir() / "model.bin", 1'000);
  const auto hash = sha256(file);
  const auto change = upload_json("r-1", "model", file, R"(,"copy":true,"idempotency_key":"model-1")");
  const auto first = box.hand_in(change);
  fs::remove(file);
  const auto again = box.hand_in(change);
  EXPECT_EQ(again.first, 202u) << json::serialize(again.second);
  EXPECT_EQ(again.second.at("ids"), first.second.at("ids"));
  EXPECT_EQ(copies_in(box), 1u);
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), hash);
  EXPECT_EQ(copies_in(box), 0u);
}

TEST(Uploads, ThatComeTwiceAtOnceUnderOneKeyLeaveOneCopy) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  turn_read_only(box);
  const auto file = random_file(box.dir() / "model.bin", 1'000);
  const auto hash = sha256(file);
  const auto change = upload_json("r-1", "model", file, R"(,"copy":true,"idempotency_key":"model-1")");
  const auto [status, answer] = box.hand_in("[" + change + "," + change + "]");
  EXPECT_EQ(status, 202u) << json::serialize(answer);
  EXPECT_EQ(answer.at("ids").at(0), answer.at("ids").at(1));
  EXPECT_EQ(copies_in(box), 1u);
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), hash) << "it is the one that was taken that stayed";
  EXPECT_EQ(copies_in(box), 0u);
}

TEST(Uploads, ThatAreDiscardedTakeTheirCopyAlong) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 405}})");
  const auto file = random_file(box.dir() / "model.bin", 1'000);
  hand_in(box, upload_json("r-1", "model", file, R"(,"copy":true)"));
  const auto rejected = [](const json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 1;
  };
  ASSERT_TRUE(box.wait_status(rejected).first);
  EXPECT_EQ(copies_in(box), 1u) << "it may be tried again";
  EXPECT_EQ(box.sync({"rejected", "discard", "1"}).status, 0);
  EXPECT_EQ(copies_in(box), 0u);
}

TEST(Uploads, LoseNoCopyAtAStartThatRemovesThoseNobodyNeeds) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 405}})");
  const auto refused = random_file(box.dir() / "refused.bin", 1'000),
             waits = random_file(box.dir() / "waits.bin", 2'000);
  const auto hash = sha256(waits);
  hand_in(box, upload_json("r-1", "refused", refused, R"(,"copy":true)"));
  const auto rejected = [](const json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 1;
  };
  ASSERT_TRUE(box.wait_status(rejected).first);
  box.sandbox().control(R"([{"reset": true}, {"workspace": "ml-team", "mode": "read_only", "reason": "full"}])");
  hand_in(box, upload_json("r-1", "waits", waits, R"(,"copy":true)"));
  fs::remove(waits);
  box.kill_daemon();
  // What a request leaves whose daemon was killed before it was taken.
  std::ofstream(box.dir() / "state" / "files" / "0123456789abcdef-model.bin") << "half a copy";
  EXPECT_EQ(copies_in(box), 3u);
  box.start_daemon();
  EXPECT_EQ(copies_in(box), 2u);
  EXPECT_FALSE(fs::exists(box.dir() / "state" / "files" / "0123456789abcdef-model.bin"));
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  const auto assigned = [](const json::value& state) { return is_assigned(state, "waits"); };
  const auto [there, state] = box.sandbox().wait_for(assigned, 30s, "");
  EXPECT_TRUE(there);
  EXPECT_EQ(stored_sha(state, "r-1", "waits"), hash);
  EXPECT_EQ(copies_in(box), 1u);
}

/// As if what the daemon remembers had been a minute ago: longer than a server's search may lag behind.
void age_memory(Box& box) {
  box.kill_daemon();
  {
    const auto memory = sqlite::open(box.dir() / "state" / "memory.sqlite3");
    sqlite::exec(memory, "UPDATE sources SET synced_at_ms = synced_at_ms - 60000");
  }
  box.start_daemon();
}

/// What the streams say of why their changes wait.
std::string whys(Box& box) {
  std::string out;
  const auto answer = box.get("/v1/streams");
  for (const auto& stream : answer.at("streams").as_array())
    if (stream.at("why").is_string()) out += to_text(stream.at("why")) + "\n";
  return out;
}

int number_of_rejected(Box& box) {
  return box.get("/v1/status").at("totals").at("rejected").to_number<int>();
}

std::string removal_of_run(const std::string& more = "") {
  const auto change = [&more](const char* kind) {
    return fmt::format(R"({{"kind":"{}","project":"ml-team/lab","runs":["r-1"]{}}})", kind, more);
  };
  return "[" + change("run.trash") + "," + change("run.delete") + "]";
}

/// A run with a file that waits, as its workspace is full.
struct HeldUpload {
  Box box{box_with("")};
  fs::path file;
  explicit HeldUpload(const std::string& more = "") {
    create_run(box, "r-1");
    box.wait_synced();
    turn_read_only(box);
    file = random_file(box.dir() / "model.bin", 10'000);
    hand_in(box, upload_json("r-1", "model", file, more));
    const auto held = [](const json::value& status) { return status.at("totals").at("held").to_number<int>() == 1; };
    EXPECT_TRUE(box.wait_status(held).first);
  }
  std::pair<unsigned, json::value> remove_run(const std::string& more = "") {
    return box.hand_in(removal_of_run(more));
  }
  /// Nothing waits any more, and no store got anything; the one rejection. Without the pauses in between.
  json::value rejection() {
    const auto ended = [this](const json::value& status) {
      EXPECT_EQ(box.sync({"flush"}).status, 0);
      const auto& totals = status.at("totals");
      return totals.at("rejected").to_number<int>() == 1 && totals.at("pending").to_number<int>() +
                                                                    totals.at("held").to_number<int>() +
                                                                    totals.at("in_flight").to_number<int>() ==
                                                                0;
    };
    EXPECT_TRUE(box.wait_status(ended).first);
    EXPECT_EQ(seen_by_stores(box, "received_bytes"), 0);
    return box.get("/v1/rejected").at("rejected").at(0);
  }
};

TEST(UploadsOfADeletedRun, AreInTheWayOfItsDeletionWhileTheyAreHeld) {
  HeldUpload upload;
  const auto [status, answer] = upload.remove_run();
  EXPECT_EQ(status, 409u);
  EXPECT_EQ(to_text(answer.at("error").at("code")), "held_writes");
  upload.box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  upload.box.wait_synced();
  EXPECT_EQ(stored_sha(upload.box.sandbox().state(), "r-1", "model"), sha256(upload.file));
}

TEST(UploadsOfADeletedRun, AreDiscardedWithItWhereThatIsAskedForAndKeepTheirCopyUntilTheyAreForgotten) {
  HeldUpload upload(R"(,"copy":true)");
  EXPECT_EQ(upload.remove_run(R"(,"discard_pending":true)").first, 202u);
  const auto rejection = upload.rejection();
  EXPECT_EQ(to_text(rejection.at("code")), "discarded");
  EXPECT_NE(to_text(rejection.at("reason")).find("with run.trash"), std::string::npos);
  EXPECT_TRUE(upload.box.sandbox().state().at("runs").as_object().empty());
  EXPECT_EQ(copies_in(upload.box), 1u) << "it may be tried again";
  EXPECT_EQ(upload.box.sync({"rejected", "discard", std::to_string(rejection.at("id").as_int64())}).status, 0);
  EXPECT_EQ(copies_in(upload.box), 0u);
}

TEST(UploadsOfADeletedRun, GoBeforeTheDeletionThatWasHandedInAfterThem) {
  Box box(box_with("max_bandwidth = \"1MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  hand_in(box, upload_json("r-1", "model", random_file(box.dir() / "model.bin", mib)));
  hand_in(box, removal_of_run());
  const auto deleted = [](const json::value& state) { return state.at("runs").as_object().empty(); };
  ASSERT_TRUE(box.sandbox().wait_for(deleted, 30s, "").first);
  EXPECT_EQ(seen_by_stores(box, "stored_files"), 1);
  box.wait_synced();
  EXPECT_EQ(number_of_rejected(box), 0);
}

TEST(UploadsOfADeletedRun, AreNotOfTheRunThatIsMadeAnewUnderItsName) {
  Box box(box_with("max_bandwidth = \"1MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  hand_in(box, upload_json("r-1", "model", random_file(box.dir() / "model.bin", mib)));
  hand_in(box, removal_of_run());
  create_run(box, "r-1");
  hand_in(box, upload_json("r-1", "notes", random_file(box.dir() / "notes.bin", 1'000)));
  box.wait_synced();
  EXPECT_EQ(number_of_rejected(box), 0);
  const auto state = box.sandbox().state();
  EXPECT_EQ(seen_by_stores(box, "stored_files"), 2);
  EXPECT_FALSE(is_assigned(state, "model"));
  EXPECT_TRUE(is_assigned(state, "notes"));
}

TEST(UploadsOfADeletedRun, GoBeforeItsDeletionAlsoWhenTheDaemonIsKilledBeforeTheyAreAssigned) {
  Box box(box_with("max_bandwidth = \"1MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  hand_in(box, upload_json("r-1", "model", random_file(box.dir() / "model.bin", mib)));
  hand_in(box, removal_of_run());
  box.sandbox().control(R"({"fault": {"path": "/api/client/v1/ingest", "status": 503, "times": 1000000}})");
  const auto is_refused = [&box](const json::value&) { return whys(box).find("503") != std::string::npos; };
  ASSERT_TRUE(box.wait_status(is_refused).first) << whys(box);
  EXPECT_EQ(seen_by_stores(box, "stored_files"), 1);
  EXPECT_FALSE(box.sandbox().state().at("runs").as_object().empty());
  box.kill_daemon();
  box.start_daemon();
  box.sandbox().control(R"({"reset": true})");
  box.wait_synced();
  EXPECT_EQ(number_of_rejected(box), 0);
  EXPECT_TRUE(box.sandbox().state().at("runs").as_object().empty());
}

TEST(UploadsOfADeletedRun, ThatAreUnderWayAndNotHeldGoBeforeItAlsoWhereWhatIsHeldIsToBeDiscarded) {
  Box box(box_with("max_bandwidth = \"1MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  hand_in(box, upload_json("r-1", "model", random_file(box.dir() / "model.bin", mib)));
  hand_in(box, removal_of_run(R"(,"discard_pending":true)"));
  box.wait_synced();
  EXPECT_EQ(number_of_rejected(box), 0);
  EXPECT_EQ(seen_by_stores(box, "stored_files"), 1);
  EXPECT_TRUE(box.sandbox().state().at("runs").as_object().empty());
}

TEST(UploadsOfADeletedRun, AreRejectedWithAReasonWhenTheServerHasItNoMoreAndArriveOnceItIsThereAgain) {
  HeldUpload upload;
  auto& box = upload.box;
  age_memory(box);
  box.sandbox().control(R"([{"delete_run": "ml-team/lab/r-1"}, {"workspace": "ml-team", "mode": "normal"}])");
  const auto rejection = upload.rejection();
  EXPECT_EQ(to_text(rejection.at("code")), "run_not_found");
  EXPECT_NE(to_text(rejection.at("reason")).find("the server has no run r-1 in ml-team/lab"), std::string::npos);
  create_run(box, "r-1");
  EXPECT_EQ(box.sync({"rejected", "retry", std::to_string(rejection.at("id").as_int64())}).status, 0);
  const auto assigned = [](const json::value& state) { return is_assigned(state, "model"); };
  const auto [there, state] = box.sandbox().wait_for(assigned, 30s, "");
  EXPECT_TRUE(there);
  EXPECT_EQ(stored_sha(state, "r-1", "model"), sha256(upload.file));
}

TEST(UploadsOfADeletedRun, WithinMomentsOfItsLastWriteSayThatItIsGoneWhenTheyAreToBeAssignedAndAreOnceItIsThereAgain) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  box.sandbox().control(R"({"delete_run": "ml-team/lab/r-1"})");
  const auto file = random_file(box.dir() / "model.bin", 1'000);
  const auto id = box.hand_in(upload_json("r-1", "model", file)).second.at("ids").at(0).as_int64();
  const auto told = [&box, id](const json::value&) {
    EXPECT_EQ(box.sync({"flush"}).status, 0);
    return box.sync({"explain", std::to_string(id)}).out.find("the server does not know the run r-1") !=
           std::string::npos;
  };
  EXPECT_TRUE(box.wait_status(told).first) << box.sync({"explain", std::to_string(id)}).out << whys(box);
  EXPECT_NE(whys(box).find("the server does not know the run r-1"), std::string::npos);
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "1s"}).status, 4) << "it is not taken for synced";
  create_run(box, "r-1");
  const auto assigned = [&box](const json::value&) {
    EXPECT_EQ(box.sync({"flush"}).status, 0);
    return field_of(box.sandbox().state(), "r-1", "model").is_object();
  };
  EXPECT_TRUE(box.wait_status(assigned).first);
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
}

TEST(UploadsOfADeletedRun, OfARunLogAreRejectedWhenTheServerHasItNoMore) {
  Box box(box_with(""));
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "job", .experiment = {}, .fork = {}});
  log.append(1'000'000, {{"loss", 1.0}});
  const auto synced = [](const json::value& status) { return status.at("totals").at("synced").to_number<int>() == 2; };
  ASSERT_TRUE(box.wait_status(synced).first);
  box.sandbox().control(R"({"delete_run": "ml-team/lab/job"})");
  age_memory(box);
  log.add_upload(random_file(box.dir() / "model.bin", 1'000), "files/model.bin", "application/octet-stream", false);
  log.close(true);
  const auto rejected = [](const json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 1;
  };
  EXPECT_TRUE(box.wait_status(rejected, 40s).first);
  EXPECT_EQ(to_text(box.get("/v1/rejected").at("rejected").at(0).at("code")), "run_not_found");
  EXPECT_EQ(seen_by_stores(box, "received_bytes"), 0);
}

/// A copied file on its way over a slow link, as a pending or as a rejected change that is tried again.
struct SlowUpload {
  Box box{box_with("")};
  fs::path file;

  SlowUpload() {
    // In pieces that the sockets on the way do not swallow whole.
    box.sandbox().control(fmt::format(
        R"({{"workspace": "ml-team", "multipart_part_size": {}, "multipart_threshold": {}}})", mib / 2, mib));
    create_run(box, "r-1");
    box.wait_synced();
    file = random_file(box.dir() / "model.bin", 16 * mib);
  }
  void slow_down() {
    box.sandbox().control(R"([{"reset": true}, {"fault": {"path": "/storage/", "read_bytes_per_second": 200000}}])");
  }
  void hand_in_copy() { hand_in(box, upload_json("r-1", "model", file, R"(,"copy":true)")); }
  bool is_under_way() {
    return box
        .wait_status([](const json::value& status) {
          const auto& uploads = status.at("uploads").as_array();
          return !uploads.empty() && uploads[0].at("bytes_done").to_number<std::uint64_t>() > 0;
        })
        .first;
  }
  /// Within less time than a single part takes; then there is nothing of it but what the rejection keeps.
  void expect_cut_short() {
    const auto nothing_waits = [](const json::value& status) {
      const auto& totals = status.at("totals");
      return status.at("uploads").as_array().empty() && totals.at("pending").to_number<int>() +
                                                                totals.at("held").to_number<int>() +
                                                                totals.at("in_flight").to_number<int>() ==
                                                            0;
    };
    EXPECT_TRUE(box.wait_status(nothing_waits, 2s).first);
    const auto memory = sqlite::open(box.dir() / "state" / "memory.sqlite3");
    EXPECT_EQ(sqlite::integer(memory, "SELECT (SELECT count(*) FROM uploads) + (SELECT count(*) FROM parts)"), 0);
  }
  /// What the sockets held arrives; how much of the file did in the end.
  std::int64_t received_in_the_end() {
    box.sandbox().control(R"({"reset": true})");
    auto received = seen_by_stores(box, "received_bytes");
    for (auto before = received - 1; before != received; std::this_thread::sleep_for(300ms))
      before = std::exchange(received, seen_by_stores(box, "received_bytes"));
    return received;
  }
};

TEST(UploadsThatAreDiscarded, AreCutShortWhereTheyAreUnderWayAndArriveWhenTheyAreTriedAgainAfterAll) {
  SlowUpload upload;
  auto& box = upload.box;
  upload.slow_down();
  upload.hand_in_copy();
  ASSERT_TRUE(upload.is_under_way());
  const auto ran = box.sync({"discard", "ml-team/lab", "--run", "r-1"});
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("1 change of run r-1"), std::string::npos) << ran.out;
  upload.expect_cut_short();
  EXPECT_EQ(to_text(box.get("/v1/rejected").at("rejected").at(0).at("code")), "discarded");
  EXPECT_LT(upload.received_in_the_end(), static_cast<std::int64_t>(8 * mib));
  EXPECT_TRUE(box.sandbox().state().at("files").as_object().empty());
  EXPECT_EQ(copies_in(box), 1u) << "it may be tried again";
  EXPECT_EQ(box.sync({"rejected", "retry", "1"}).status, 0);
  const auto assigned = [](const json::value& state) { return is_assigned(state, "model"); };
  const auto [there, state] = box.sandbox().wait_for(assigned, 30s, "");
  EXPECT_TRUE(there);
  EXPECT_EQ(stored_sha(state, "r-1", "model"), sha256(upload.file));
  EXPECT_EQ(copies_in(box), 0u);
}

TEST(UploadsThatAreDiscarded, AreThoseOfTheirBatchThatAreNotThereYet) {
  SlowUpload upload;
  auto& box = upload.box;
  upload.slow_down();
  const auto small = random_file(box.dir() / "small.bin", 1'000), last = random_file(box.dir() / "last.bin", 2 * mib);
  hand_in(box, "[" + upload_json("r-1", "model", upload.file) + "," + upload_json("r-1", "small", small) + "," +
                   upload_json("r-1", "last", last) + "]");
  const auto assigned = [](const json::value& state) { return is_assigned(state, "small"); };
  ASSERT_TRUE(box.sandbox().wait_for(assigned, 30s, "").first);
  ASSERT_TRUE(upload.is_under_way());
  EXPECT_EQ(box.sync({"discard", "ml-team/lab"}).status, 0);
  upload.expect_cut_short();
  const auto list = box.get("/v1/rejected").at("rejected");
  std::set<std::int64_t> rejected;
  for (const auto& each : list.as_array()) rejected.insert(each.at("position").as_int64());
  EXPECT_EQ(rejected, (std::set<std::int64_t>{2, 4})) << "the large ones, before and behind it";
  EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").to_number<int>(), 1 + 2)
      << "the small one, and its assignment";
}

TEST(UploadsThatAreDiscarded, WithARemovalOfTheirRunAreCutShortWhenTheirWorkspaceIsHeldMeanwhile) {
  SlowUpload upload;
  auto& box = upload.box;
  upload.slow_down();
  upload.hand_in_copy();
  ASSERT_TRUE(upload.is_under_way());
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  EXPECT_EQ(box.hand_in(removal_of_run()).first, 409u) << "it is held once its part is there";
  const auto [status, answer] =
      box.hand_in(R"({"kind":"run.trash","project":"ml-team/lab","runs":["r-1"],"discard_pending":true})");
  EXPECT_EQ(status, 202u) << json::serialize(answer);
  EXPECT_EQ(number_of_rejected(box), 1);
  const auto rejection = box.get("/v1/rejected").at("rejected").at(0);
  EXPECT_EQ(to_text(rejection.at("code")), "discarded");
  EXPECT_NE(to_text(rejection.at("reason")).find("with run.trash"), std::string::npos);
  EXPECT_TRUE(box.get("/v1/status").at("uploads").as_array().empty());
  EXPECT_LT(upload.received_in_the_end(), static_cast<std::int64_t>(8 * mib));
}

TEST(UploadsThatAreDiscarded, WhileTheyAreTriedAgainAreCutShortAndTakeTheirCopyAlong) {
  SlowUpload upload;
  auto& box = upload.box;
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 405}})");
  upload.hand_in_copy();
  const auto rejected = [](const json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 1;
  };
  ASSERT_TRUE(box.wait_status(rejected).first);
  upload.slow_down();
  ASSERT_EQ(box.sync({"rejected", "retry", "1"}).status, 0);
  ASSERT_TRUE(upload.is_under_way());
  EXPECT_EQ(box.sync({"rejected", "discard", "1"}).status, 0);
  upload.expect_cut_short();
  EXPECT_EQ(copies_in(box), 0u);
  EXPECT_LT(upload.received_in_the_end(), static_cast<std::int64_t>(8 * mib));
  EXPECT_TRUE(box.sandbox().state().at("files").as_object().empty());
}

TEST(Uploads, FindTheirCopyWhereTheStateDirectoryWasMovedTo) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  turn_read_only(box);
  const auto file = random_file(box.dir() / "model.bin", 20'000);
  hand_in(box, upload_json("r-1", "model", file, R"(,"copy":true)"));
  EXPECT_EQ(box.stop_daemon(), 0);
  // To another disk, as far as the files can tell.
  fs::copy(box.dir() / "state", box.dir() / "elsewhere", fs::copy_options::recursive);
  fs::remove_all(box.dir() / "state");
  replace_in(box.dir() / "config.toml", "/state\"", "/elsewhere\"");
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box.start_daemon();
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
  EXPECT_TRUE(fs::is_empty(box.dir() / "elsewhere" / "files"));
}

TEST(Uploads, AreNotTakenForHeldWhenAnObjectStoreForbidsThem) {
  Box box(box_with(""));
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "model.bin", 10'000);
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 403, "times": 2}})");
  hand_in(box, upload_json("r-1", "model", file));
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(state.at("faults_struck").to_number<int>(), 2);
  EXPECT_EQ(stored_sha(state, "r-1", "model"), sha256(file));
  const auto events = box.sync({"--json", "events"});
  EXPECT_NE(events.out.find("upload_done"), std::string::npos) << events.out;
  EXPECT_EQ(events.out.find("mode_changed"), std::string::npos) << events.out;
}

TEST(Uploads, AreWaitedForUntilTheirFileIsAssigned) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  box.sandbox().control(R"({"fault": {"path": "/api/client/v1/ingest", "delay_ms": 1000}})");
  const auto file = random_file(box.dir() / "model.bin", 1'000);
  const auto ran = box.sync({"run", "upload", "r-1", "model", file, "--project", "ml-team/lab", "--wait"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
}

/// What neptune-sync writes to a terminal of 100 columns, and its exit status.
std::pair<int, std::string> on_a_terminal(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  winsize size{};
  size.ws_row = 25;
  size.ws_col = 100;
  int terminal = -1;
  const auto child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    ::setenv("TERM", "xterm", 1);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  std::string shown;
  std::array<char, 4096> piece{};
  for (ssize_t got = 0; (got = ::read(terminal, piece.data(), piece.size())) > 0;)
    shown.append(piece.data(), static_cast<std::size_t>(got));
  int status = -1;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, shown};
}

TEST(Uploads, AreShownOnATerminalWithHowFarTheyAreAtWhatRateAndHowLongTheRestTakes) {
  Box box(box_with("max_bandwidth = \"2MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  const auto file = random_file(box.dir() / "model.bin", 8 * mib);
  const auto [status, shown] =
      on_a_terminal({binary("neptune-sync"), "--socket", box.socket(), "run", "upload", "r-1", "model", file,
                     "--project", "ml-team/lab", "--copy", "--wait", "--timeout", "60s"});
  EXPECT_EQ(status, 0) << shown;
  EXPECT_NE(shown.find(" MiB of 8.0 MiB, "), std::string::npos) << shown;
  EXPECT_NE(shown.find(" MiB/s, "), std::string::npos) << shown;
  EXPECT_NE(shown.find("s left"), std::string::npos) << shown;
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
  EXPECT_EQ(copies_in(box), 0u);
}

TEST(Uploads, AreOfTheFileThatThePathLeadsToThroughLinks) {
  Box box(box_with(""));
  create_run(box, "r-1");
  fs::create_directories(box.dir() / "real/deep");
  fs::create_directory_symlink(box.dir() / "real/deep", box.dir() / "way");
  const auto meant = random_file(box.dir() / "real/model.bin", 1'000);
  random_file(box.dir() / "model.bin", 2'000);  // where the words alone would lead
  const auto ran = box.sync({"run", "upload", "r-1", "model", box.dir() / "way/../model.bin", "--project",
                             "ml-team/lab", "--wait", "--timeout", "30s"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(meant));
}

TEST(Uploads, OfAFileThatIsNotThereAreRefusedAtTheDoor) {
  Box box(box_with(""));
  const auto [status, answer] = box.hand_in(upload_json("r-1", "a", box.dir() / "nothing"));
  EXPECT_EQ(status, 400u);
  EXPECT_EQ(to_text(answer.at("error").at("code")), "file_missing");
  EXPECT_EQ(to_text(answer.at("error").at("field")), "file");
  const auto there = upload_json("r-1", "a", random_file(box.dir() / "model.bin", 1'000));
  const auto of_several =
      box.hand_in("[" + there + "," + there + "," + upload_json("r-1", "a", box.dir() / "nothing") + "]");
  EXPECT_EQ(to_text(of_several.second.at("error").at("field")), "2.file");
}

TEST(Uploads, OfAFileThatChangedSinceAreRejected) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  turn_read_only(box);
  const auto file = random_file(box.dir() / "model.bin", 10'000);
  hand_in(box, upload_json("r-1", "model", file));
  random_file(file, 10'001);
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  const auto rejected = [](const json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 1;
  };
  EXPECT_TRUE(box.wait_status(rejected).first);
  EXPECT_EQ(to_text(box.get("/v1/rejected").at("rejected").at(0).at("code")), "file_changed");
}

TEST(Uploads, OfAFileThatWasRewrittenAtItsOldSizeOverARestartAreRejected) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  turn_read_only(box);
  const auto file = random_file(box.dir() / "model.bin", 10'000);
  hand_in(box, upload_json("r-1", "model", file));
  box.kill_daemon();
  std::ofstream(file) << std::string(10'000, 'x');
  box.start_daemon();
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  const auto rejected = [](const json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 1;
  };
  EXPECT_TRUE(box.wait_status(rejected).first);
  const auto rejection = box.get("/v1/rejected").at("rejected").at(0);
  EXPECT_EQ(to_text(rejection.at("code")), "file_changed");
  EXPECT_NE(to_text(rejection.at("reason")).find("upload it again"), std::string::npos);
  EXPECT_TRUE(box.sandbox().state().at("files").as_object().empty());
}

TEST(Uploads, OfAFileWhoseTimeWasSetBackAfterItWasRewrittenNeverArriveMixed) {
  Box box(box_with("max_bandwidth = \"4MiB\"\nchunk_size = \"1MiB\"\n"));
  box.sandbox().control(R"({"workspace": "ml-team", "storage_provider": "gcp"})");
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "model.bin", 8 * mib);
  const auto was = fs::last_write_time(file);
  hand_in(box, upload_json("r-1", "model", file));
  const auto under_way = [](const json::value& status) {
    const auto& uploads = status.at("uploads").as_array();
    return !uploads.empty() && uploads[0].at("bytes_done").to_number<std::uint64_t>() > 2 * mib;
  };
  ASSERT_TRUE(box.wait_status(under_way).first);
  box.kill_daemon();
  std::ofstream(file) << std::string(8 * mib, 'x');
  fs::last_write_time(file, was);
  box.start_daemon();
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file)) << "all of it as it is now";
}

/// Of one attribute: a large file, then a small one; and a small one of another attribute.
struct TwoOfOneAttribute {
  fs::path older, newer, other;
  std::string changes;
  explicit TwoOfOneAttribute(Box& box)
      : older(random_file(box.dir() / "older.bin", 6 * mib)),
        newer(random_file(box.dir() / "newer.bin", 2'000)),
        other(random_file(box.dir() / "other.bin", 3'000)),
        changes("[" + upload_json("r-1", "model", older) + "," + upload_json("r-1", "model", newer) + "," +
                upload_json("r-1", "other", other) + "]") {}
};

TEST(Uploads, OfOneAttributeAreAssignedInTheirOrderWhicheverIsThereFirst) {
  Box box(box_with("max_bandwidth = \"2MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  const TwoOfOneAttribute files(box);
  hand_in(box, files.changes);
  const auto other_is_assigned = [](const json::value& state) { return is_assigned(state, "other"); };
  const auto [there, state] = box.sandbox().wait_for(other_is_assigned, 30s, "");
  ASSERT_TRUE(there);
  EXPECT_EQ(state.at("files").as_object().size(), 2u) << "both small ones are there";
  EXPECT_FALSE(is_assigned(state, "model")) << "before the older one is there";
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(files.newer));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").to_number<int>(), 1 + 3 + 3) << "the older one was, too";
}

TEST(Uploads, OfOneAttributeKeepTheirOrderOverAKillThatFindsTheNewerOneThere) {
  Box box(box_with("max_bandwidth = \"2MiB\"\nchunk_size = \"1MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  const TwoOfOneAttribute files(box);
  hand_in(box, files.changes);
  const auto other_is_assigned = [](const json::value& state) { return is_assigned(state, "other"); };
  ASSERT_TRUE(box.sandbox().wait_for(other_is_assigned, 30s, "").first);
  box.kill_daemon();
  fs::remove(files.newer);  // it is not asked for again
  box.start_daemon();
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(field_of(state, "r-1", "model").at("size").to_number<int>(), 2'000);
  EXPECT_EQ(state.at("files").as_object().size(), 3u);
}

TEST(Uploads, OfOneAttributeDoNotWaitForOneThatIsRefused) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  turn_read_only(box);
  const TwoOfOneAttribute files(box);
  hand_in(box, files.changes);
  fs::remove(files.older);
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  const auto assigned = [](const json::value& state) { return is_assigned(state, "model"); };
  const auto [there, state] = box.sandbox().wait_for(assigned, 30s, "");
  ASSERT_TRUE(there);
  EXPECT_EQ(stored_sha(state, "r-1", "model"), sha256(files.newer));
  EXPECT_EQ(to_text(box.get("/v1/rejected").at("rejected").at(0).at("code")), "file_missing");
}

TEST(Uploads, AreNotGivenUpForTheOthersOfTheirBatchThatAreThereAlready) {
  Box box(box_with("max_bandwidth = \"8MiB\"\nchunk_size = \"256KiB\"\nmax_tries = 3\n"));
  box.sandbox().control(R"({"workspace": "ml-team", "storage_provider": "gcp"})");
  create_run(box, "r-1");
  box.wait_synced();
  const auto large = random_file(box.dir() / "large.bin", 24 * mib);
  const auto small = random_file(box.dir() / "small.bin", 1'000);
  hand_in(box, "[" + upload_json("r-1", "large", large) + "," + upload_json("r-1", "small", small) + "]");
  const auto small_is_there = [](const json::value& state) { return !state.at("files").as_object().empty(); };
  ASSERT_TRUE(box.sandbox().wait_for(small_is_there, 20s, "").first);
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 503}})");
  // More often than a file may fail while others get through: each time it is asked how far it is.
  const auto struck = [&box] { return box.sandbox().state("summary=1").at("faults_struck").to_number<int>(); };
  for (const auto until = std::chrono::steady_clock::now() + 60s;
       struck() < 6 && std::chrono::steady_clock::now() < until;)
    EXPECT_EQ(box.sync({"flush"}).status, 0);
  EXPECT_GE(struck(), 6);
  box.sandbox().control(R"({"reset": true})");
  box.sync({"flush"});  // after so many failures it would wait for long
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "large"), sha256(large));
  const auto events = box.sync({"--json", "events"}).out;
  const std::string told = "small.bin of r-1 is on the server";
  EXPECT_NE(events.find(told), std::string::npos);
  EXPECT_EQ(events.find(told), events.rfind(told)) << "told once";
}

TEST(Uploads, AreSentNoMoreAtOnceThanMayBe) {
  Box box(box_with("max_concurrent = 2\nmax_bandwidth = \"2MiB\"\n"));
  std::string changes = "[";
  for (int i = 0; i < 12; ++i) {
    const auto run = fmt::format("r-{}", i % 3);
    const auto file = random_file(box.dir() / fmt::format("f{}.bin", i), mib / 2);
    if (i < 3) create_run(box, run);
    changes += (i > 0 ? "," : "") + upload_json(run, fmt::format("files/f{}", i), file);
  }
  hand_in(box, changes + "]");
  std::size_t most = 0;
  const auto all_there = [&most](const json::value& status) {
    most = std::max(most, status.at("uploads").as_array().size());
    const auto& totals = status.at("totals");
    return totals.at("synced").to_number<int>() == 3 + 12 + 12;  // creates, files, and what assigns them
  };
  EXPECT_TRUE(box.wait_status(all_there).first);
  EXPECT_EQ(most, 2u);
}

TEST(Uploads, OfOneWorkspaceDoNotWaitForAllThoseOfAnother) {
  auto options = box_with("max_concurrent = 1\nmax_bandwidth = \"1MiB\"\n");
  options.sandbox_args = {"--workspace", "ml-team:team", "--workspace", "other:team"};
  Box box(options);
  std::string changes = "[";
  for (int i = 0; i < 30; ++i) {
    const auto file = random_file(box.dir() / fmt::format("f{}.bin", i), mib / 4);
    changes += (i > 0 ? "," : "") + upload_json(fmt::format("r-{}", i % 2), fmt::format("files/f{}", i), file);
  }
  for (const char* run : {"r-0", "r-1"}) create_run(box, run);
  hand_in(box, R"({"kind":"run.create","project":"other/lab","run":"o-1"})");
  box.wait_synced();
  hand_in(box, changes + "]");
  const auto begun = [](const json::value& state) { return !state.at("files").as_object().empty(); };
  ASSERT_TRUE(box.sandbox().wait_for(begun, 20s, "").first);
  const auto file = random_file(box.dir() / "small.bin", 1000);
  hand_in(box, fmt::format(R"({{"kind":"run.upload","project":"other/lab","run":"o-1","attribute":"a","file":"{}"}})",
                           file.string()));
  const auto arrived = [](const json::value& state) {
    return std::ranges::any_of(state.at("files").as_object(),
                               [](const auto& each) { return each.key().starts_with("other/lab/"); });
  };
  const auto [there, state] = box.sandbox().wait_for(arrived, 30s, "");
  ASSERT_TRUE(there);
  EXPECT_LT(state.at("files").as_object().size(), 10u) << "the others of the first workspace";
}

TEST(Uploads, ThatTakeLongMakeRoomForAnotherWorkspaceAndGoOnWhereTheyWere) {
  auto options = box_with("max_concurrent = 2\nmax_bandwidth = \"2MiB\"\nchunk_size = \"512KiB\"\n");
  options.sandbox_args = {"--workspace", "ml-team:team", "--workspace", "other:team"};
  Box box(options);
  box.sandbox().control(
      fmt::format(R"({{"workspace": "ml-team", "multipart_part_size": {}, "multipart_threshold": {}}})", mib / 2, mib));
  create_run(box, "r-1");
  hand_in(box, R"({"kind":"run.create","project":"other/lab","run":"o-1"})");
  box.wait_synced();
  const std::array large{random_file(box.dir() / "f0.bin", 8 * mib), random_file(box.dir() / "f1.bin", 8 * mib + 1)};
  hand_in(box, "[" + upload_json("r-1", "f0", large[0]) + "," + upload_json("r-1", "f1", large[1]) + "]");
  const auto both_under_way = [](const json::value& status) { return status.at("uploads").as_array().size() == 2; };
  ASSERT_TRUE(box.wait_status(both_under_way).first);
  const auto small = random_file(box.dir() / "small.bin", 1000);
  hand_in(box, fmt::format(R"({{"kind":"run.upload","project":"other/lab","run":"o-1","attribute":"a","file":"{}"}})",
                           small.string()));
  const auto first = [](const json::value& state) { return !state.at("files").as_object().empty(); };
  const auto [there, state] = box.sandbox().wait_for(first, 30s, "");
  ASSERT_TRUE(there);
  EXPECT_TRUE(state.at("files").as_object().begin()->key().starts_with("other/lab/")) << "the first that is there";
  box.wait_synced();
  const auto end = box.sandbox().state();
  for (std::size_t i = 0; i < large.size(); ++i)
    EXPECT_EQ(stored_sha(end, "r-1", fmt::format("f{}", i)), sha256(large[i]));
  EXPECT_EQ(seen_by_stores(box, "received_bytes"), static_cast<std::int64_t>(2 * 8 * mib + 1 + 1000));
}

TEST(Uploads, AreSentAsManyAtOnceAndAsFastAsAReloadedConfigurationSays) {
  Box box(box_with("max_concurrent = 1\nmax_bandwidth = \"256KiB\"\n"));
  std::string changes = "[";
  for (int i = 0; i < 8; ++i) {
    const auto run = fmt::format("r-{}", i % 4);
    const auto file = random_file(box.dir() / fmt::format("f{}.bin", i), 3 * mib);
    if (i < 4) create_run(box, run);
    changes += (i > 0 ? "," : "") + upload_json(run, fmt::format("files/f{}", i), file);
  }
  box.wait_synced();
  hand_in(box, changes + "]");
  const auto at_once = [](std::size_t count) {
    return [count](const json::value& status) { return status.at("uploads").as_array().size() == count; };
  };
  ASSERT_TRUE(box.wait_status(at_once(1)).first);
  // Of one that takes long, events tell it meanwhile.
  const auto told = [&box](const json::value& status) {
    EXPECT_LE(status.at("uploads").as_array().size(), 1u);
    return box.sync({"--json", "events"}).out.find("upload_progress") != std::string::npos;
  };
  EXPECT_TRUE(box.wait_status(told).first);
  const auto told_of = [&box](std::string_view type) {
    std::istringstream lines(box.sync({"--json", "events"}).out);
    for (std::string line; std::getline(lines, line);)
      if (auto event = parse_json(line); event.at("type").as_string() == type) return event;
    return json::value();
  };
  const auto begun = told_of("upload_started").at("upload"), meanwhile = told_of("upload_progress").at("upload");
  EXPECT_EQ(begun.at("bytes_done").to_number<std::uint64_t>(), 0u);
  EXPECT_EQ(begun.at("bytes_total").to_number<std::uint64_t>(), 3 * mib);
  const auto done = meanwhile.at("bytes_done").to_number<double>(),
             rate = meanwhile.at("bytes_per_second").to_number<double>();
  EXPECT_GT(done, 0);
  EXPECT_LT(rate, 2 * 256 * 1024);
  EXPECT_NEAR(meanwhile.at("seconds_left").to_number<double>(), (3.0 * mib - done) / rate, 0.01);
  EXPECT_EQ(meanwhile.at("file"), begun.at("file"));
  replace_in(box.dir() / "config.toml", "max_concurrent = 1", "max_concurrent = 3");
  box.daemon().signal(SIGHUP);
  EXPECT_TRUE(box.wait_status(at_once(3)).first);
  replace_in(box.dir() / "config.toml", "256KiB", "64MiB");
  box.daemon().signal(SIGHUP);
  box.wait_synced(20s);
  const auto end = told_of("upload_done").at("upload");
  EXPECT_EQ(end.at("bytes_done"), end.at("bytes_total"));
}

/// Without the pauses in between.
std::string reason_when_flushed_till_rejected(Box& box, std::chrono::seconds timeout = 60s) {
  const auto rejected = [&box](const json::value& status) {
    if (status.at("totals").at("rejected").to_number<int>() == 1) return true;
    EXPECT_EQ(box.sync({"flush"}).status, 0);
    return false;
  };
  if (!box.wait_status(rejected, timeout).first) return "it is not rejected";
  return to_text(box.get("/v1/rejected").at("rejected").at(0).at("reason"));
}

TEST(Uploads, ArriveOverASlowLinkWhileMetadataFlowsBesideThemAndStatusTellsHowFarTheyAre) {
  Box box(box_with("chunk_size = \"512KiB\"\n"));
  // In pieces that the sockets on the way do not swallow whole.
  box.sandbox().control(fmt::format(R"({{"workspace": "ml-team", "multipart_part_size": {}, "multipart_threshold": {},
                       "fault": {{"path": "/storage/", "read_bytes_per_second": 1000000}}}})",
                                    mib / 2, mib));
  create_run(box, "r-1");
  box.wait_synced();
  const auto file = random_file(box.dir() / "model.bin", 4 * mib);
  hand_in(box, upload_json("r-1", "model", file));
  std::set<std::uint64_t> seen;
  bool told_rate = false;
  int logged = 0;
  const auto through = [&](const json::value& status) {
    const auto& uploads = status.at("uploads").as_array();
    if (uploads.empty()) return !seen.empty();
    seen.insert(uploads[0].at("bytes_done").to_number<std::uint64_t>());
    EXPECT_EQ(uploads[0].at("bytes_total").to_number<std::uint64_t>(), 4 * mib);
    told_rate |= uploads[0].as_object().contains("seconds_left") && uploads[0].at("seconds_left").is_number();
    // Of the same run: it arrives while the file is on its way.
    if (logged > 0) return false;
    ++logged;
    hand_in(box, R"({"kind":"run.update","project":"ml-team/lab","run":"r-1","assign":{"a":1}})");
    const auto arrived = [](const json::value& state) { return field_of(state, "r-1", "a").is_number(); };
    const auto [there, state] = box.sandbox().wait_for(arrived, 20s, "");
    EXPECT_TRUE(there);
    EXPECT_TRUE(state.at("files").as_object().empty()) << "the file is not there yet";
    return false;
  };
  EXPECT_TRUE(box.wait_status(through).first);
  EXPECT_GT(seen.size(), 3u) << "how far it is";
  EXPECT_TRUE(told_rate);
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
}

/// A store that takes next to nothing is waited for a second each time.
Box::Options impatient_box() {
  auto options = box_with("max_tries = 3\n");
  options.server = "request_timeout = \"1s\"\n";
  return options;
}

TEST(Uploads, WhoseLinkStallsSayWhyTheyWaitAndArriveWhenItMovesAgain) {
  Box box(impatient_box());
  create_run(box, "r-1");
  box.wait_synced();
  const auto file = random_file(box.dir() / "model.bin", 8 * mib);
  box.sandbox().control(R"({"fault": {"path": "/storage/", "read_bytes_per_second": 1}})");
  hand_in(box, upload_json("r-1", "model", file));
  const auto told = [&box](const json::value&) {
    return whys(box).find("took no more data for 1 s; tried again") != std::string::npos;
  };
  EXPECT_TRUE(box.wait_status(told).first) << whys(box);
  hand_in(box, R"({"kind":"run.update","project":"ml-team/lab","run":"r-1","assign":{"a":1}})");
  const auto arrived = [](const json::value& state) { return field_of(state, "r-1", "a").is_number(); };
  EXPECT_TRUE(box.sandbox().wait_for(arrived, 20s, "").first) << "metadata does not wait for it";
  box.sandbox().control(R"({"reset": true})");
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
}

TEST(Uploads, WhoseLinkStallsWhileOthersGetThroughAreGivenUpWithAReasonToActOn) {
  Box box(impatient_box());
  box.sandbox().control(R"([{"workspace": "ml-team", "storage_provider": "azure"},
                            {"fault": {"path": "/storage/azure", "read_bytes_per_second": 1}}])");
  create_run(box, "r-1");
  box.wait_synced();
  // Larger than a chunk: it has a session, and is not signed again.
  hand_in(box, upload_json("r-1", "model", random_file(box.dir() / "model.bin", 17 * mib)));
  const auto stalled = [&box](const json::value&) { return whys(box).find(" for 1 s; tried") != std::string::npos; };
  ASSERT_TRUE(box.wait_status(stalled).first) << whys(box);
  // What is signed from now on goes another way.
  box.sandbox().control(R"({"workspace": "ml-team", "storage_provider": "aws"})");
  hand_in(box, upload_json("r-1", "small", random_file(box.dir() / "small.bin", 1'000)));
  const auto reason = reason_when_flushed_till_rejected(box, 120s);
  EXPECT_NE(reason.find(" for 1 s. It was tried so often, and got no further each time, that it is "
                        "given up. Other files of the run get through: see what is different about this one, then try "
                        "it again with 'neptune-sync rejected retry'"),
            std::string::npos)
      << reason;
  const auto assigned = [](const json::value& state) { return is_assigned(state, "small"); };
  EXPECT_TRUE(box.sandbox().wait_for(assigned, 20s, "").first);
}

TEST(Uploads, WhoseUrlsAlwaysExpireBeforeTheirEndAreGivenUpAndArriveOnceTheyHoldLonger) {
  Box box(box_with("max_bandwidth = \"2MiB\"\nchunk_size = \"512KiB\"\n"));
  // Each time it is signed for another upload, which knows none of the parts that are there.
  box.sandbox().control(fmt::format(R"({{"workspace": "ml-team", "reuse_multipart": false, "url_lifetime_ms": 800,
                       "multipart_part_size": {}, "multipart_threshold": {}}})",
                                    mib / 2, mib));
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "model.bin", 8 * mib);
  hand_in(box, upload_json("r-1", "model", file));
  EXPECT_EQ(
      reason_when_flushed_till_rejected(box),
      "the object store does not take the signed URL (HTTP 403 AccessDenied). It was tried so often, and got no "
      "further each time, that it is given up. It was under way when its URLs expired, and the server let it begin "
      "anew each time: send it over a faster line (or with a higher max_bandwidth), or ask whoever runs the server "
      "for URLs that hold longer, then try it again with 'neptune-sync rejected retry'");
  EXPECT_TRUE(box.sandbox().state().at("files").as_object().empty());
  box.sandbox().control(R"({"url_lifetime_ms": 60000})");
  EXPECT_EQ(box.sync({"rejected", "retry", "1"}).status, 0);
  const auto assigned = [](const json::value& state) { return is_assigned(state, "model"); };
  const auto [there, state] = box.sandbox().wait_for(assigned, 30s, "");
  EXPECT_TRUE(there);
  EXPECT_EQ(stored_sha(state, "r-1", "model"), sha256(file));
}

TEST(Uploads, WhoseEtagsAreNeverThereAreGivenUp) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.sandbox().control(R"({"missing_etags": 1000})");
  hand_in(box, upload_json("r-1", "model", random_file(box.dir() / "model.bin", 1'000)));
  EXPECT_EQ(
      reason_when_flushed_till_rejected(box),
      "the object store confirms a piece of the file without an ETag. It was tried so often, and got no further each "
      "time, that it is given up. See whether a proxy on the way to the object store takes the ETag out, then try it "
      "again with 'neptune-sync rejected retry'");
}

TEST(Uploads, HoldUpNoOthersOfTheirRunWhenTheServerFailsToPutThemTogether) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  box.sandbox().control(R"({"fault": {"path": "/api/storagebridge/v1/s3", "status": 500}})");
  const auto large = random_file(box.dir() / "large.bin", 20 * mib);
  hand_in(box, upload_json("r-1", "large", large));
  const auto struck = [&box](const json::value&) {
    return box.sandbox().state("summary=1").at("faults_struck").to_number<int>() >= 2;
  };
  ASSERT_TRUE(box.wait_status(struck).first);
  std::string changes = "[";
  for (int i = 0; i < 5; ++i)
    changes += (i > 0 ? "," : "") +
               upload_json("r-1", fmt::format("f{}", i), random_file(box.dir() / fmt::format("f{}", i), 100));
  hand_in(box, changes + "]");
  const auto others = [](const json::value& state) {
    return std::ranges::all_of(std::array{"f0", "f1", "f2", "f3", "f4"},
                               [&state](const char* each) { return is_assigned(state, each); });
  };
  EXPECT_TRUE(box.sandbox().wait_for(others, 30s, "").first);
  EXPECT_EQ(
      reason_when_flushed_till_rejected(box),
      "the server failed (HTTP 500): a fault was set. It was tried so often, and got no further each time, that it "
      "is given up. Other files of the run get through: ask whoever runs the server what it has against this one, "
      "then try it again with 'neptune-sync rejected retry'");
  box.sandbox().control(R"({"reset": true})");
  EXPECT_EQ(box.sync({"rejected", "retry", "1"}).status, 0);
  const auto assigned = [](const json::value& state) { return is_assigned(state, "large"); };
  const auto [there, state] = box.sandbox().wait_for(assigned, 30s, "");
  EXPECT_TRUE(there);
  EXPECT_EQ(stored_sha(state, "r-1", "large"), sha256(large));
}

TEST(Uploads, OfFiveThousandSmallFilesAreSignedInBatchesAndHoldUpNoMetadata) {
  constexpr std::size_t count = 5000, a_body = 1000;
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  std::string changes;
  for (std::size_t i = 0; i < count; ++i) {
    const auto file = box.dir() / fmt::format("f{}.txt", i);
    std::ofstream(file) << "file " << i;
    changes += (i % a_body == 0 ? "[" : ",") + upload_json("r-1", fmt::format("files/f{}", i), file);
    if (i % a_body == a_body - 1) hand_in(box, std::exchange(changes, "") + "]");
  }
  create_run(box, "r-2");
  hand_in(box, R"({"kind":"run.update","project":"ml-team/lab","run":"r-2","assign":{"a":1}})");
  const auto metadata = [](const json::value& state) { return field_of(state, "r-2", "a").is_number(); };
  EXPECT_TRUE(box.sandbox().wait_for(metadata, 20s, "").first);
  const auto meanwhile = box.sandbox().state().at("files").as_object().size();
  EXPECT_LT(meanwhile, count);
  std::size_t most = 0;
  const auto through = [&most](const json::value& status) {
    most = std::max(most, status.at("uploads").as_array().size());
    return status.at("totals").at("synced").to_number<std::size_t>() == 3 + 2 * count;  // and what assigns them
  };
  EXPECT_TRUE(box.wait_status(through, 120s).first);
  EXPECT_LE(most, 4u) << "max_concurrent";
  EXPECT_EQ(box.sandbox().state().at("files").as_object().size(), count);
  EXPECT_EQ(seen_by_stores(box, "signing_requests"), 50);
}

TEST(Uploads, OfManyLargeFilesAreSignedWhenTheirTurnComesSoThatTheirUrlsNeedLittleMemory) {
  constexpr int count = 100;
  Box box(box_with("max_bandwidth = \"1MiB\"\n"));
  box.sandbox().control(fmt::format(R"({{"workspace": "ml-team", "multipart_part_size": {}}})", mib));
  create_run(box, "r-1");
  box.wait_synced();
  std::string changes = "[";
  for (int i = 0; i < count; ++i) {
    const auto file = box.dir() / fmt::format("f{}.bin", i);
    std::ofstream(file) << "nothing else";
    fs::resize_file(file, 3072 * mib);
    changes += (i > 0 ? "," : "") + upload_json("r-1", fmt::format("f{}", i), file);
  }
  hand_in(box, changes + "]");
  const auto under_way = [](const json::value& status) {
    const auto& uploads = status.at("uploads").as_array();
    return uploads.size() == 4 && std::ranges::all_of(uploads, [](const json::value& each) {
             return each.at("bytes_done").to_number<std::uint64_t>() > 0;
           });
  };
  EXPECT_TRUE(box.wait_status(under_way).first);
  EXPECT_EQ(seen_by_stores(box, "signed_files"), 4);
#ifndef __SANITIZE_ADDRESS__  // whose memory is not ours
  EXPECT_LT(box.peak_memory(), 64 * mib);
#endif
}

TEST(Uploads, WhoseSigningFailsAreSignedTogetherOnceTheServerIsWellAgain) {
  Box box(box_with(""));
  create_run(box, "r-1");
  box.wait_synced();
  box.sandbox().control(R"({"fault": {"path": "/api/storagebridge/v1/signedUrl", "status": 500}})");
  std::string changes = "[";
  for (int i = 0; i < 40; ++i)
    changes += (i > 0 ? "," : "") +
               upload_json("r-1", fmt::format("f{}", i), random_file(box.dir() / fmt::format("f{}", i), 100));
  hand_in(box, changes + "]");
  const auto failed_often = [&box](const json::value&) {
    box.sync({"flush"});
    return box.sandbox().state("summary=1").at("faults_struck").to_number<int>() >= 4;
  };
  ASSERT_TRUE(box.wait_status(failed_often).first);
  box.sandbox().control(R"({"reset": true})");
  box.wait_synced();
  EXPECT_EQ(seen_by_stores(box, "stored_files"), 40);
  EXPECT_EQ(seen_by_stores(box, "signing_requests"), 1) << "such a failure is no file's fault";
}

TEST(Uploads, OfLargeFilesThatTheServerFailsToSignHoldUpNoOthersOfTheirBatch) {
  Box box(box_with("max_concurrent = 1\nmax_bandwidth = \"4MiB\"\n"));
  create_run(box, "r-1");
  box.wait_synced();
  const auto first = random_file(box.dir() / "first.bin", 8 * mib);
  const auto large = random_file(box.dir() / "large.bin", 1);
  fs::resize_file(large, 65 * mib);
  const auto last = random_file(box.dir() / "last.bin", 1'000);
  hand_in(box, "[" + upload_json("r-1", "first", first) + "," + upload_json("r-1", "large", large) + "," +
                   upload_json("r-1", "last", last) + "]");
  const auto under_way = [](const json::value& status) { return status.at("uploads").as_array().size() == 1; };
  ASSERT_TRUE(box.wait_status(under_way).first);
  box.sandbox().control(R"({"fault": {"path": "/api/storagebridge/v1/signedUrl", "status": 500}})");
  const auto assigned = [](const json::value& state) { return is_assigned(state, "last"); };
  const auto [there, state] = box.sandbox().wait_for(assigned, 30s, "");
  EXPECT_TRUE(there);
  EXPECT_GE(state.at("faults_struck").to_number<int>(), 1);
}

class EachProvider : public ::testing::TestWithParam<const char*> {};

TEST_P(EachProvider, TakesAFileWholeThoughTheDaemonIsKilledFiveTimes) {
  constexpr std::uint64_t size = 64 * mib, chunk = 4 * mib;
  Box box(box_with("max_bandwidth = \"32MiB\"\nchunk_size = \"4MiB\"\n"));
  box.sandbox().control(fmt::format(
      R"({{"workspace": "ml-team", "storage_provider": "{}", "multipart_part_size": {}}})", GetParam(), chunk));
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "model.bin", size);
  hand_in(box, upload_json("r-1", "model", file));
  for (std::uint64_t kill = 1; kill <= 5; ++kill) {
    const auto far_enough = [kill](const json::value& status) {
      const auto& uploads = status.at("uploads").as_array();
      return !uploads.empty() && uploads[0].at("bytes_done").to_number<std::uint64_t>() > kill * 10 * mib;
    };
    ASSERT_TRUE(box.wait_status(far_enough).first) << kill;
#ifndef __SANITIZE_ADDRESS__  // whose memory is not ours
    EXPECT_LT(box.peak_memory(), 64 * mib);
#endif
    box.kill_daemon();
    box.start_daemon();
  }
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
  EXPECT_LE(seen_by_stores(box, "received_bytes"), static_cast<std::int64_t>(size + 5 * chunk + 64 * 1024));
  EXPECT_EQ(seen_by_stores(box, "tokens_seen"), 0);
}

TEST_P(EachProvider, TakesAFileThoughItsUrlsExpireAndItsPiecesFail) {
  Box box(box_with("max_bandwidth = \"4MiB\"\nchunk_size = \"1MiB\"\n"));
  box.sandbox().control(fmt::format(
      R"({{"workspace": "ml-team", "storage_provider": "{}", "multipart_part_size": {}, "multipart_threshold": {}}})",
      GetParam(), mib, 2 * mib));
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "model.bin", 8 * mib);
  box.sandbox().control(
      R"({"keep_less": 1, "missing_etags": 1, "fault": {"path": "/storage/", "method": "PUT", "status": 500, "times": 2}})");
  hand_in(box, upload_json("r-1", "model", file));
  const auto under_way = [](const json::value& status) {
    const auto& uploads = status.at("uploads").as_array();
    return !uploads.empty() && uploads[0].at("bytes_done").to_number<std::uint64_t>() > 2 * mib;
  };
  EXPECT_TRUE(box.wait_status(under_way).first);
  const auto signed_before = seen_by_stores(box, "signing_requests");
  box.sandbox().control(R"({"expire_urls": true})");
  box.sandbox().control(R"({"lose_sessions": true})");
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(stored_sha(state, "r-1", "model"), sha256(file));
  // All that was to go wrong did.
  EXPECT_EQ(state.at("faults_struck").to_number<int>(), 2);
  EXPECT_GT(seen_by_stores(box, "signing_requests"), signed_before);
  EXPECT_EQ(seen_by_stores(box, "keep_less"), GetParam() == std::string("gcp") ? 0 : 1);
  EXPECT_EQ(seen_by_stores(box, "missing_etags"), GetParam() == std::string("aws") ? 0 : 1);
}

TEST_P(EachProvider, TakesASlowFileThoughWhatWasSignedForItIsLostOverAndOver) {
  Box box(box_with("max_bandwidth = \"8MiB\"\nchunk_size = \"512KiB\"\n"));
  box.sandbox().control(fmt::format(R"({{"workspace": "ml-team", "storage_provider": "{}", "reuse_multipart": true,
                       "multipart_part_size": {}, "multipart_threshold": {}}})",
                                    GetParam(), mib / 2, mib));
  create_run(box, "r-1");
  const auto file = random_file(box.dir() / "model.bin", 8 * mib);
  hand_in(box, upload_json("r-1", "model", file));
  // More often than a file that gets no further may come for another URL, or begin anew.
  for (std::uint64_t times = 1; times <= 6; ++times) {
    const auto further = [times](const json::value& status) {
      const auto& uploads = status.at("uploads").as_array();
      return !uploads.empty() && uploads[0].at("bytes_done").to_number<std::uint64_t>() > times * mib;
    };
    ASSERT_TRUE(box.wait_status(further).first) << times;
    box.sandbox().control(GetParam() == std::string("gcp") ? R"({"lose_sessions": true})" : R"({"expire_urls": true})");
  }
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
}

TEST_P(EachProvider, HoldsAFileWhileTheWorkspaceIsReadOnlyForLongAndGoesOnByItself) {
  Box box(box_with("max_bandwidth = \"8MiB\"\nchunk_size = \"1MiB\"\n"));
  box.sandbox().control(fmt::format(
      R"({{"workspace": "ml-team", "storage_provider": "{}", "reuse_multipart": true, "multipart_part_size": {},
           "multipart_threshold": {}}})",
      GetParam(), mib, mib));
  create_run(box, "r-1");
  box.wait_synced();
  const auto file = random_file(box.dir() / "model.bin", 12 * mib);
  hand_in(box, upload_json("r-1", "model", file));
  const auto under_way = [](const json::value& status) {
    const auto& uploads = status.at("uploads").as_array();
    return !uploads.empty() && uploads[0].at("bytes_done").to_number<std::uint64_t>() > 2 * mib;
  };
  ASSERT_TRUE(box.wait_status(under_way).first);
  turn_read_only(box);
  hand_in(box, R"({"kind":"run.update","project":"ml-team/lab","run":"r-1","assign":{"a":1}})");
  const auto held = [](const json::value& status) {
    return status.at("totals").at("held").to_number<int>() == 2 && status.at("uploads").as_array().empty();
  };
  EXPECT_TRUE(box.wait_status(held).first);
  // So long that no signed URL is good any more, and the server is asked again and again.
  box.sandbox().control(R"({"expire_urls": true})");
  std::set<std::string> probes;
  const auto asked_often = [&probes](const json::value& status) {
    const auto& next = status.at("workspaces").at(0).at("next_probe_at");
    if (next.is_string()) probes.insert(to_text(next));
    return probes.size() > 4;
  };
  EXPECT_TRUE(box.wait_status(asked_often).first);
  EXPECT_TRUE(held(box.get("/v1/status")));
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box.wait_synced();
  EXPECT_EQ(stored_sha(box.sandbox().state(), "r-1", "model"), sha256(file));
  // What was there already was not sent again.
  EXPECT_LT(seen_by_stores(box, "received_bytes"), static_cast<std::int64_t>(15 * mib));
}

TEST_P(EachProvider, GivesAFileUpThatIsNeverTakenWithAReasonToActOn) {
  Box box(box_with(""));
  box.sandbox().control(fmt::format(R"({{"workspace": "ml-team", "storage_provider": "{}"}})", GetParam()));
  create_run(box, "r-1");
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 400}})");
  hand_in(box, upload_json("r-1", "model", random_file(box.dir() / "model.bin", 1'000)));
  EXPECT_EQ(
      reason_when_flushed_till_rejected(box),
      "the object store refuses a piece of the file (HTTP 400). It was tried so often, and got no further each time, "
      "that it is given up. Ask whoever runs the server what its object store has against it, then try it again with "
      "'neptune-sync rejected retry'");
  EXPECT_EQ(box.sandbox().state("summary=1").at("faults_struck").to_number<int>(), 8);
}

INSTANTIATE_TEST_SUITE_P(All, EachProvider, ::testing::Values("aws", "gcp", "azure"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace neptune::testing
