// The S3 of the sandbox: one PUT, or parts that the storage bridge completes.
#include <fmt/format.h>

#include "tests/sandbox/api_storage.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

Response stored(ObjectStore& objects, const std::string& etag) {
  Response response{200, {}, {}, {}};
  if (objects.missing_etags > 0)
    --objects.missing_etags;
  else
    response.headers.emplace_back("ETag", '"' + etag + '"');
  return response;
}

Response put(World& world, const Request& request) {
  auto& objects = world.objects;
  const auto url = signed_url(world, request, StoreKind::aws);
  const auto etag = md5_of(*request.spooled);
  if (url.upload.empty()) {
    keep_file(world, {url.project,
                      url.path,
                      request.header("content-type"),
                      request.spooled->size(),
                      sha256_of({request.spooled.get()}),
                      {},
                      {},
                      {}});
    return stored(objects, etag);
  }
  const auto upload = objects.uploads.find(url.upload);
  if (upload == objects.uploads.end() || !upload->second.completed.empty())
    refuse_xml(404, "NoSuchUpload", "The specified multipart upload does not exist.");
  if (upload->second.content_type.empty()) upload->second.content_type = request.header("content-type");
  upload->second.parts[url.number] = {request.spooled, etag};
  return stored(objects, etag);
}

/// The parts as the call names them, in order; refused where one is not there as it says.
std::vector<const Blob*> parts_named(const PartsUpload& upload, const json::array& named) {
  std::vector<const Blob*> out;
  std::int64_t last = 0;
  for (const auto& each : named) {
    const auto& part = each.as_object();
    const auto number = part.at("part_number").to_number<std::int64_t>();
    const auto found = upload.parts.find(static_cast<std::uint32_t>(number));
    if (number <= last || found == upload.parts.end() || found->second.etag != string_of(part, "etag"))
      refuse(400, "", fmt::format("part {} is out of order, was not uploaded, or has another etag", number));
    last = number;
    out.push_back(found->second.blob.get());
  }
  if (out.empty()) refuse(400, "", "an upload has at least one part");
  return out;
}

Response complete(World& world, const Request& request) {
  const auto body = object_body(request);
  const auto* named = body.if_contains("parts");
  if (named == nullptr || !named->is_array()) refuse(400, "", "'parts' must be an array");
  const auto& project = project_named(world, string_of(body, "project_identifier"));
  require_writable(world, project.name);
  const auto found = world.objects.uploads.find(string_of(body, "upload_id"));
  if (found == world.objects.uploads.end() || found->second.project != project.name ||
      found->second.path != string_of(body, "path"))
    refuse(400, "", "there is no such upload");
  auto& upload = found->second;
  auto as_completed = json::serialize(*named);
  if (upload.completed.empty()) {
    const auto parts = parts_named(upload, named->get_array());
    std::uint64_t bytes = 0;
    for (const auto* part : parts) bytes += part->size();
    keep_file(world, {upload.project, upload.path, upload.content_type, bytes, sha256_of(parts), {}, {}, {}});
    upload.completed = std::move(as_completed);
    upload.parts.clear();
  } else if (upload.completed != as_completed) {
    refuse(400, "", "the upload was completed with other parts");
  }
  return {204, {}, {}, {}};
}

}  // namespace

void add_aws_store(World& world) {
  add_store_route(world, "PUT", "/storage/aws/{id}", [&world](const Request& request) { return put(world, request); });
  Route route;
  route.method = "POST";
  route.pattern = "/api/storagebridge/v1/s3/completeMultipartUpload";
  route.operation = "complete_multipart_upload";
  route.parameters = "@body!";
  route.max_body = std::size_t{4} << 20;
  route.handle = [&world](const Request& request) {
    try {
      return complete(world, request);
    } catch (const Refusal& refusal) {
      return refusal.response;
    }
  };
  world.router.add(std::move(route));
}

}  // namespace neptune::sandbox
