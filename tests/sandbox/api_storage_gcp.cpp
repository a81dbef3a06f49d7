// The Google Cloud Storage of the sandbox: resumable uploads.
#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "tests/sandbox/api_storage.h"

namespace neptune::sandbox {

namespace {

constexpr std::uint64_t chunk_step = 256u << 10;

/// "bytes 0-9/10", "bytes */10", "bytes */*".
struct ContentRange {
  std::optional<std::uint64_t> first, last, total;
};

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

ContentRange content_range(const Request& request) {
  std::string_view text = request.header("content-range");
  const auto slash = text.find('/');
  const auto bad = [&] { refuse_xml(400, "InvalidArgument", "Content-Range cannot be read"); };
  if (!text.starts_with("bytes ") || slash == std::string_view::npos) bad();
  ContentRange out;
  out.total = number_in(text.substr(slash + 1));
  if (!out.total && text.substr(slash + 1) != "*") bad();
  const auto range = text.substr(6, slash - 6);
  if (range == "*") return out;
  const auto dash = range.find('-');
  if (dash == std::string_view::npos) bad();
  out.first = number_in(range.substr(0, dash));
  out.last = number_in(range.substr(dash + 1));
  if (!out.first || !out.last || *out.first > *out.last) bad();
  return out;
}

Response start(World& world, const Request& request) {
  const auto url = signed_url(world, request, StoreKind::gcp);
  if (request.header("x-goog-resumable") != "start")
    refuse_xml(400, "InvalidArgument", "x-goog-resumable: start is missing");
  const auto id = world.objects.new_id();
  world.objects.sessions[id] = {url.project, url.path, request.header("content-type"), world.objects.make_blob()};
  return {201, {}, {}, {{"Location", fmt::format("{}/storage/gcp-session/{}", world.access.url(), id)}}};
}

Response so_far(const GcpSession& session) {
  Response response{308, {}, {}, {}};
  if (session.blob->size() > 0)
    response.headers.emplace_back("Range", fmt::format("bytes=0-{}", session.blob->size() - 1));
  return response;
}

Response finish(World& world, GcpSession& session) {
  session.size = session.blob->size();
  keep_file(
      world,
      {session.project, session.path, session.content_type, session.size, sha256_of({session.blob.get()}), {}, {}, {}});
  session.complete = true;
  session.blob.reset();
  return {200, {}, {}, {}};
}

/// Takes what follows on what is there. Part of it only where a fault says so.
void take(ObjectStore& objects, GcpSession& session, const ContentRange& range, const Blob& bytes) {
  const auto have = session.blob->size();
  if (*range.first > have) return;
  session.blob->append(bytes, have - *range.first);
  if (objects.keep_less == 0 || session.blob->size() == have) return;
  --objects.keep_less;
  const auto keep = (session.blob->size() - have) / 2 / chunk_step * chunk_step;
  session.blob->truncate(have + keep);
}

Response put(World& world, const Request& request) {
  const auto found = world.objects.sessions.find(request.vars.at("id"));
  if (found == world.objects.sessions.end()) refuse_xml(404, "NoSuchUpload", "The upload session is not there.");
  auto& session = found->second;
  const auto range = content_range(request);
  if (session.complete) return {200, {}, {}, {}};
  if (!range.first) {
    if (range.total == session.blob->size()) return finish(world, session);
    return so_far(session);
  }
  const bool last = range.total && *range.last + 1 == *range.total;
  if (request.spooled->size() != *range.last - *range.first + 1)
    refuse_xml(400, "InvalidArgument", "the body is not as long as Content-Range says");
  if (!last && request.spooled->size() % chunk_step != 0)
    refuse_xml(400, "InvalidArgument", "a chunk is a multiple of 256 KiB");
  take(world.objects, session, range, *request.spooled);
  if (range.total && session.blob->size() == *range.total) return finish(world, session);
  return so_far(session);
}

}  // namespace

void add_gcp_store(World& world) {
  add_store_route(world, "POST", "/storage/gcp/{id}",
                  [&world](const Request& request) { return start(world, request); });
  add_store_route(world, "PUT", "/storage/gcp-session/{id}",
                  [&world](const Request& request) { return put(world, request); });
}

}  // namespace neptune::sandbox
