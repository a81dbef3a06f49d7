#include "tests/integration/client_1x.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "tests/sandbox/spool.h"

namespace neptune::testing {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& file, const std::string& text, std::ios::openmode mode) {
  std::ofstream(file, std::ios::binary | mode) << text;
}

std::string logged(int version, const std::string& obj) {
  return fmt::format(R"({{"obj": {}, "version": {}, "at": 1795452690.5}})"
                     "\n",
                     obj, version);
}

std::string logged_float(int version, int point) {
  return logged(version, fmt::format(R"({{"type": "LogFloats", "path": ["loss"], "values": [
                                         {{"value": {0}.5, "step": {0}, "ts": 17.5}}]}})",
                                     point));
}

std::string logged_floats(int first, int last) {
  std::string out;
  for (int version = first; version <= last; ++version) out += logged_float(version, version);
  return out;
}

void age(const fs::path& directory, std::chrono::seconds by) {
  for (const auto& entry : fs::directory_iterator(directory))
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - by);
}

std::string contents_of(const fs::path& directory) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const auto mode = static_cast<unsigned>(entry.symlink_status().permissions());
    all[entry.path().lexically_relative(directory)] =
        fmt::format("{:o} {}", mode, entry.is_regular_file() ? text_of(entry.path()) : std::string());
  }
  std::string out;
  for (const auto& [name, what] : all) out += name + " " + what + "\n";
  return out;
}

void Client1x::make(const std::string& project, const std::string& more, bool start,
                    const std::string& project_of_environment) {
  Box::Options options;
  options.project = project_of_environment;
  options.reads_everything = false;
  options.server = server_lines;
  options.config = "[[watch]]\npath = \"@DIR@/jobs\"\nkind = \"client-1x\"\nproject = \"" + project + "\"\n" + more +
                   "[queue]\nmin_free_disk = \"1MiB\"\n";
  options.start = false;
  box.emplace(std::move(options));
  box->sandbox().control(R"({"project": "ml-team/lab"})");
  fs::create_directories(place("offline"));
  fs::create_directories(place("async"));
  if (start) box->start_daemon();
}

fs::path Client1x::begin_run(const fs::path& in, const std::string& id, int pid) {
  const auto directory = in / fmt::format("run__{}__{}__abcdefgh", id, pid);
  fs::create_directories(directory / "upload_path");
  write(directory / "last_ack_version", "");
  write(directory / "last_put_version", "0");
  write(directory / "metadata.json",
        fmt::format(R"({{"mode": "offline", "containerId": "{}", "containerType": "run", "structureVersion": 3,
                        "createdAt": "2036-11-23T16:51:28.547685+00:00"}})",
                    id));
  return directory;
}

fs::path Client1x::finished_run(const std::string& id, const std::string& log, int last) {
  const auto directory = begin_run(box->dir() / "apart", id, dead_pid);
  write(directory / "data-1.log", log);
  write(directory / "last_put_version", std::to_string(last));
  age(directory, 60s);
  return directory;
}

fs::path Client1x::hand_over(const fs::path& directory) {
  const auto to = place("offline") / directory.filename();
  fs::rename(directory, to);
  return to;
}

fs::path Client1x::copy_of_sample(const fs::path& sample, const std::string& name) {
  const auto apart = box->dir() / name;
  fs::copy(sample, apart, fs::copy_options::recursive);
  fs::permissions(apart, fs::perms::owner_all, fs::perm_options::add);
  for (const auto& entry : fs::recursive_directory_iterator(apart))
    fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  return apart;
}

json::value Client1x::run(const std::string& id) {
  const auto state = box->sandbox().state();
  const auto* held = state.at("runs").as_object().if_contains("ml-team/lab/" + id);
  return held ? *held : json::value();
}

std::string Client1x::misses(const std::string& id, int last) {
  const auto held = run(id);
  if (held.is_null()) return id + " is not on the server";
  const auto* points = held.at("series").as_object().if_contains("loss");
  if (!points) return "it has no points";
  if (points->as_array().size() != static_cast<std::size_t>(last))
    return fmt::format("{} points, not {}", points->as_array().size(), last);
  for (int i = 1; i <= last; ++i) {
    const auto& point = points->as_array()[static_cast<std::size_t>(i - 1)];
    if (point.at(0).to_number<std::int64_t>() != i * 1'000'000LL || point.at(1).to_number<double>() != i + 0.5)
      return fmt::format("point {} is {}", i, json::serialize(point));
  }
  return {};
}

bool Client1x::wait_synced(std::int64_t changes, std::chrono::milliseconds timeout) {
  const auto [all, status] = box->wait_status(
      [changes](const auto& s) {
        const auto& totals = s.at("totals");
        return totals.at("synced").as_int64() + totals.at("rejected").as_int64() >= changes &&
               totals.at("pending").as_int64() + totals.at("in_flight").as_int64() == 0;
      },
      timeout);
  EXPECT_TRUE(all) << json::serialize(status);
  return all;
}

json::value Client1x::source(const std::string& id) {
  const auto status = box->get("/v1/status");
  for (const auto& each : status.at("sources").as_array())
    if (std::string_view(each.at("path").as_string()).find(id) != std::string_view::npos) return each;
  return {};
}

std::string Client1x::detail(const std::string& id) {
  std::string text;
  box->wait_status([&](const auto&) {
    const auto found = source(id);
    if (found.is_object() && found.as_object().contains("detail") && found.at("detail").is_string())
      text = found.at("detail").as_string();
    return !text.empty();
  });
  return text;
}

bool Client1x::says(const std::string& id, const std::string& sentence) {
  return box->wait_status([&](const auto&) { return detail(id).find(sentence) != std::string::npos; }).first;
}

std::string Client1x::id_of(const std::string& short_id) {
  return std::string(box->sandbox().state().at("containers").at("ml-team/lab/" + short_id).at("id").as_string());
}

fs::path Client1x::make_file(const std::string& name, std::size_t size) {
  std::mt19937 random(static_cast<unsigned>(size));
  std::string bytes(size, '\0');
  for (auto& c : bytes) c = static_cast<char>(random());
  const auto file = box->dir() / name;
  fs::create_directories(file.parent_path());
  write(file, bytes);
  return file;
}

std::string Client1x::file_differs(const std::string& path, const std::string& content) {
  const auto state = box->sandbox().state();
  const auto* stored = state.at("files").as_object().if_contains("ml-team/lab/" + path);
  if (!stored) return "it is not there";
  const bool same = stored->at("sha256").as_string() == sandbox::sha256_of(std::string_view(content)) &&
                    stored->at("bytes").as_int64() == static_cast<std::int64_t>(content.size());
  return same ? std::string() : json::serialize(*stored);
}

std::string Client1x::rejection_of(int version) {
  const auto rejected = box->get("/v1/rejected");
  for (const auto& each : rejected.at("rejected").as_array())
    if (each.at("position").to_number<int>() == version)
      return fmt::format("{}: {}", std::string_view(each.at("code").as_string()),
                         std::string_view(each.at("reason").as_string()));
  return {};
}

}  // namespace neptune::testing
