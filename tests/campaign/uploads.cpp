#include "tests/campaign/uploads.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/box.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/run_log_writer.h"

namespace neptune::testing {

namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr std::uint64_t mib = 1u << 20;
constexpr std::uint64_t chunk = 16 * mib;

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  if (!pipe) throw std::runtime_error("cannot run " + command);
  std::string out;
  std::array<char, 256> piece{};
  while (const auto size = std::fread(piece.data(), 1, piece.size(), pipe.get())) out.append(piece.data(), size);
  return out;
}

std::uint64_t bytes_done(const json::value& status) {
  const auto& uploads = status.at("uploads").as_array();
  return uploads.empty() ? 0 : uploads[0].at("bytes_done").to_number<std::uint64_t>();
}

bool upload_through(const char* provider, std::uint64_t size) {
  Box box;
  box.sandbox().control(fmt::format(R"({{"workspace": "ml-team", "storage_provider": "{}"}})", provider));
  const auto file = (box.dir() / "model.bin").string();
  output_of(fmt::format("head -c {} /dev/urandom > '{}'", size, file));
  const auto wanted = output_of("sha256sum < '" + file + "'").substr(0, 64);
  const auto begun = std::chrono::steady_clock::now();
  box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})");
  box.hand_in(fmt::format(
      R"({{"kind": "run.upload", "project": "ml-team/lab", "run": "r-1", "attribute": "model", "file": "{}"}})", file));
  std::uint64_t memory = 0;
  for (std::uint64_t kill = 1; kill <= 5; ++kill) {
    const auto far_enough = [&](const json::value& status) { return bytes_done(status) > kill * size / 6; };
    if (!box.wait_status(far_enough, 30min).first) return false;
    memory = std::max(memory, box.peak_memory());
    box.kill_daemon();
    box.start_daemon();
  }
  const auto waited = box.sync({"wait", "--timeout", "1h"}, 1h);
  memory = std::max(memory, box.peak_memory());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  const auto state = box.sandbox().state();
  const auto& files = state.at("files").as_object();
  const auto arrived = files.empty() ? "" : std::string(files.begin()->value().at("sha256").as_string());
  const auto received = state.at("uploads").at("received_bytes").to_number<std::uint64_t>();
  fmt::print("uploads: {}: {} MiB in {:.0f} s over 5 kills, {:.1f} MiB sent twice, {:.1f} MiB resident\n", provider,
             size / mib, took.count(), static_cast<double>(received - std::min(received, size)) / mib,
             static_cast<double>(memory) / mib);
  std::fflush(stdout);
  return waited.status == 0 && arrived == wanted && received <= size + 5 * chunk + mib && memory < 64 * mib;
}

/// A job that logs all the time.
class Job {
 public:
  explicit Job(Box& box)
      : box_(box),
        log_({.directory = box.runs(), .project = "ml-team/lab", .run = "job", .experiment = {}, .fork = {}}) {
    // Until it is known to be left to the daemon.
    committed_.push_back(0);
    append();
    const auto followed = [](const json::value& status) { return status.at("totals").at("synced").as_int64() == 2; };
    box.wait_status(followed);
  }
  ~Job() { log_.close(true); }

  /// From the commits of so many operations to the arrival of their bodies: milliseconds, sorted.
  std::vector<double> latencies(std::size_t operations) {
    const auto first = committed_.size();
    for (std::size_t i = 0; i < operations; ++i) {
      append();
      std::this_thread::sleep_for(50ms);
    }
    const auto all = static_cast<std::int64_t>(committed_.size());
    const auto sent = [this, all](const json::value& state) {
      return arrivals(state).size() >= static_cast<std::size_t>(all);
    };
    const auto [there, state] = box_.sandbox().wait_for(sent, 60s, "summary=1&recent=1");
    std::vector<double> late;
    const auto arrived = arrivals(state);
    for (auto i = first; i < std::min(committed_.size(), arrived.size()); ++i)
      late.push_back(static_cast<double>(arrived[i] - committed_[i]) / 1000);
    std::ranges::sort(late);
    return late;
  }

 private:
  void append() {
    log_.append(committed_.size() * 1'000'000, {{"train/loss", 1.0 / static_cast<double>(committed_.size())}});
    committed_.push_back(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
  }
  /// When each of its operations arrived.
  static std::vector<std::int64_t> arrivals(const json::value& state) {
    std::vector<std::int64_t> out;
    for (const auto& request : state.at("recent").as_array())
      if (request.at("run").as_string() == "job")
        out.insert(out.end(), static_cast<std::size_t>(request.at("operations").as_int64()),
                   request.at("mono_us").as_int64());
    return out;
  }

  Box& box_;
  RunLogWriter log_;
  std::vector<std::int64_t> committed_;  // microseconds; the create first
};

double median(const std::vector<double>& sorted) {
  return sorted.empty() ? 0 : sorted[sorted.size() / 2];
}

}  // namespace

bool beside(int files) {
  constexpr std::size_t operations = 20;  // a second
  Box box;
  Job job(box);
  std::vector<double> alone, beside;
  for (int round = 0; round < 15; ++round) alone.push_back(median(job.latencies(operations)));
  // Made elsewhere: else the first files are taken while the last are still asked for.
  const auto made = box.dir() / "made";
  RunLogWriter log({.directory = made, .project = "ml-team/lab", .run = "files", .experiment = {}, .fork = {}});
  for (int i = 0; i < files; ++i) {
    const auto file = box.dir() / fmt::format("f{}.txt", i);
    std::ofstream(file) << "file " << i;
    log.add_upload(file, fmt::format("files/f{}/none/f.txt", i), "text/plain", false);
  }
  log.close(false);
  std::filesystem::rename(log.path().parent_path(), box.runs() / log.path().parent_path().filename());
  const auto stored = [&box] { return box.sandbox().state("summary=1").at("files").as_object().size(); };
  const auto begun = [](const json::value& state) { return !state.at("files").as_object().empty(); };
  box.sandbox().wait_for(begun, 60s, "summary=1");
  const auto started = std::chrono::steady_clock::now();
  while (stored() < static_cast<std::size_t>(files) && beside.size() < 100)
    beside.push_back(median(job.latencies(operations)));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  box.wait_status([](const json::value& status) { return status.at("uploads").as_array().empty(); }, 10min);
  const auto signing = box.sandbox().state("summary=1").at("uploads").at("signing_requests").to_number<int>();
  std::ranges::sort(alone);
  // Of the last round a part was alone again.
  if (beside.size() > 1) beside.pop_back();
  std::ranges::sort(beside);
  fmt::print(
      "beside: commit to body at the server, the median of each {} operations: alone {:.1f} ms; while {} files of "
      "another run are uploaded ({:.0f} s, {} requests to sign them) {:.1f} ms, at most {:.1f} ms\n",
      operations, median(alone), files, took.count(), signing, median(beside), beside.empty() ? 0 : beside.back());
  std::fflush(stdout);
  return stored() == static_cast<std::size_t>(files) && signing <= (files + 99) / 100 && !beside.empty() &&
         median(beside) <= 1.2 * median(alone);
}

bool uploads(std::uint64_t gib) {
  bool good = true;
  for (const auto* provider : {"aws", "gcp", "azure"}) good = upload_through(provider, gib * 1024 * mib) && good;
  return good;
}

}  // namespace neptune::testing
