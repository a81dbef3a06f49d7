#include "tests/campaign/uploads.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "tests/integration/box.h"
#include "tests/integration/support/json.h"

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

}  // namespace

bool uploads(std::uint64_t gib) {
  bool good = true;
  for (const auto* provider : {"aws", "gcp", "azure"}) good = upload_through(provider, gib * 1024 * mib) && good;
  return good;
}

}  // namespace neptune::testing
