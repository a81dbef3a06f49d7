// S3: a file in one PUT, or in parts that the Neptune server puts together.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "server/impl/json_call.h"
#include "server/impl/sending.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;
using Kind = UploadOutcome::Kind;

namespace {

/// Sends a stretch to a signed URL; its ETag.
asio::awaitable<std::expected<std::string, UploadOutcome>> put(Sending* sending, std::string to,
                                                               std::string content_type, Stretch stretch,
                                                               bool in_session) {
  auto url = Url::parse(to);
  if (!url) co_return fails(outcome(Kind::stalled, "invalid_answer", "the server signed something that is no URL"));
  Request request;
  request.method = "PUT";
  request.url = std::move(*url);
  if (!content_type.empty()) request.headers.push_back({"Content-Type", std::move(content_type)});
  auto response = co_await send_stretch(sending, std::move(request), stretch);
  if (!response) co_return fails(outcome_of_transport(std::move(response.error())));
  if (!is_good(*response)) co_return fails(outcome_of_store(*response, in_session, sending->api->clock.wall()));
  std::string etag(trim(response->header("etag")));
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) etag = etag.substr(1, etag.size() - 2);
  if (etag.empty() || etag.size() > 200) {
    sending->done -= std::min(sending->done, stretch.size);
    co_return fails(
        outcome(Kind::stalled, "etag_missing", "the object store confirms a piece of the file without an ETag"));
  }
  co_return etag;
}

asio::awaitable<std::expected<std::string, UploadOutcome>> put_part(Sending* sending, std::uint32_t number,
                                                                    Stretch stretch) {
  return put(sending, sending->progress.part_urls[number - 1], {}, stretch, true);
}

JsonCall completion(const Sending& sending, const Upload& upload) {
  auto parts = sending.progress.finished;
  std::ranges::sort(parts, {}, &FinishedPart::number);
  json::array list;
  for (const auto& part : parts) list.push_back({{"part_number", part.number}, {"etag", part.tag}});
  const json::object body{{"project_identifier", upload.project.full()},
                          {"path", upload.path},
                          {"upload_id", sending.progress.session},
                          {"parts", std::move(list)}};
  return writing("POST", "/api/storagebridge/v1/s3/completeMultipartUpload", {}, text_of(body));
}

/// The storage bridge says 400 of an upload it does not know, and of parts the store does not have.
bool is_gone(const Failure& failure) {
  return failure.kind == Failure::Kind::rejected &&
         (failure.status == 400 || failure.status == 404 || failure.status == 409 || failure.status == 410);
}

asio::awaitable<UploadOutcome> complete(Sending* sending, Upload* upload) {
  auto call = completion(*sending, *upload);
  const auto answer = co_await send(sending->api, std::move(call));
  if (answer) co_return UploadOutcome{};
  if (!is_gone(answer.error())) co_return outcome_of_server(answer.error());
  auto not_cleared = co_await clear(sending);
  if (not_cleared) co_return std::move(*not_cleared);
  co_return outcome(Kind::start_over, "session_gone",
                    fmt::format("the server could not put the parts of the file together: {}", answer.error().message));
}

bool fits(const SignedFile::Multipart& multipart, std::uint64_t size) {
  return size > 0 && multipart.part_size > 0 && !multipart.upload_id.empty() &&
         (size + multipart.part_size - 1) / multipart.part_size == multipart.part_urls.size();
}

/// Brings what was saved and what was signed together. `changed`: it is to be saved.
End prepare(Sending& sending, const Upload& upload, bool& changed) {
  auto& progress = sending.progress;
  const auto* given = upload.signed_file && upload.signed_file->multipart ? &*upload.signed_file->multipart : nullptr;
  if (given != nullptr && !fits(*given, sending.size))
    return outcome(Kind::stalled, "invalid_answer", "the server signed parts that do not make up the file");
  const bool same = given != nullptr && given->upload_id == progress.session && given->part_size == progress.part_size;
  if (!progress.session.empty() && !progress.part_urls.empty() && !same) return std::nullopt;
  if (given == nullptr) return outcome(Kind::expired, "not_signed", "the file's upload needs a signed URL");
  auto finished = same ? std::move(progress.finished) : std::vector<FinishedPart>();
  progress = {.provider = Provider::aws,
              .file = sending.file->identity(),
              .session = given->upload_id,
              .part_size = given->part_size,
              .part_urls = given->part_urls,
              .finished = std::move(finished)};
  changed = true;
  return std::nullopt;
}

/// Its URLs are no longer good; its parts are, should the server sign the same upload again.
asio::awaitable<UploadOutcome> expire(Sending* sending, UploadOutcome how) {
  sending->progress.part_urls.clear();
  auto not_saved = co_await save(sending);
  if (not_saved) co_return std::move(*not_saved);
  co_return how;
}

asio::awaitable<UploadOutcome> send_in_parts(Sending* sending, Upload* upload) {
  bool changed = false;
  auto not_ready = prepare(*sending, *upload, changed);
  if (not_ready) co_return std::move(*not_ready);
  if (changed) {
    auto not_saved = co_await save(sending);
    if (not_saved) co_return std::move(*not_saved);
  }
  auto end = co_await send_parts(sending, &put_part);
  if (!end) end = co_await check_file(sending);
  // A call to the Neptune server, which may be closed to us by now.
  if (!end) end = may_go_on(*sending);
  if (!end) co_return co_await complete(sending, upload);
  if (end->kind == Kind::expired) co_return co_await expire(sending, std::move(*end));
  if (end->kind == Kind::start_over) {
    auto not_cleared = co_await clear(sending);
    if (not_cleared) co_return std::move(*not_cleared);
  }
  co_return std::move(*end);
}

}  // namespace

asio::awaitable<UploadOutcome> send_to_aws(Sending* sending, Upload* upload) {
  const bool begun = !sending->progress.session.empty();
  const bool one_put = upload->signed_file && !upload->signed_file->multipart;
  if (!begun && !upload->signed_file)
    co_return outcome(Kind::expired, "not_signed", "the file's upload needs a signed URL");
  if (!one_put || (begun && !sending->progress.part_urls.empty())) co_return co_await send_in_parts(sending, upload);
  const Stretch whole{0, sending->size};
  auto etag = co_await put(sending, upload->signed_file->url, upload->content_type, whole, false);
  if (!etag) co_return std::move(etag.error());
  co_return UploadOutcome{};
}

}  // namespace neptune::server
