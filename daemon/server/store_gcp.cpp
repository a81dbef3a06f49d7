// Google Cloud Storage: a resumable session, which itself knows how far it is.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "server/impl/sending.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
using Kind = UploadOutcome::Kind;

namespace {

constexpr int most_standstills = 3;  // chunks in a row of which the store keeps nothing
constexpr std::size_t longest_session = 8192;

/// How far a session is; `complete`: it has all.
struct Standing {
  std::uint64_t offset = 0;
  bool complete = false;
};
using Asked = std::expected<Standing, UploadOutcome>;

/// "bytes=0-N"; no such header: nothing is there.
std::optional<std::uint64_t> bytes_kept(const Response& response) {
  const auto range = trim(response.header("range"));
  if (range.empty()) return 0;
  constexpr std::string_view begin = "bytes=0-";
  std::uint64_t last = 0;
  if (!range.starts_with(begin)) return std::nullopt;
  const auto digits = range.substr(begin.size());
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), last);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size() || last == UINT64_MAX) return std::nullopt;
  return last + 1;
}

Asked standing_of(const Sending& sending, const Answer<Response>& response) {
  if (!response) return fails(outcome_of_transport(response.error()));
  if (is_good(*response)) return Standing{sending.size, true};
  if (response->status != 308) {
    auto how = outcome_of_store(*response, true, sending.api->clock.wall());
    // Another URL would not open this session again.
    if (how.kind == Kind::expired) how.kind = Kind::start_over;
    return fails(std::move(how));
  }
  const auto kept = bytes_kept(*response);
  if (!kept || *kept > sending.size)
    return fails(outcome(Kind::start_over, "session_gone", "the object store's session does not fit the file"));
  return Standing{*kept, false};
}

Request session_request(const Sending& sending, std::string range) {
  Request request;
  request.method = "PUT";
  // It was looked at when it was taken.
  if (auto url = Url::parse(sending.progress.session)) request.url = std::move(*url);
  request.headers.push_back({"Content-Range", std::move(range)});
  return request;
}

/// Also how an empty file is sent.
asio::awaitable<Asked> ask(Sending* sending) {
  auto request = session_request(*sending, fmt::format("bytes */{}", sending->size));
  const auto response = co_await send_small(sending, std::move(request));
  co_return standing_of(*sending, response);
}

asio::awaitable<Asked> send_chunk(Sending* sending, Stretch chunk) {
  const auto range = fmt::format("bytes {}-{}/{}", chunk.offset, chunk.offset + chunk.size - 1, sending->size);
  auto request = session_request(*sending, range);
  const auto response = co_await send_stretch(sending, std::move(request), chunk);
  auto standing = standing_of(*sending, response);
  if (standing && standing->complete && chunk.offset + chunk.size < sending->size)
    co_return fails(
        outcome(Kind::start_over, "session_gone", "the object store said it had the whole file when it had not"));
  co_return standing;
}

asio::awaitable<End> begin(Sending* sending, Upload* upload) {
  if (!upload->signed_file) co_return outcome(Kind::expired, "not_signed", "the file's upload needs a signed URL");
  auto url = Url::parse(upload->signed_file->url);
  if (!url) co_return outcome(Kind::stalled, "invalid_answer", "the server signed something that is no URL");
  Request request;
  request.method = "POST";
  request.url = std::move(*url);
  request.headers = {{"X-goog-resumable", "start"}, {"Content-Type", upload->content_type}};
  const auto response = co_await send_small(sending, std::move(request));
  if (!response) co_return outcome_of_transport(response.error());
  if (!is_good(*response)) co_return outcome_of_store(*response, false, sending->api->clock.wall());
  const std::string session(response->header("location"));
  if (session.size() > longest_session || !Url::parse(session))
    co_return outcome(Kind::stalled, "invalid_answer", "the object store named no session for the upload");
  sending->progress = {.provider = Provider::gcp, .file = sending->file->identity(), .session = session};
  co_return co_await save(sending);
}

std::uint64_t chunk_size(const Sending& sending) {
  const auto steps = sending.settings.chunk_size / upload_limits::chunk_step;
  return std::max<std::uint64_t>(steps, 1) * upload_limits::chunk_step;
}

/// From where the session is to the end.
asio::awaitable<Asked> send_from(Sending* sending, Standing standing) {
  const auto size = sending->size;
  for (int standstills = 0; !standing.complete;) {
    sending->done = standing.offset;
    sending->report();
    if (standing.offset == size) {
      auto asked = co_await ask(sending);
      if (!asked) co_return asked;
      if (!asked->complete && asked->offset == size)
        co_return fails(outcome(Kind::stalled, "not_complete", "the object store has all bytes but does not finish"));
      standing = *asked;
      continue;
    }
    const Stretch chunk{standing.offset, std::min(chunk_size(*sending), size - standing.offset)};
    const auto after = co_await send_chunk(sending, chunk);
    if (!after) co_return after;
    standstills = after->complete || after->offset > standing.offset ? 0 : standstills + 1;
    if (standstills == most_standstills)
      co_return fails(outcome(Kind::stalled, "no_progress", "the object store keeps nothing of what is sent"));
    standing = *after;
    if (standing.complete) break;
    auto halted = may_go_on(*sending);
    if (halted) co_return fails(std::move(*halted));
  }
  co_return standing;
}

}  // namespace

asio::awaitable<UploadOutcome> send_to_gcp(Sending* sending, Upload* upload) {
  Asked standing;
  if (sending->progress.session.empty()) {
    auto end = co_await begin(sending, upload);
    if (end) co_return std::move(*end);
  } else {
    standing = co_await ask(sending);
  }
  if (standing) standing = co_await send_from(sending, *standing);
  if (!standing && standing.error().kind == Kind::start_over) {
    auto not_cleared = co_await clear(sending);
    if (not_cleared) co_return std::move(*not_cleared);
  }
  if (!standing) co_return std::move(standing.error());
  sending->done = sending->size;
  co_return UploadOutcome{};
}

}  // namespace neptune::server
