#include <fmt/format.h>

#include "changes/limits.h"
#include "proto/ingest_pub.pb.h"
#include "server/impl/json_call.h"
#include "server/impl/server_impl.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace pub = ingest::v1::pub;

namespace {

constexpr std::int32_t not_processed_yet = 14;  // google.rpc.Code UNAVAILABLE
// A status takes some tens of bytes and a message; this is for the longest list of ids with a long message each.
constexpr std::size_t longest_check_answer = 8u << 20;

std::vector<Header> protobuf_headers() {
  return {{"Content-Type", "application/x-protobuf"}, {"Accept", "application/x-protobuf"}};
}

Call ingest_call(Body body) {
  return {.method = "POST",
          .target = "/api/client/v1/ingest",
          .headers = protobuf_headers(),
          .body = std::move(body),
          .intent = Intent::write};
}

bool parse(google::protobuf::MessageLite& message, const std::string& bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

RequestStatus convert(const pub::RequestStatus& status) {
  RequestStatus out;
  // Without a single count it says nothing, and nothing may be taken out of its source for that.
  out.pending = status.code_by_count().empty();
  for (const auto& each : status.code_by_count()) {
    out.pending = out.pending || each.code() == not_processed_yet;
    out.counts.push_back({each.code(), each.count(), static_cast<IngestCode>(each.detail())});
  }
  out.message = excerpt(status.shared_error_message());
  return out;
}

}  // namespace

namespace {

/// A request that asks for nothing: a server with ingestion refuses it, and what matters is in which way.
asio::awaitable<Answer<bool>> ask_for_ingest(std::shared_ptr<Api> api) {
  auto call = ingest_call(Body());
  const auto answer = co_await Session::call(api->session, std::move(call));
  if (!answer && answer.error().status == 0) co_return std::unexpected(answer.error());
  const auto status = answer ? answer->status : answer.error().status;
  const bool of_no_use = (status >= 300 && status < 400) || status == 401 || status == 408 || status == 429 ||
                         (status >= 500 && status != 501);
  if (of_no_use) co_return std::unexpected(answer.error());
  // That it is missing is never final: a way to the server whose last stretch is down says so, too.
  api->learned->ingest = status != 404 && status != 405 && status != 501;
  co_return api->learned->ingest;
}

}  // namespace

asio::awaitable<Answer<bool>> has_ingest(std::shared_ptr<Api> api) {
  if (api->learned->ingest) co_return true;
  auto has = co_await ask_for_ingest(api);
  if (!has || *has || api->learned->lacks_ingest) co_return has;
  // Of a server that restarts everything is missing for a moment: it counts when the server answers before and after.
  auto config = reading("/api/backend/v1/clients/config");
  const auto well = co_await ask_object(api, std::move(config));
  if (!well) co_return std::unexpected(well.error());
  has = co_await ask_for_ingest(api);
  api->learned->lacks_ingest = has && !*has;
  co_return has;
}

asio::awaitable<Answer<std::string>> submit(std::shared_ptr<Api> api, Body body) {
  auto call = ingest_call(std::move(body));
  auto response = co_await Session::call(api->session, std::move(call));
  if (!response) co_return std::unexpected(std::move(response.error()));
  pub::SubmitResponse answer;
  if (!parse(answer, response->body)) co_return std::unexpected(invalid_answer("an ingest request"));
  const auto& id =
      answer.request_ids().empty() ? answer.request_id() : answer.request_ids(answer.request_ids_size() - 1);
  if (id.empty()) co_return std::unexpected(invalid_answer("an ingest request"));
  api->learned->ingest = true;
  co_return id;
}

asio::awaitable<Answer<std::vector<RequestStatus>>> check(std::shared_ptr<Session> session, ProjectName project,
                                                          std::vector<std::string> ids) {
  std::vector<RequestStatus> statuses;
  if (ids.empty()) co_return statuses;
  if (ids.size() > limits::check_ids) {
    co_return std::unexpected(Failure{
        Failure::Kind::rejected, "too_many_ids",
        fmt::format("{} requests were to be checked at once; ask for at most {}", ids.size(), limits::check_ids),
        std::nullopt});
  }
  pub::RequestIdList list;
  for (auto& id : ids) list.add_ids()->set_value(std::move(id));
  Call call{.method = "POST",
            .target = "/api/client/v1/ingest/check?projectIdentifier=" + percent_encode(project.full()),
            .headers = protobuf_headers(),
            .body = body_of(list.SerializeAsString()),
            .intent = Intent::read,
            .max_answer_bytes = longest_check_answer};
  auto response = co_await Session::call(std::move(session), std::move(call));
  if (!response) co_return std::unexpected(std::move(response.error()));
  pub::BulkRequestStatus answer;
  if (!parse(answer, response->body) || answer.statuses().size() != list.ids().size())
    co_return std::unexpected(invalid_answer("a check"));
  for (const auto& status : answer.statuses()) statuses.push_back(convert(status));
  co_return statuses;
}

}  // namespace neptune::server
