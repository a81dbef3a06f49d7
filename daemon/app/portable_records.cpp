#include "app/portable_records.h"

#include <algorithm>
#include <boost/json.hpp>
#include <stdexcept>
#include <utility>

#include "changes/names.h"
#include "client/lib/time.h"
#include "sources/change_queue/needs.h"
#include "support/base64.h"
#include "support/clock.h"

namespace neptune::app {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_name = 200;  // what is put beside it has a longer one, of 255 bytes at most

std::optional<ContainerKind> container_kind(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(ContainerKind::files); ++i)
    if (name(static_cast<ContainerKind>(i)) == word) return static_cast<ContainerKind>(i);
  return std::nullopt;
}

std::string text_of(const json::object& line, const char* key) {
  return json::value_to<std::string>(line.at(key));
}

template <class T>
T number_in(const json::object& line, const char* key) {
  return line.at(key).to_number<T>();
}

std::string plain_name_in(const json::object& line) {
  auto name = text_of(line, "name");
  if (!is_plain_name(name)) throw std::invalid_argument("a name that is a path");
  return name;
}

}  // namespace

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= longest_name && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && !has_control_characters(name);
}

std::string bytes_of(const json::object& line, const char* key) {
  auto bytes = decode_base64(line.at(key).as_string(), Base64::standard);
  if (!bytes) throw std::invalid_argument("no base64");
  return std::move(*bytes);
}

json::object json_of(const sources::QueueStore::Whole& whole) {
  const auto& change = whole.change;
  json::object line{{"seq", change.position},
                    {"workspace", change.container.project.workspace},
                    {"project", change.container.project.project},
                    {"container_kind", name(change.container.kind)},
                    {"container", change.container.id},
                    {"kind", name(change.kind)},
                    {"uid", change.uid.value_or(0)},
                    {"at", format_time(change.at)},
                    {"frees", whole.frees},
                    {"creates", change.creates},
                    {"needs", sources::write_needs(whole.needs)},
                    {"key", whole.idempotency_key},
                    {"payload", encode_base64(change.payload)}};
  if (whole.content != 0) line["content"] = whole.content;
  return line;
}

sources::Handed change_of(const json::object& line) {
  Change change;
  const auto kind = change_kind(text_of(line, "kind"));
  const auto container = container_kind(text_of(line, "container_kind"));
  if (!kind || !container) throw std::invalid_argument("an unknown kind");
  change.kind = *kind;
  change.container = {{text_of(line, "workspace"), text_of(line, "project")}, text_of(line, "container"), *container};
  change.frees = line.at("frees").as_bool();
  change.creates = line.at("creates").as_bool();
  auto needs = sources::read_needs(text_of(line, "needs"));
  change.fork_parent = std::move(needs.fork_parent);
  change.after = std::move(needs.after);
  change.discard_pending = needs.discards;
  change.payload = bytes_of(line, "payload");
  change.idempotency_key = text_of(line, "key");
  if (line.contains("content")) change.content = number_in<std::uint64_t>(line, "content");
  sources::Handed handed;
  handed.changes.push_back(std::move(change));
  handed.by.uid = number_in<std::uint32_t>(line, "uid");
  handed.at = api::parse_time(text_of(line, "at"));
  return handed;
}

json::object json_of(const CarriedLog& log) {
  const bool is_run_log = log.kind == sources::Kind::run_log;
  json::object line{{"log", is_run_log ? "run-log" : "client-1x"},
                    {"name", log.name},
                    {"path", log.key.path},
                    {"device", log.key.device},
                    {"inode", log.key.inode},
                    {"born_ms", log.key.born_ms},
                    {"last", log.last},
                    {"project", log.project}};
  if (is_run_log) {
    line["run"] = log.run;
    line["last_file"] = log.last_file;
  } else {
    line["offline"] = log.offline;
    line["metadata"] = encode_base64(log.metadata);
    line["put"] = log.put;
    line["written_ms"] = log.written_ms;
  }
  return line;
}

CarriedLog log_of(const json::object& line) {
  CarriedLog log;
  const auto kind = text_of(line, "log");
  if (kind != "run-log" && kind != "client-1x") throw std::invalid_argument("an unknown kind of log");
  log.name = plain_name_in(line);
  log.key.path = text_of(line, "path");
  log.key.device = number_in<std::uint64_t>(line, "device");
  log.key.inode = number_in<std::uint64_t>(line, "inode");
  log.key.born_ms = number_in<std::int64_t>(line, "born_ms");
  log.last = number_in<sources::Position>(line, "last");
  log.project = text_of(line, "project");
  if (kind == "run-log") {
    log.run = text_of(line, "run");
    log.last_file = number_in<sources::Position>(line, "last_file");
    if (!ProjectName::parse(log.project) || log.run.empty()) throw std::invalid_argument("no project and run");
    return log;
  }
  log.kind = sources::Kind::client_dir;
  log.offline = line.at("offline").as_bool();
  log.metadata = bytes_of(line, "metadata");
  log.put = number_in<sources::Position>(line, "put");
  log.written_ms = number_in<std::int64_t>(line, "written_ms");
  return log;
}

json::object json_of(const CarriedOperation& operation) {
  json::object line{{"op", operation.position}, {"at", operation.at}};
  if (operation.creates) line["creates"] = true;
  return line;
}

CarriedOperation operation_of(const json::object& line) {
  CarriedOperation operation;
  operation.position = number_in<sources::Position>(line, "op");
  operation.at = number_in<double>(line, "at");
  operation.creates = line.contains("creates") && line.at("creates").as_bool();
  return operation;
}

json::object json_of(const CarriedFile& file) {
  json::object line{{"file", file.name}};
  if (file.id == 0) return line;
  line["id"] = file.id;
  line["destination"] = file.destination;
  line["mime_type"] = file.mime_type;
  return line;
}

CarriedFile file_of(const json::object& line) {
  CarriedFile file;
  file.name = text_of(line, "file");
  if (!is_plain_name(file.name)) throw std::invalid_argument("a name that is a path");
  file.size = number_in<std::uint64_t>(line, "size");
  if (!line.contains("id")) return file;
  file.id = number_in<sources::Position>(line, "id");
  file.destination = text_of(line, "destination");
  file.mime_type = text_of(line, "mime_type");
  return file;
}

}  // namespace neptune::app
