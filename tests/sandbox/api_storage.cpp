// Files of 3.x: the storage bridge, which signs URLs of the object stores beside it.
#include "tests/sandbox/api_storage.h"

#include <fmt/format.h>

#include <algorithm>

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

constexpr std::size_t most_files = 1000;
// A file's reference (docs/protocol.md, "Files").
constexpr std::size_t longest_path = 800;
constexpr std::uint64_t largest_file = std::uint64_t{5} << 40;
constexpr std::uint64_t most_parts = 10'000;

struct Wanted {
  ProjectName project;
  std::string path;
  std::uint64_t size = 0;
};

void check_destination(const std::string& path) {
  if (path.empty() || path.size() > longest_path)
    refuse(400, "", fmt::format("a path has 1 to {} bytes", longest_path));
  for (std::size_t from = 0; from <= path.size();) {
    const auto end = std::min(path.find('/', from), path.size());
    const auto part = std::string_view(path).substr(from, end - from);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
      refuse(400, "", "the path " + path + " is not one a file can have");
    from = end + 1;
  }
}

Wanted wanted(World& world, const json::value& value) {
  if (!value.is_object()) refuse(400, "", "a file to sign must be an object");
  const auto& file = value.get_object();
  const auto identifier = string_of(file, "project_identifier");
  Wanted out{project_named(world, identifier).name, string_of(file, "path"), 0};
  check_destination(out.path);
  if (string_of(file, "permission") != "write") refuse(400, "", "only 'write' can be signed here");
  if (const auto* size = file.if_contains("size"); size != nullptr && !size->is_null()) {
    json::error_code error;
    out.size = size->to_number<std::uint64_t>(error);
    if (error || out.size > largest_file) refuse(400, "", "'size' is no size of a file");
  }
  return out;
}

std::string url_of(World& world, SignedUrl url) {
  const auto kind = url.kind;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(world.objects.url_lifetime).count();
  const auto until = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) +
                     std::chrono::ceil<std::chrono::seconds>(world.objects.url_lifetime);
  const auto id = world.objects.sign(std::move(url));
  const auto base = fmt::format("{}/storage/{}/{}", world.access.url(), name(kind), id);
  const auto until_s = until.time_since_epoch().count();
  auto stamp = time_text((until_s - (kind == StoreKind::azure ? 0 : seconds)) * 1000);  // 2026-01-02T03:04:05Z
  if (kind == StoreKind::azure) {
    std::string encoded;
    for (const char c : stamp) encoded += c == ':' ? std::string("%3A") : std::string(1, c);
    return fmt::format("{}?sv=2022-11-02&se={}&sr=b&sp=cw&sig=c2ln%2Bbm90%3D", base, encoded);
  }
  std::erase_if(stamp, [](char c) { return c == '-' || c == ':'; });
  const std::string_view vendor = kind == StoreKind::aws ? "Amz" : "Goog";
  return fmt::format("{0}?X-{1}-Date={2}&X-{1}-Expires={3}&X-{1}-Signature=5167", base, vendor, stamp, seconds);
}

json::object multipart(World& world, const Wanted& file) {
  auto& objects = world.objects;
  auto id = objects.unfinished(file.project, file.path, file.size);
  if (id.empty()) {
    id = objects.new_id();
    auto& upload = objects.uploads[id];
    upload.project = file.project;
    upload.path = file.path;
    upload.size = file.size;
    upload.part_size = std::max(objects.multipart_part_size, (file.size + most_parts - 1) / most_parts);
  }
  const auto part_size = objects.uploads.at(id).part_size;
  json::array urls;
  for (std::uint64_t at = 0; at < file.size; at += part_size) {
    const auto number = static_cast<std::uint32_t>(urls.size() + 1);
    urls.emplace_back(url_of(world, {file.project, file.path, StoreKind::aws, {}, 0, id, number}));
  }
  return {{"upload_id", id}, {"part_size", part_size}, {"part_urls", std::move(urls)}};
}

json::object sign(World& world, const Wanted& file) {
  const auto& kinds = world.objects.kinds;
  const auto found = kinds.find(file.project.workspace);
  const auto kind = found == kinds.end() ? StoreKind::aws : found->second;
  json::object out{{"path", file.path},
                   {"project_identifier", file.project.full()},
                   {"provider", name(kind)},
                   {"url", url_of(world, {file.project, file.path, kind, {}, 0, {}, 0})},
                   {"multipart", nullptr}};
  if (kind == StoreKind::aws && file.size >= world.objects.multipart_threshold && file.size > 0)
    out["multipart"] = multipart(world, file);
  return out;
}

Response sign_all(World& world, const Request& request) {
  ++world.objects.signing_requests;
  const auto body = object_body(request);
  const auto* files = body.if_contains("files");
  if (files == nullptr || !files->is_array()) refuse(400, "", "'files' must be an array");
  if (files->get_array().size() > most_files) refuse(413, "", "too many files to sign at once");
  std::vector<Wanted> all;
  for (const auto& file : files->get_array()) all.push_back(wanted(world, file));
  for (const auto& file : all) require_writable(world, file.project);
  json::array signed_files;
  for (const auto& file : all) signed_files.push_back(sign(world, file));
  world.objects.signed_files += all.size();
  return answer(json::object{{"files", std::move(signed_files)}});
}

void put_file(World& world, CompleteFile file, std::int64_t stored_ms) {
  auto* project = world.store.project(file.project);
  if (project == nullptr) return;
  ++world.objects.stored_files;
  auto& stored = project->files[file.path];
  stored = {file.bytes, file.sha256, file.content_type, stored_ms};
  if (!file.content.empty()) stored.content = world.objects.keep(std::move(file.content));
  world.store.add_bytes(file.project, file.bytes);
  if (file.container.empty()) return;
  auto* container = world.store.find_container(file.container);
  if (container == nullptr) return;
  const bool one = file.set.empty();
  container->fields[file.attribute] =
      File{one ? file.path : file.set, file.content_type, static_cast<std::int64_t>(file.bytes),
           one ? File::Kind::file : File::Kind::set};
}

}  // namespace

void keep_file(World& world, CompleteFile file) {
  const auto now_ms = world.store.now_ms();
  world.journal.write(Journal::Kind::file, json::serialize(json::object{{"project", file.project.full()},
                                                                        {"path", file.path},
                                                                        {"content_type", file.content_type},
                                                                        {"bytes", file.bytes},
                                                                        {"sha256", file.sha256},
                                                                        {"container", file.container},
                                                                        {"attribute", file.attribute},
                                                                        {"set", file.set},
                                                                        {"at", now_ms}}));
  put_file(world, std::move(file), now_ms);
}

Result<void> replay_file(World& world, std::string_view record) {
  const auto content = json::parse(record).as_object();
  const auto project = ProjectName::parse(string_of(content, "project"));
  if (!project) return fail("state_file_damaged", "the state file holds a file of no project");
  CompleteFile file{*project,
                    string_of(content, "path"),
                    string_of(content, "content_type"),
                    content.at("bytes").to_number<std::uint64_t>(),
                    string_of(content, "sha256"),
                    string_of(content, "container"),
                    string_of(content, "attribute"),
                    string_of(content, "set")};
  put_file(world, std::move(file), content.at("at").to_number<std::int64_t>());
  return {};
}

void refuse_xml(unsigned status, std::string_view code, std::string_view message) {
  auto body = fmt::format("<?xml version=\"1.0\"?><Error><Code>{}</Code><Message>{}</Message></Error>", code, message);
  throw Refusal{{status, std::move(body), "application/xml", {}}};
}

void add_store_route(World& world, std::string method, std::string pattern, Handler handle) {
  Route route;
  route.method = std::move(method);
  route.pattern = std::move(pattern);
  route.needs_token = false;
  route.max_body = largest_file;
  route.spooled = true;
  route.handle = [&world, handle = std::move(handle)](const Request& request) {
    try {
      if (!request.header("authorization").empty() || !request.header("x-neptune-api-token").empty()) {
        ++world.objects.tokens_seen;
        refuse_xml(400, "InvalidArgument", "a token has no business here");
      }
      return handle(request);
    } catch (const Refusal& refusal) {
      return refusal.response;
    }
  };
  world.router.add(std::move(route));
}

SignedUrl signed_url(World& world, const Request& request, StoreKind kind) {
  const auto* url = world.objects.find(request.vars.at("id"));
  if (url == nullptr || url->kind != kind) refuse_xml(403, "AccessDenied", "Request has expired");
  return *url;
}

void add_storage_api(World& world) {
  Route route;
  route.method = "POST";
  route.pattern = "/api/storagebridge/v1/signedUrl";
  route.operation = "signed_url_generic";
  route.parameters = "@body!";
  route.max_body = std::size_t{4} << 20;
  route.handle = [&world](const Request& request) {
    try {
      return sign_all(world, request);
    } catch (const Refusal& refusal) {
      return refusal.response;
    }
  };
  world.router.add(std::move(route));
  add_aws_store(world);
  add_gcp_store(world);
  add_azure_store(world);
}

}  // namespace neptune::sandbox
