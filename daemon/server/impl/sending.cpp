#include "server/impl/sending.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <set>

#include "server/impl/cancel.h"
#include "server/impl/retry_after.h"
#include "server/impl/text.h"
#include "server/impl/transport.h"
#include "support/bandwidth.h"
#include "support/worker_pool.h"

namespace neptune::server {

namespace asio = boost::asio;
using Kind = UploadOutcome::Kind;

namespace {

constexpr std::size_t piece_bytes = 64u << 10;

/// Where a body has got to.
struct Pieces {
  Sending& sending;
  std::uint64_t offset, end;
  std::uint64_t taken = 0;
  std::array<char, piece_bytes> buffer{};
};

asio::awaitable<Result<std::string_view>> next_piece(std::shared_ptr<Pieces> pieces) {
  auto& sending = pieces->sending;
  if (sending.stopping) co_return fail("upload_stopped", "another part of the file could not be sent", true);
  const auto& file = sending.file;
  auto* const pool = sending.settings.files;
  if (pieces->offset == pieces->end) co_return std::string_view{};
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, pieces->end - pieces->offset));
  if (sending.settings.bandwidth) co_await sending.settings.bandwidth->take(size);
  // The last one leaves only when the file is still what it was: one that was changed meanwhile never arrives whole.
  auto read = [&file, &pieces, size]() -> Result<void> {
    auto done = file->read(pieces->offset, pieces->buffer.data(), size);
    return done && pieces->offset + size == pieces->end ? file->check() : done;
  };
  auto was_read = co_await pool->run(read);
  if (!was_read) co_return std::unexpected(std::move(was_read.error()));
  pieces->offset += size;
  pieces->taken += size;
  sending.done += size;
  sending.sent += size;
  sending.report();
  co_return std::string_view(pieces->buffer.data(), size);
}

/// The <Code> of a store's XML error, where it is one that may be shown.
std::string code_in(const Response& response) {
  const auto from = response.body.find("<Code>");
  if (from == std::string::npos) return {};
  const auto end = response.body.find("</Code>", from);
  if (end == std::string::npos || end - from > 106) return {};
  const auto code = response.body.substr(from + 6, end - from - 6);
  return is_header_value(code) && !code.empty() ? code : std::string();
}

bool tells_of_expiry(const Response& response) {
  return response.body.find("xpired") != std::string::npos;
}

/// Parts that are being sent by several at once.
struct PartsAtWork {
  Sending* sending;
  PutPart put;
  std::vector<std::uint32_t> open;  // the next one last
  std::vector<FinishedPart> to_add;
  bool adding = false;
  End end;
};

/// The store takes one call at a time: whoever comes while one is in progress leaves its part to that one.
asio::awaitable<Result<void>> add(PartsAtWork* work, FinishedPart part) {
  work->to_add.push_back(std::move(part));
  if (work->adding) co_return Result<void>();
  work->adding = true;
  Result<void> all;
  while (!work->to_add.empty()) {
    auto next = std::move(work->to_add.front());
    work->to_add.erase(work->to_add.begin());
    work->sending->progress.finished.push_back(next);
    if (work->sending->store == nullptr) continue;
    // Also after one could not be kept: each that is kept need not be sent again.
    auto added = co_await work->sending->store->add(std::move(next));
    if (!added) all = std::move(added);
  }
  work->adding = false;
  co_return all;
}

void end_with(PartsAtWork& work, UploadOutcome how) {
  // The first reason counts: what follows may be of its making.
  if (!work.end) work.end = std::move(how);
  work.open.clear();
  if (work.end->kind == Kind::source) work.sending->stopping = true;
}

asio::awaitable<void> send_open_parts(PartsAtWork* work) {
  auto& progress = work->sending->progress;
  while (!work->open.empty()) {
    const auto number = work->open.back();
    work->open.pop_back();
    const auto stretch = part_at(work->sending->size, progress.part_size, number);
    auto unchanged = co_await check_file(work->sending);
    if (unchanged) co_return end_with(*work, std::move(*unchanged));
    auto tag = co_await work->put(work->sending, number, stretch);
    if (!tag) co_return end_with(*work, std::move(tag.error()));
    FinishedPart part{number, std::move(*tag)};
    auto added = co_await add(work, std::move(part));
    if (!added) co_return end_with(*work, outcome_of(added.error()));
    if (work->open.empty()) co_return;
    auto halted = may_go_on(*work->sending);
    if (halted) co_return end_with(*work, std::move(*halted));
  }
}

}  // namespace

UploadOutcome outcome(Kind kind, std::string code, std::string message) {
  UploadOutcome out;
  out.kind = kind;
  out.code = std::move(code);
  out.message = std::move(message);
  return out;
}

UploadOutcome outcome_of(const Error& error) {
  const bool of_the_file = error.code.starts_with("file_") && !error.retryable;
  return outcome(of_the_file ? Kind::source : Kind::later, error.code, error.message);
}

UploadOutcome outcome_of_server(Failure failure) {
  if (failure.kind == Failure::Kind::source) return outcome_of_transport(std::move(failure));
  auto out = outcome(Kind::server, failure.code, failure.message);
  out.retry_after = failure.retry_after;
  out.failure = std::move(failure);
  return out;
}

UploadOutcome outcome_of_transport(Failure failure) {
  const bool of_the_file = failure.kind == Failure::Kind::source && failure.code != "file_unreadable_now" &&
                           failure.code != "upload_stopped";
  const bool makes_no_sense = failure.kind == Failure::Kind::server_error;
  const auto kind = of_the_file ? Kind::source : makes_no_sense ? Kind::stalled : Kind::later;
  auto out = outcome(kind, std::move(failure.code), std::move(failure.message));
  out.retry_after = failure.retry_after;
  return out;
}

UploadOutcome outcome_of_store(const Response& response, bool in_session, WallTime now) {
  const auto code = fmt::format("http_{}", response.status);
  const auto word = code_in(response);
  const auto said = fmt::format("HTTP {}{}{}", response.status, word.empty() ? "" : " ", word);
  switch (response.status) {
    case 401:
    case 402:
    case 403:
    case 422:
      return outcome(Kind::expired, code, fmt::format("the object store does not take the signed URL ({})", said));
    case 404:
    case 410:
      if (in_session)
        return outcome(Kind::start_over, "session_gone",
                       fmt::format("the object store does not know the upload any more ({})", said));
      break;
    case 400:
      if (tells_of_expiry(response))
        return outcome(Kind::expired, code, fmt::format("the signed URL has expired ({})", said));
      return outcome(Kind::stalled, code, fmt::format("the object store refuses a piece of the file ({})", said));
    case 408:
    case 425:
    case 429: {
      auto out = outcome(Kind::later, code, fmt::format("the object store wants a pause ({})", said));
      out.retry_after = parse_retry_after(response.header("retry-after"), now);
      return out;
    }
    default:
      break;
  }
  if (response.status >= 500) {
    auto out = outcome(Kind::later, code, fmt::format("the object store failed ({})", said));
    out.retry_after = parse_retry_after(response.header("retry-after"), now);
    return out;
  }
  if (response.status >= 300 && response.status < 400)
    return outcome(Kind::refused, code,
                   fmt::format("the object store answered with a redirect ({}), which is not followed", said));
  return outcome(Kind::refused, code, fmt::format("the object store refuses the file ({})", said));
}

asio::awaitable<Answer<Response>> send_stretch(Sending* sending, Request request, Stretch stretch) {
  auto pieces = std::make_shared<Pieces>(*sending, stretch.offset, stretch.offset + stretch.size);
  const auto bytes = stretch.size;
  if (bytes > 0) request.body = {{}, bytes, [pieces] { return next_piece(pieces); }};
  auto response = co_await Transport::send(sending->stores, request);
  if (!response || !is_good(*response)) {
    sending->done -= std::min(sending->done, pieces->taken);
    sending->report();
  }
  co_return response;
}

Body body_for(Sending& sending, Stretch stretch) {
  Body body;
  if (stretch.size > 0 && sending.content != nullptr) {
    sending.done += stretch.size;
    sending.sent += stretch.size;
    body = server::body_of(sending.content->substr(stretch.offset, stretch.size));
  } else if (stretch.size > 0) {
    auto pieces = std::make_shared<Pieces>(sending, stretch.offset, stretch.offset + stretch.size);
    body = {{}, stretch.size, [pieces] { return next_piece(pieces); }};
  }
  body.may_begin = sending.api->may_begin;
  return body;
}

asio::awaitable<Answer<Response>> send_small(Sending* sending, Request request) {
  co_return co_await Transport::send(sending->stores, request);
}

End may_go_on(const Sending& sending) {
  if (sending.store == nullptr) return std::nullopt;
  const auto may = sending.store->may_go_on();
  if (may) return std::nullopt;
  return outcome_of(may.error());
}

asio::awaitable<End> check_file(Sending* sending) {
  if (!sending->file) co_return std::nullopt;
  auto check = [file = sending->file] { return file->check(); };
  auto checked = co_await sending->settings.files->run(check);
  if (checked) co_return std::nullopt;
  co_return outcome_of(checked.error());
}

asio::awaitable<End> save(Sending* sending) {
  if (sending->store == nullptr) co_return std::nullopt;
  auto progress = sending->progress;
  auto saved = co_await sending->store->save(std::move(progress));
  if (saved) co_return std::nullopt;
  co_return outcome_of(saved.error());
}

asio::awaitable<End> clear(Sending* sending) {
  sending->progress = UploadProgress{};
  if (sending->store == nullptr) co_return std::nullopt;
  auto cleared = co_await sending->store->clear();
  if (cleared) co_return std::nullopt;
  co_return outcome_of(cleared.error());
}

asio::awaitable<End> send_parts(Sending* sending, PutPart put) {
  auto& progress = sending->progress;
  const auto count = part_count(sending->size, progress.part_size);
  std::erase_if(progress.finished, [count](const auto& part) { return part.number < 1 || part.number > count; });
  std::set<std::uint32_t> there;
  for (const auto& part : progress.finished)
    if (there.insert(part.number).second) sending->done += part_at(sending->size, progress.part_size, part.number).size;
  sending->report();
  PartsAtWork work{sending, put, {}, {}, false, {}};
  for (auto number = count; number > 0; --number)
    if (!there.contains(number)) work.open.push_back(number);
  if (work.open.empty()) co_return std::nullopt;

  const auto executor = co_await asio::this_coro::executor;
  using Sender = decltype(asio::co_spawn(executor, send_open_parts(&work), asio::deferred));
  std::vector<Sender> senders;
  // Together no more than a chunk: that is what a broken connection or a killed process costs.
  const auto within_chunk = std::max<std::uint64_t>(1, sending->settings.chunk_size / progress.part_size);
  const auto most = std::min<std::uint64_t>(sending->settings.parallel_parts, within_chunk);
  const auto at_once = std::clamp<std::size_t>(most, 1, work.open.size());
  for (std::size_t i = 0; i < at_once; ++i)
    senders.push_back(asio::co_spawn(executor, send_open_parts(&work), asio::deferred));
  auto all = asio::experimental::make_parallel_group(std::move(senders));
  const auto [order, threw] = co_await all.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  co_await throw_if_cancelled();
  for (const auto& each : threw)
    if (each) std::rethrow_exception(each);
  co_return std::move(work.end);
}

std::uint32_t part_count(std::uint64_t size, std::uint64_t part_size) {
  return static_cast<std::uint32_t>((size + part_size - 1) / part_size);
}

Stretch part_at(std::uint64_t size, std::uint64_t part_size, std::uint32_t number) {
  const auto offset = (number - 1) * part_size;
  return {offset, std::min(part_size, size - offset)};
}

}  // namespace neptune::server
