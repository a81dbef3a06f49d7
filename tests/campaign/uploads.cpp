#include "tests/campaign/uploads.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
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

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// The same metadata over and over: a live log's commits and updates handed in over the socket, in turns. In a project
/// of its own, so that the sandbox is not kept busy by telling of the files.
class Job {
 public:
  explicit Job(Box& box)
      : box_(box), log_({.directory = box.runs(), .project = project, .run = "logged", .experiment = {}, .fork = {}}) {
    box_.hand_in(fmt::format(R"({{"kind": "run.create", "project": "{}", "run": "handed"}})", project));
    began_["logged"].push_back(0);
    began_["handed"].push_back(0);
    // Until the log is known to be left to the daemon.
    append();
    const auto followed = [](const json::value& status) { return status.at("totals").at("synced").as_int64() == 3; };
    box.wait_status(followed);
  }
  ~Job() { log_.close(true); }

  struct Latencies {
    double logged = 0, handed = 0;
  };
  /// From the end of so many commits, and from the handing in of so many updates, to the arrival of their bodies: the
  /// median in milliseconds.
  Latencies latencies(std::size_t operations) {
    const auto logged = began_["logged"].size(), handed = began_["handed"].size();
    for (std::size_t i = 0; i < operations; ++i) {
      append();
      std::this_thread::sleep_for(25ms);
      hand_in();
      std::this_thread::sleep_for(25ms);
    }
    const auto all_there = [this](const json::value& state) {
      return arrivals(state, "logged").size() >= began_["logged"].size() &&
             arrivals(state, "handed").size() >= began_["handed"].size();
    };
    const auto [there, state] =
        box_.sandbox().wait_for(all_there, 60s, fmt::format("summary=1&recent=1&project={}", project));
    return {late(state, "logged", logged), late(state, "handed", handed)};
  }

 private:
  static constexpr const char* project = "ml-team/job";

  void append() {
    auto& began = began_["logged"];
    log_.append(began.size() * 1'000'000, {{"train/loss", 1.0 / static_cast<double>(began.size())}});
    began.push_back(now_us());
  }
  void hand_in() {
    auto& began = began_["handed"];
    const auto at = now_us();
    box_.hand_in(fmt::format(
        R"({{"kind": "run.update", "project": "{}", "run": "handed", "step": {}, "append": {{"train/loss": 0.5}}}})",
        project, began.size()));
    began.push_back(at);
  }
  /// When each operation of a run arrived.
  static std::vector<std::int64_t> arrivals(const json::value& state, std::string_view run) {
    std::vector<std::int64_t> out;
    for (const auto& request : state.at("recent").as_array())
      if (request.at("run").as_string() == run)
        out.insert(out.end(), static_cast<std::size_t>(request.at("operations").as_int64()),
                   request.at("mono_us").as_int64());
    return out;
  }
  double late(const json::value& state, const std::string& run, std::size_t first) {
    std::vector<double> out;
    const auto arrived = arrivals(state, run);
    for (auto i = first; i < std::min(began_[run].size(), arrived.size()); ++i)
      out.push_back(static_cast<double>(arrived[i] - began_[run][i]) / 1000);
    return median(std::move(out));
  }

  Box& box_;
  RunLogWriter log_;
  std::map<std::string, std::vector<std::int64_t>> began_;  // microseconds; the create first
};

/// Small files of a run of their own, all asked for at once by its log.
void ask_for_files(Box& box, int files, int round) {
  // Made elsewhere: else the first files are taken while the last are still asked for.
  RunLogWriter log({.directory = box.dir() / "made",
                    .project = "ml-team/lab",
                    .run = fmt::format("files-{}", round),
                    .experiment = {},
                    .fork = {}});
  for (int i = 0; i < files; ++i) {
    const auto file = box.dir() / fmt::format("f{}.txt", i);
    if (round == 0) std::ofstream(file) << "file " << i;
    log.add_upload(file, fmt::format("files/{}/f{}/none/f.txt", round, i), "text/plain", false);
  }
  log.close(false);
  std::filesystem::rename(log.path().parent_path(), box.runs() / log.path().parent_path().filename());
}

/// What was measured side by side: without the files, and with them.
struct Pairs {
  std::vector<double> without, with, ratios;

  void add(double alone, double beside) {
    without.push_back(alone);
    with.push_back(beside);
    ratios.push_back(beside / alone);
  }
  std::string text() const {
    return fmt::format("{:.1f} ms without and {:.1f} ms with, ratio {:.2f} ({:.2f} to {:.2f})", median(without),
                       median(with), median(ratios), std::ranges::min(ratios), std::ranges::max(ratios));
  }
};

}  // namespace

bool beside(int files) {
  constexpr std::size_t operations = 20;  // of each kind in a second
  constexpr int pairs = 9;
  Box box;
  Job job(box);
  Pairs logged, handed;
  std::int64_t stored = 0;
  const auto stored_now = [&box] {
    return box.sandbox().state("summary=1&project=ml-team/job").at("uploads").at("stored_files").as_int64();
  };
  for (int round = 0; round < pairs; ++round) {
    const auto alone = job.latencies(operations);
    ask_for_files(box, files, round);
    while (stored_now() == stored) std::this_thread::sleep_for(5ms);
    std::vector<double> logged_beside, handed_beside;
    while (stored_now() < stored + files) {
      const auto beside = job.latencies(operations);
      // One that the files' end fell into was alone in part.
      if (stored_now() >= stored + files && !logged_beside.empty()) break;
      logged_beside.push_back(beside.logged);
      handed_beside.push_back(beside.handed);
    }
    logged.add(alone.logged, median(std::move(logged_beside)));
    handed.add(alone.handed, median(std::move(handed_beside)));
    stored += files;
    const auto nothing_waits = [](const json::value& status) {
      const auto& totals = status.at("totals");
      return totals.at("pending").as_int64() + totals.at("in_flight").as_int64() == 0 &&
             status.at("uploads").as_array().empty();
    };
    if (!box.wait_status(nothing_waits, 10min).first) return false;
  }
  const auto signing = box.sandbox().state("summary=1&project=ml-team/job").at("uploads").at("signing_requests");
  fmt::print(
      "beside: the median of {} operations each, {} times alternately without and with {} files of another run on "
      "their way ({} requests to sign them): commit to body at the server {}; handing in to body at the server {}\n",
      operations, pairs, files, signing.as_int64(), logged.text(), handed.text());
  std::fflush(stdout);
  return signing.as_int64() <= pairs * ((files + 99) / 100) && median(logged.ratios) <= 1.2 &&
         median(handed.ratios) <= 1.2;
}

bool uploads(std::uint64_t gib) {
  bool good = true;
  for (const auto* provider : {"aws", "gcp", "azure"}) good = upload_through(provider, gib * 1024 * mib) && good;
  return good;
}

}  // namespace neptune::testing
