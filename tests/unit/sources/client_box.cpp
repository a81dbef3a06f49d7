#include "tests/unit/sources/client_box.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

namespace neptune::sources {

namespace fs = std::filesystem;

ClientBox::ClientBox(std::string place, std::string id, int pid)
    : path_(dir_.path() / ".neptune" / place / fmt::format("run__{}__{}__3mfihhle", id, pid)) {
  fs::create_directories(path_ / "upload_path");
  write_metadata();
  write("last_ack_version", "");
  write("last_put_version", "0");
}

void ClientBox::write(const std::string& file, const std::string& text) const {
  std::ofstream(path_ / file, std::ios::binary | std::ios::trunc) << text;
}

void ClientBox::append(const std::string& file, const std::string& text) const {
  std::ofstream(path_ / file, std::ios::binary | std::ios::app) << text;
}

std::string ClientBox::text(const std::string& file) const {
  std::ifstream in(path_ / file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void ClientBox::write_metadata(const std::string& type, int structure, const std::string& created) const {
  write("metadata.json", fmt::format(R"({{"mode": "offline", "containerId": "x", "containerType": "{}",
    "structureVersion": {}, "createdAt": "{}"}})",
                                     type, structure, created));
}

void ClientBox::age(std::chrono::seconds by) const {
  for (const auto& entry : fs::directory_iterator(path_))
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - by);
}

std::string ClientBox::operation(int version) {
  return fmt::format(
      R"({{"obj": {{"type": "LogFloats", "path": ["loss"], "values": [{{"value": 0.5, "step": {0}, "ts": 17.5}}]}}, )"
      R"("version": {0}, "at": 1795452690.5}})"
      "\n",
      version);
}

std::string ClientBox::operations(int first, int last) {
  std::string out;
  for (int version = first; version <= last; ++version) out += operation(version);
  return out;
}

}  // namespace neptune::sources
