// Files of attributes, 1.x: to the server itself, in one request, in parts, or as an archive.
#include <fmt/format.h>

#include <charconv>

#include "tests/sandbox/api_storage.h"
#include "tests/sandbox/snapshot.h"
#include "tests/sandbox/tar_reader.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

constexpr std::uint64_t largest_request = std::uint64_t{1} << 30;
constexpr std::uint32_t most_parts = 1000;
constexpr auto inconsistent = "metadata_inconsistency";

json::object with_errors(const std::string& description) {
  json::array errors;
  if (!description.empty()) errors.push_back({{"errorType", inconsistent}, {"errorDescription", description}});
  return {{"errors", std::move(errors)}};
}

/// Which attribute of which container a call is about.
struct Place {
  Container* container = nullptr;
  std::string attribute;
  std::string sub_path;  ///< in a set; empty: the attribute is one file
  std::string ext;

  /// Of the file, or of the set.
  std::string path() const {
    auto out = container->short_id + "/" + attribute;
    if (!ext.empty()) out += "." + ext;
    return out;
  }
};

Place place_of(World& world, const Request& request) {
  Place place;
  auto identifier = request.query_value("experimentIdentifier");
  if (identifier.empty()) identifier = request.query_value("experimentId");
  place.container = &container_named(world, identifier);
  require_writable(world, place.container->project->name);
  place.attribute = request.query_value("attribute");
  place.sub_path = request.query_value("subPath");
  place.ext = request.query_value("ext");
  return place;
}

bool bad_sub_path(const std::string& path) {
  for (std::size_t from = 0; from <= path.size();) {
    const auto end = std::min(path.find('/', from), path.size());
    const auto part = std::string_view(path).substr(from, end - from);
    if (part.empty() || part == "." || part == "..") return true;
    from = end + 1;
  }
  return false;
}

/// What is wrong with storing a file there; empty: nothing.
std::string refusal(World& world, const Place& place, bool set) {
  const auto rules = rules_for(world.queue.rules, place.container->project->name, place.container->key);
  if (check_path(place.attribute) != IngestCode::ok || rejected_by(rules, place.attribute) != IngestCode::ok)
    return "attribute " + place.attribute + ": it cannot be written";
  if (set && bad_sub_path(place.sub_path)) return "the path " + place.sub_path + " is not one in a set of files";
  const auto found = place.container->fields.find(place.attribute);
  if (found != place.container->fields.end() && !std::holds_alternative<File>(found->second))
    return "attribute " + place.attribute + ": it is of another type";
  return {};
}

void keep(World& world, const Place& place, const std::string& sub_path, Content content) {
  auto& project = *place.container->project;
  const bool in_set = !sub_path.empty();
  // A file takes the place of the one before it; a set whose attribute is gone begins anew.
  if (!in_set || !place.container->fields.contains(place.attribute)) drop_files_of(project, place.path());
  CompleteFile file{.project = project.name,
                    .path = in_set ? place.path() + "/" + sub_path : place.path(),
                    .content_type = "application/octet-stream",
                    .bytes = size_of(content),
                    .sha256 = sha256_of(content),
                    .container = place.container->id,
                    .attribute = place.attribute,
                    .set = in_set ? place.path() : std::string(),
                    .content = std::move(content)};
  keep_file(world, std::move(file));
}

Response upload(World& world, const Request& request, bool set) {
  const auto place = place_of(world, request);
  const auto wrong = refusal(world, place, set);
  if (wrong.empty()) keep(world, place, place.sub_path, {request.spooled});
  return answer(with_errors(wrong));
}

// What an upload in parts is of: parts name it by its id, and must say the same of the rest.
std::string subject_of(const Place& place) {
  return place.container->id + "|" + place.attribute + "|" + place.sub_path;
}

Response start(World& world, const Request& request, bool set) {
  const auto place = place_of(world, request);
  auto out = with_errors(refusal(world, place, set));
  if (!out.at("errors").as_array().empty()) return answer(out);
  const auto id = world.objects.new_id();
  auto& upload_of_it = world.objects.uploads[id];
  upload_of_it.project = place.container->project->name;
  upload_of_it.path = subject_of(place);
  upload_of_it.content_type = place.ext;
  upload_of_it.size = static_cast<std::uint64_t>(number_of(request, "totalLength", 0));
  out["uploadId"] = id;
  return answer(out);
}

PartsUpload& upload_of(World& world, const Request& request, const Place& place) {
  const auto found = world.objects.uploads.find(request.query_value("uploadId"));
  if (found == world.objects.uploads.end() || found->second.path != subject_of(place))
    refuse(404, "", "there is no such upload");
  return found->second;
}

Response part(World& world, const Request& request) {
  const auto place = place_of(world, request);
  auto& parts = upload_of(world, request, place);
  const auto number = number_of(request, "uploadPartIdx", -1);
  unsigned long long first = 0, last = 0, total = 0;
  if (std::sscanf(request.header("x-range").c_str(), "bytes=%llu-%llu/%llu", &first, &last, &total) != 3 ||
      number < 0 || number >= most_parts || total != parts.size || last < first || last >= total ||
      request.spooled->size() != last - first + 1)
    refuse(400, "", "uploadPartIdx and X-Range do not fit the upload and the body");
  parts.parts[static_cast<std::uint32_t>(number)] = {request.spooled, {}};
  parts.by_offset[first] = static_cast<std::uint32_t>(number);
  return answer(with_errors({}));
}

Response finish(World& world, const Request& request, bool set) {
  auto place = place_of(world, request);
  auto& parts = upload_of(world, request, place);
  place.ext = parts.content_type;
  Content content;
  std::uint64_t bytes = 0;
  for (const auto& [offset, number] : parts.by_offset) {
    if (offset != bytes) break;
    content.push_back(parts.parts.at(number).blob);
    bytes += content.back()->size();
  }
  if (bytes != parts.size) return answer(with_errors(fmt::format("{} of {} bytes are there", bytes, parts.size)));
  const auto wrong = refusal(world, place, set);
  if (wrong.empty()) keep(world, place, place.sub_path, std::move(content));
  world.objects.uploads.erase(request.query_value("uploadId"));
  return answer(with_errors(wrong));
}

struct Unpacked {
  std::string name;
  std::shared_ptr<Blob> blob;
};

Response archive(World& world, const Request& request) {
  const auto place = place_of(world, request);
  const auto optional_error = [](const std::string& text) {
    return text.empty() ? answer(nullptr)
                        : answer(json::object{{"errorType", inconsistent}, {"errorDescription", text}});
  };
  if (const auto wrong = refusal(world, place, false); !wrong.empty()) return optional_error(wrong);
  std::vector<Unpacked> members;
  const auto read = read_tar_gz(*request.spooled, [&](const std::string& name, std::string_view piece, bool begins) {
    if (begins) members.push_back({name, world.objects.make_blob()});
    members.back().blob->append(piece);
  });
  if (!read) return optional_error(read.error().message);
  for (const auto& member : members)
    if (bad_sub_path(member.name)) return optional_error("the path " + member.name + " is not one in a set of files");
  const auto& reset = request.query_value("reset");
  if (reset == "true" || reset == "True") {
    drop_files_of(*place.container->project, place.path());
    place.container->fields.erase(place.attribute);
  }
  for (const auto& member : members) keep(world, place, member.name, {member.blob});
  return optional_error({});
}

void add(World& world, const std::string& pattern, Description description, bool spooled, Handler handle) {
  Route route;
  route.method = "POST";
  route.pattern = "/api/leaderboard/v1/attributes" + pattern;
  route.operation = std::move(description.operation);
  route.parameters = std::move(description.parameters);
  route.answer = std::move(description.answer);
  route.spooled = spooled;
  route.max_body = largest_request;
  route.handle = [handle = std::move(handle)](const Request& request) {
    try {
      return handle(request);
    } catch (const Refusal& refused) {
      return refused.response;
    }
  };
  world.router.add(std::move(route));
}

}  // namespace

void add_attribute_upload_api(World& world) {
  const auto add_family = [&](const std::string& base, const std::string& operation, bool set) {
    const std::string who = "attribute! experimentIdentifier! ", what = set ? "subPath! " : "";
    const std::string ext = set ? "" : "ext! ", errors = "OperationErrorsListDTO";
    add(world, base, {operation + "Upload", who + what + ext, errors}, true,
        [&world, set](const Request& request) { return upload(world, request, set); });
    add(world, base + "/start",
        {operation + "MultipartUploadStart", who + what + ext + "#totalLength!", "UploadMetadataDTO"}, false,
        [&world, set](const Request& request) { return start(world, request, set); });
    add(world, base + "/part", {operation + "MultipartUploadPart", who + what + "uploadId! #uploadPartIdx!", errors},
        true, [&world](const Request& request) { return part(world, request); });
    add(world, base + "/finish", {operation + "MultipartUploadFinish", who + what + "uploadId!", errors}, false,
        [&world, set](const Request& request) { return finish(world, request, set); });
  };
  add_family("/storage/file/upload", "fileAtom", false);
  add_family("/storage/fileset/upload", "fileSetFile", true);
  add(world, "/uploadFileSetTar", {"uploadFileSetAttributeTar", "attribute! experimentId ?reset", ""}, true,
      [&world](const Request& request) { return archive(world, request); });
}

}  // namespace neptune::sandbox
