#include "tests/unit/server/uploads_fixture.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/sandbox/spool.h"

namespace neptune::server::test {

WithSandbox::WithSandbox() : sandbox(folder.path(), {"--workspace", "ml-team"}) {
  sandbox.control(R"({"project": "ml-team/lab", "multipart_threshold": 1048576, "multipart_part_size": 1048576})");
  settings.files = &pool;
  settings.chunk_size = 1u << 20;
  restart_server();
}

WithSandbox::~WithSandbox() {
  server.reset();
  // Connections end on the loop.
  loop.restart();
  loop.poll();
}

void WithSandbox::restart_server() {
  Options options;
  options.api_token = sandbox.token();
  options.user_agent = "neptune-syncd/test";
  options.request_timeout = 5s;
  auto made = Server::make(loop.get_executor(), system_clock, std::move(options));
  if (!made) throw std::runtime_error(made.error().message);
  server = std::move(*made);
}

SourceFile WithSandbox::make_file(const std::string& name, std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (auto& c : bytes) c = static_cast<char>(random());
  std::filesystem::create_directories((folder / name).parent_path());
  std::ofstream(folder / name, std::ios::binary) << bytes;
  return {(folder / name).string()};
}

std::string WithSandbox::bytes_of(const SourceFile& file) const {
  std::ifstream in(file.path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string WithSandbox::stored_differs(const std::string& path, const SourceFile& file,
                                        const std::string& type) const {
  const auto state = sandbox.state();
  const auto* stored = state.at("files").as_object().if_contains("ml-team/lab/" + path);
  if (stored == nullptr) return "it is not there";
  const auto bytes = bytes_of(file);
  const bool same = stored->at("sha256").as_string() == sandbox::sha256_of(std::string_view(bytes)) &&
                    stored->at("bytes").as_int64() == static_cast<std::int64_t>(bytes.size()) &&
                    stored->at("content_type").as_string() == type;
  return same ? "" : boost::json::serialize(*stored);
}

std::int64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  return 0;
}

std::string shown_outcome(const UploadOutcome& outcome) {
  constexpr const char* kinds[] = {"done", "expired", "start_over", "later", "stalled", "refused", "source", "server"};
  return fmt::format("{} {} {}", kinds[static_cast<int>(outcome.kind)], outcome.code, outcome.message);
}

}  // namespace neptune::server::test
