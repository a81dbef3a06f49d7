// The Azure Blob Storage of the sandbox: a blob in one PUT, or in blocks and their list.
#include "tests/sandbox/api_storage.h"

namespace neptune::sandbox {

namespace {

constexpr std::size_t largest_list = 8u << 20;

std::string key_of(const SignedUrl& url) {
  return url.project.full() + "/" + url.path;
}

Response created() {
  return {201, {}, {}, {{"ETag", "\"0x8D\""}}};
}

Response put_blob(World& world, const SignedUrl& url, const Request& request) {
  if (request.header("x-ms-blob-type") != "BlockBlob")
    refuse_xml(400, "MissingRequiredHeader", "x-ms-blob-type must be BlockBlob");
  auto type = request.header("x-ms-blob-content-type");
  if (type.empty()) type = request.header("content-type");
  keep_file(world, {url.project,
                    url.path,
                    std::move(type),
                    request.spooled->size(),
                    sha256_of({request.spooled.get()}),
                    {},
                    {},
                    {}});
  world.objects.blocks.erase(key_of(url));
  world.objects.committed.erase(key_of(url));
  return created();
}

Response put_block(World& world, const SignedUrl& url, const Request& request) {
  const auto& id = request.query_value("blockid");
  auto& blocks = world.objects.blocks[key_of(url)];
  if (id.empty() || id.size() > 88) refuse_xml(400, "InvalidQueryParameterValue", "blockid is not one");
  if (!blocks.empty() && blocks.begin()->first.size() != id.size())
    refuse_xml(400, "InvalidBlobOrBlock", "all block ids of a blob have the same length");
  if (request.spooled->size() == 0) refuse_xml(400, "InvalidHeaderValue", "a block has at least one byte");
  blocks[id] = request.spooled;
  return created();
}

/// Ids in the order of <Latest>.
std::vector<std::string> ids_in(std::string_view xml) {
  constexpr std::string_view open = "<Latest>", close = "</Latest>";
  std::vector<std::string> out;
  for (auto from = xml.find(open); from != std::string_view::npos; from = xml.find(open, from)) {
    from += open.size();
    const auto end = xml.find(close, from);
    if (end == std::string_view::npos) refuse_xml(400, "InvalidXmlDocument", "the list cannot be read");
    out.emplace_back(xml.substr(from, end - from));
  }
  return out;
}

Response put_list(World& world, const SignedUrl& url, const Request& request) {
  if (request.spooled->size() > largest_list) refuse_xml(413, "RequestBodyTooLarge", "the list is too long");
  const auto xml = request.spooled->text();
  if (xml.find("<BlockList>") == std::string::npos) refuse_xml(400, "InvalidXmlDocument", "there is no BlockList");
  // Its blocks are the blob's by now.
  if (const auto before = world.objects.committed.find(key_of(url));
      before != world.objects.committed.end() && before->second == xml)
    return created();
  auto& blocks = world.objects.blocks[key_of(url)];
  std::vector<const Blob*> parts;
  std::uint64_t bytes = 0;
  for (const auto& id : ids_in(xml)) {
    const auto found = blocks.find(id);
    if (found == blocks.end()) refuse_xml(400, "InvalidBlockList", "The specified block list is invalid.");
    parts.push_back(found->second.get());
    bytes += found->second->size();
  }
  keep_file(world,
            {url.project, url.path, request.header("x-ms-blob-content-type"), bytes, sha256_of(parts), {}, {}, {}});
  world.objects.blocks.erase(key_of(url));
  world.objects.committed[key_of(url)] = xml;
  return created();
}

Response put(World& world, const Request& request) {
  const auto url = signed_url(world, request, StoreKind::azure);
  const auto& component = request.query_value("comp");
  if (component == "block") return put_block(world, url, request);
  if (component == "blocklist") return put_list(world, url, request);
  return put_blob(world, url, request);
}

}  // namespace

void add_azure_store(World& world) {
  add_store_route(world, "PUT", "/storage/azure/{id}",
                  [&world](const Request& request) { return put(world, request); });
}

}  // namespace neptune::sandbox
