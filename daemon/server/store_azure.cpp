// Azure Blob Storage: a blob in one PUT, or in blocks and then their list.
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "server/impl/sending.h"
#include "server/impl/text.h"
#include "support/base64.h"

namespace neptune::server {

namespace asio = boost::asio;
using Kind = UploadOutcome::Kind;

namespace {

/// Of a blob whose signed URL has a query already, or has none.
std::string with_query(const std::string& url, const std::string& more) {
  return url + (url.find('?') == std::string::npos ? "?" : "&") + more;
}

/// All of a blob's ids have the same length. What they begin with tells this upload's blocks from another's.
std::string block_id(const UploadProgress& progress, std::uint32_t number) {
  return encode_base64(fmt::format("{}-{:06}", progress.session, number));
}

std::string new_session() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

std::expected<Request, UploadOutcome> request_to(const std::string& to) {
  auto url = Url::parse(to);
  if (!url)
    return std::unexpected(outcome(Kind::stalled, "invalid_answer", "the server signed something that is no URL"));
  Request request;
  request.method = "PUT";
  request.url = std::move(*url);
  return request;
}

std::uint64_t step_up(std::uint64_t bytes) {
  constexpr auto step = upload_limits::chunk_step;
  return std::max<std::uint64_t>((bytes + step - 1) / step, 1) * step;
}

std::uint64_t block_size(const Sending& sending) {
  constexpr std::uint64_t most = upload_limits::azure_blocks;
  const auto chunk = sending.settings.chunk_size / std::max<std::size_t>(sending.settings.parallel_parts, 1);
  return step_up(std::max<std::uint64_t>(chunk, (sending.size + most - 1) / most));
}

asio::awaitable<UploadOutcome> put_whole(Sending* sending, Upload* upload) {
  auto request = request_to(upload->signed_file->url);
  if (!request) co_return std::move(request.error());
  request->headers = {{"x-ms-blob-type", "BlockBlob"},
                      {"x-ms-blob-content-type", upload->content_type},
                      {"Content-Type", upload->content_type}};
  const Stretch whole{0, sending->size};
  const auto response = co_await send_stretch(sending, std::move(*request), whole);
  if (!response) co_return outcome_of_transport(response.error());
  if (!is_good(*response)) co_return outcome_of_store(*response, false, sending->api->clock.wall());
  co_return UploadOutcome{};
}

asio::awaitable<std::expected<std::string, UploadOutcome>> put_block(Sending* sending, std::uint32_t number,
                                                                     Stretch stretch) {
  auto id = block_id(sending->progress, number);
  auto request = request_to(with_query(sending->progress.url, "comp=block&blockid=" + percent_encode(id)));
  if (!request) co_return std::unexpected(std::move(request.error()));
  const auto response = co_await send_stretch(sending, std::move(*request), stretch);
  if (!response) co_return std::unexpected(outcome_of_transport(response.error()));
  if (!is_good(*response)) co_return std::unexpected(outcome_of_store(*response, false, sending->api->clock.wall()));
  co_return id;
}

asio::awaitable<UploadOutcome> put_list(Sending* sending, Upload* upload) {
  auto request = request_to(with_query(sending->progress.url, "comp=blocklist"));
  if (!request) co_return std::move(request.error());
  request->headers = {{"x-ms-blob-content-type", upload->content_type}, {"Content-Type", "application/xml"}};
  std::string list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
  const auto count = part_count(sending->size, sending->progress.part_size);
  for (std::uint32_t number = 1; number <= count; ++number)
    list += "<Latest>" + block_id(sending->progress, number) + "</Latest>";
  request->body = server::body_of(list + "</BlockList>");
  const auto response = co_await send_small(sending, std::move(*request));
  if (!response) co_return outcome_of_transport(response.error());
  if (is_good(*response)) co_return UploadOutcome{};
  if (response->body.find("InvalidBlockList") != std::string::npos)
    co_return outcome(Kind::start_over, "session_gone", "the object store has dropped blocks of the upload");
  co_return outcome_of_store(*response, false, sending->api->clock.wall());
}

/// Brings what was saved and what was signed together, and saves it.
asio::awaitable<End> prepare(Sending* sending, Upload* upload) {
  auto& progress = sending->progress;
  if (progress.session.empty()) {
    progress = {.provider = Provider::azure,
                .file = sending->file->identity(),
                .session = new_session(),
                .part_size = block_size(*sending)};
  }
  if (upload->signed_file) {
    progress.url = upload->signed_file->url;
    co_return co_await save(sending);
  }
  if (progress.url.empty()) co_return outcome(Kind::expired, "not_signed", "the file's upload needs a signed URL");
  co_return std::nullopt;
}

asio::awaitable<UploadOutcome> send_in_blocks(Sending* sending, Upload* upload) {
  auto end = co_await prepare(sending, upload);
  if (!end) end = co_await send_parts(sending, &put_block);
  if (!end) end = co_await check_file(sending);
  auto how = UploadOutcome();
  if (end)
    how = std::move(*end);
  else
    how = co_await put_list(sending, upload);
  End not_kept;
  if (how.kind == Kind::start_over) {
    not_kept = co_await clear(sending);
  } else if (how.kind == Kind::expired && !sending->progress.url.empty()) {
    // The blocks stay good: another URL of the blob will do.
    sending->progress.url.clear();
    not_kept = co_await save(sending);
  }
  if (not_kept) co_return std::move(*not_kept);
  co_return how;
}

}  // namespace

asio::awaitable<UploadOutcome> send_to_azure(Sending* sending, Upload* upload) {
  const bool begun = !sending->progress.session.empty();
  if (begun || sending->size > step_up(sending->settings.chunk_size))
    co_return co_await send_in_blocks(sending, upload);
  if (!upload->signed_file) co_return outcome(Kind::expired, "not_signed", "the file's upload needs a signed URL");
  co_return co_await put_whole(sending, upload);
}

}  // namespace neptune::server
