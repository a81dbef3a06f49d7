// The ingestion of 3.x clients: submit, which only queues, and check.
#include <google/protobuf/arena.h>

#include "changes/limits.h"
#include "proto/ingest.pb.h"
#include "proto/ingest_pub.pb.h"
#include "tests/sandbox/world.h"

namespace neptune::sandbox {

namespace pub = ingest::v1::pub;

namespace {

constexpr int rpc_unavailable = 14;
constexpr int rpc_not_found = 5;

Response protobuf(const google::protobuf::MessageLite& message) {
  return {200, message.SerializeAsString(), "application/x-protobuf", {}};
}

Response bad_request(const std::string& message) {
  return error_response(400, "", message);
}

/// Why the operations cannot be read; empty when they can.
std::string damage_of(const IngestRequest& request) {
  google::protobuf::Arena arena;
  if (request.create) {
    ingest::v1::Run run;
    if (!run.ParseFromArray(request.create->data(), static_cast<int>(request.create->size())))
      return "the create cannot be read";
    return request.run.empty() && run.run_id().empty() ? "the request names no run" : "";
  }
  if (request.run.empty()) return "the request names no run";
  for (const auto bytes : request.snapshots) {
    if (bytes.size() > limits::snapshot_bytes) return "a snapshot is larger than 2 MiB";
    arena.Reset();
    auto* snapshot = google::protobuf::Arena::CreateMessage<ingest::v1::UpdateRunSnapshot>(&arena);
    if (!snapshot->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return "a snapshot cannot be read";
  }
  return {};
}

Response no_ingestion() {
  return error_response(404, "", "there is no ingestion API here");
}

Response submit(World& world, const Request& request) {
  const auto operation = read_request(request.body);
  if (!operation) return bad_request(operation.error().message);
  if (auto damage = damage_of(*operation); !damage.empty()) return bad_request(damage);
  if (const auto name = ProjectName::parse(operation->project))
    if (auto refusal = world.store.refuse_write(*name, true)) {
      // A bare 422 does not say that it speaks of a mode.
      const bool said = refusal->status != 422 || refusal->body.find("errorType") != std::string::npos;
      world.traffic.note(
          {.scope = name->full(), .read_only = said ? world.store.read_only_scope(*name) : std::string()});
      return *refusal;
    }
  // The handler owns nothing of the request, so its body is copied once.
  const auto id = world.queue.submit(request.body);
  world.traffic.note({.scope = std::string(operation->project), .id = id});
  pub::SubmitResponse answer;
  answer.set_request_id(id);
  answer.add_request_ids(id);
  return protobuf(answer);
}

void describe(const IngestQueue::Status* status, pub::RequestStatus& out) {
  const auto add = [&](int code, std::int64_t count, IngestCode detail) {
    auto& entry = *out.add_code_by_count();
    entry.set_code(code);
    entry.set_count(count);
    entry.set_detail(static_cast<std::int32_t>(detail));
  };
  if (status == nullptr) {
    add(rpc_not_found, 1, IngestCode::internal);
    out.set_shared_error_message("there is no such request");
    return;
  }
  if (status->pending) return add(rpc_unavailable, 1, IngestCode::ok);
  for (const auto& [code, count] : status->counts) add(rpc_code(code), count, code);
  if (!status->message.empty()) out.set_shared_error_message(status->message);
}

Response check(World& world, const Request& request) {
  if (!ProjectName::parse(request.query_value("projectIdentifier")))
    return bad_request("projectIdentifier must be workspace/project");
  pub::RequestIdList list;
  if (!list.ParseFromString(request.body)) return bad_request("the body is not a RequestIdList");
  if (static_cast<std::size_t>(list.ids_size()) > limits::check_ids)
    return bad_request("a check takes at most 1000 ids");
  pub::BulkRequestStatus answer;
  for (const auto& id : list.ids()) {
    const auto* status = world.queue.status(id.value());
    describe(status, *answer.add_statuses());
    if (status != nullptr && !status->pending) world.traffic.note_told(id.value(), status->suspended_by);
  }
  return protobuf(answer);
}

}  // namespace

void add_ingest_api(World& world) {
  Route submit_route;
  submit_route.method = "POST";
  submit_route.pattern = "/api/client/v1/ingest";
  submit_route.max_body = limits::request_bytes;
  submit_route.handle = [&world](const Request& request) {
    return world.ingestion ? submit(world, request) : no_ingestion();
  };
  world.router.add(std::move(submit_route));

  Route check_route;
  check_route.method = "POST";
  check_route.pattern = "/api/client/v1/ingest/check";
  check_route.handle = [&world](const Request& request) {
    return world.ingestion ? check(world, request) : no_ingestion();
  };
  world.router.add(std::move(check_route));
}

}  // namespace neptune::sandbox
