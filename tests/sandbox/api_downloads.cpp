// Files of 1.x, read back: a file, what is in a set and all of it as a zip, and an image of a series.
#include <fmt/format.h>

#include <algorithm>

#include "support/base64.h"
#include "tests/sandbox/routes.h"
#include "tests/sandbox/zip.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

std::string last_part(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

Response as_file(std::string bytes, std::string content_type, std::string name, bool is_shown = false) {
  // What cannot stand in a header.
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == '"' || c == 0x7F; }, '_');
  return {200,
          std::move(bytes),
          std::move(content_type),
          {{"Content-Disposition", fmt::format("{}; filename=\"{}\"", is_shown ? "inline" : "attachment", name)}}};
}

std::string bytes_of(const StoredFile& file) {
  if (file.bytes == 0) return {};
  const auto content = file.content.lock();
  if (content == nullptr) refuse(404, "", "the bytes of this file are not kept any more");
  return text_of(*content);
}

const File& file_of(World& world, const Request& request, File::Kind kind) {
  const auto& file = attribute_of<File>(world, request);
  if (file.kind != kind) refuse(422, "INVALID_ATTRIBUTE_TYPE", "the attribute is of another type");
  return file;
}

/// Of one folder of the set: its files, and its folders with what is in them.
Response list(World& world, const Request& request) {
  const auto& set = file_of(world, request, File::Kind::set);
  auto folder = request.query_value("path");
  if (!folder.empty() && !folder.ends_with('/')) folder += '/';
  struct Entry {
    std::uint64_t bytes = 0;
    std::int64_t changed_ms = 0;
    bool is_folder = false;
  };
  std::map<std::string, Entry> entries;
  for (const auto& [path, file] : files_in(*container_of(world, request).project, set.path)) {
    if (!path.starts_with(folder)) continue;
    const auto rest = path.substr(folder.size());
    auto& entry = entries[rest.substr(0, rest.find('/'))];
    entry.bytes += file->bytes;
    entry.changed_ms = std::max(entry.changed_ms, file->stored_ms);
    entry.is_folder = rest.find('/') != std::string::npos;
  }
  if (entries.empty()) refuse(404, "", "the set has no folder " + folder);
  json::array out;
  for (const auto& [name, entry] : entries)
    out.push_back({{"name", name},
                   {"fileType", entry.is_folder ? "directory" : "file"},
                   {"size", entry.bytes},
                   {"mtime", time_text(entry.changed_ms)}});
  return answer(out);
}

/// One file: the attribute itself, or what is at `path` in a set.
Response download(World& world, const Request& request) {
  const auto& file = attribute_of<File>(world, request);
  const auto& files = container_of(world, request).project->files;
  const auto& path = request.query_value("path");
  const auto found = files.find(path.empty() ? file.path : file.path + "/" + path);
  if (file.kind == File::Kind::reference || found == files.end()) refuse_missing_attribute(request);
  return as_file(bytes_of(found->second), found->second.content_type, last_part(found->first),
                 request.query_value("expectedContentDisposition") == "inline");
}

json::object prepared(const World& world, const std::string& id) {
  return {{"id", id}, {"downloadUrl", world.access.url() + "/api/leaderboard/v1/download/downloadFile?id=" + id}};
}

Response prepare(World& world, const Request& request) {
  const auto& attribute = request.query_value("attribute");
  file_of(world, request, File::Kind::set);
  const auto& container = container_of(world, request);
  const auto id = uuid_of(container.id + "/" + attribute);
  world.objects.downloads[id] = {container.id, attribute};
  return answer(prepared(world, id));
}

const std::pair<std::string, std::string>& prepared_of(const World& world, const Request& request) {
  const auto found = world.objects.downloads.find(request.query_value("id"));
  if (found == world.objects.downloads.end()) refuse(404, "", "there is no such download");
  return found->second;
}

Response ask_for(World& world, const Request& request) {
  prepared_of(world, request);
  return answer(prepared(world, request.query_value("id")));
}

Response download_set(World& world, const Request& request) {
  const auto& [container_id, attribute] = prepared_of(world, request);
  const auto& container = container_named(world, container_id);
  const auto found = container.fields.find(attribute);
  const auto* set = found == container.fields.end() ? nullptr : std::get_if<File>(&found->second);
  if (set == nullptr) refuse(404, "", "there is no set of files " + attribute + " any more");
  std::vector<std::pair<std::string, std::string>> members;
  for (const auto& [path, file] : files_in(*container.project, set->path)) members.emplace_back(path, bytes_of(*file));
  return as_file(zip_of(members), "application/zip", last_part(attribute) + ".zip");
}

std::string image_type(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xD8")) return "image/jpeg";
  if (bytes.starts_with("GIF8")) return "image/gif";
  return "image/png";
}

Response image(World& world, const Request& request) {
  const auto& points = attribute_of<Series<Image>>(world, request).points();
  const auto index = number_of(request, "index", -1);
  if (index < 0 || index >= std::ssize(points)) refuse(404, "", "the series has no image of that index");
  auto bytes = decode_base64(points[static_cast<std::size_t>(index)].value.data, Base64::standard);
  if (!bytes) refuse(422, "", "what was logged as an image is not base64");
  auto type = image_type(*bytes);
  return as_file(std::move(*bytes), std::move(type), std::to_string(index), true);
}

}  // namespace

void add_download_api(World& world) {
  const std::string base = "/api/leaderboard/v1/attributes", downloads = "/api/leaderboard/v1/download";
  const std::string one = "attribute! experimentId holderIdentifier holderType";
  const auto add = [&](const char* method, const std::string& path, Description description,
                       Response (*handle)(World&, const Request&)) {
    add_read(world, method, path, std::move(description),
             [&world, handle](const Request& request) { return handle(world, request); });
  };
  add("GET", base + "/ls", {"lsFileSetAttribute", one + " path!", "[FileEntry]"}, list);
  add("GET", base + "/download", {"downloadAttribute", one + " path expectedContentDisposition", "file"}, download);
  add("POST", base + "/downloadFileSetZipRequest",
      {"prepareForDownloadFileSetAttributeZip", one, "DownloadPrepareRequest"}, prepare);
  add("GET", downloads + "/downloadRequest", {"getDownloadPrepareRequest", "id!", "DownloadPrepareRequest"}, ask_for);
  add("GET", downloads + "/downloadFile", {"download", "id!", "file"}, download_set);
  add("GET", base + "/series/image/single", {"getImageSeriesValue", one + " #index!", "file"}, image);
}

}  // namespace neptune::sandbox
