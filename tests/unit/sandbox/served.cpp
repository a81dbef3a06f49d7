#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {

using testing::HttpAnswer;

namespace {

std::vector<std::string> with_state_file(std::vector<std::string> args, const std::filesystem::path& directory,
                                         Served::Keeps keeps) {
  if (keeps == Served::Keeps::state) args.insert(args.end(), {"--state", (directory / "state").string()});
  return args;
}

}  // namespace

Served::Served(std::vector<std::string> args, Keeps keeps)
    : sandbox_(directory_.path(), with_state_file(std::move(args), directory_.path(), keeps)) {}

const std::string& Served::access_token() {
  if (access_token_.empty()) {
    const auto answer = testing::http(
        sandbox_.url(),
        {"GET", "/api/backend/v1/authorization/oauth-token", {{"X-Neptune-Api-Token", sandbox_.token()}}, {}});
    access_token_ = std::string(testing::parse_json(answer.body).as_object().at("accessToken").as_string());
  }
  return access_token_;
}

boost::json::value Served::run(const std::string& id, std::string_view query) const {
  return state(query).at("runs").at(project + "/" + id);
}

HttpAnswer Served::get(const std::string& target) {
  return testing::http(sandbox_.url(), {"GET", target, {{"Authorization", "Bearer " + access_token()}}, {}});
}

HttpAnswer Served::post(const std::string& target, const std::string& body) {
  return testing::http(sandbox_.url(),
                       {"POST",
                        target,
                        {{"Authorization", "Bearer " + access_token()}, {"Content-Type", "application/x-protobuf"}},
                        body});
}

HttpAnswer Served::call(const std::string& method, const std::string& target, const std::string& body) {
  return testing::http(
      sandbox_.url(),
      {method, target, {{"Authorization", "Bearer " + access_token()}, {"Content-Type", "application/json"}}, body});
}

boost::json::value Served::done(const std::string& method, const std::string& target, const std::string& body) {
  const auto answer = call(method, target, body);
  EXPECT_EQ(answer.status, 200u) << method << " " << target << ": " << answer.body;
  return answer.status != 200 || answer.body.empty() ? boost::json::value() : testing::parse_json(answer.body);
}

std::string Served::refusal(const std::string& method, const std::string& target, const std::string& body) {
  const auto answer = call(method, target, body);
  EXPECT_GE(answer.status, 400u) << method << " " << target << ": " << answer.body;
  const auto content = testing::parse_json(answer.body);
  const auto* type = content.as_object().if_contains("errorType");
  return std::to_string(answer.status) + " " + (type == nullptr ? "" : std::string(type->as_string()));
}

HttpAnswer Served::submit(const Operation& operation) {
  return post("/api/client/v1/ingest", operation.SerializeAsString());
}

std::string Served::id_of(const HttpAnswer& answer) {
  ingest::v1::pub::SubmitResponse response;
  if (answer.status != 200 || !response.ParseFromString(answer.body) || response.request_ids().empty()) {
    ADD_FAILURE() << "not accepted: " << answer.status << " " << answer.body;
    return {};
  }
  return response.request_ids(response.request_ids_size() - 1);
}

Checked Served::check(const std::string& id) {
  ingest::v1::pub::RequestIdList list;
  list.add_ids()->set_value(id);
  const auto answer =
      post("/api/client/v1/ingest/check?projectIdentifier=ml-team%2Fclassification", list.SerializeAsString());
  ingest::v1::pub::BulkRequestStatus statuses;
  EXPECT_EQ(answer.status, 200u) << answer.body;
  EXPECT_TRUE(statuses.ParseFromString(answer.body));
  Checked checked;
  if (statuses.statuses_size() != 1) {
    ADD_FAILURE() << "a check of one id told " << statuses.statuses_size() << " statuses";
    return checked;
  }
  for (const auto& entry : statuses.statuses(0).code_by_count()) {
    if (entry.code() == 14) checked.pending = true;
    checked.counts[static_cast<IngestCode>(entry.detail())] += entry.count();
  }
  return checked;
}

Counts Served::ingest(const Operation& operation) {
  const auto id = id_of(submit(operation));
  if (id.empty()) return {};
  const auto [processed, last] =
      sandbox_.wait_for([](const boost::json::value& state) { return state.at("unprocessed").as_int64() == 0; },
                        std::chrono::seconds(20), "summary=1&project=none");
  EXPECT_TRUE(processed);
  return check(id).counts;
}

Operation create(const std::string& run) {
  Operation operation;
  operation.set_project(project);
  operation.set_run_id(run);
  operation.mutable_create()->set_family(run);
  return operation;
}

Operation fork(const std::string& run, const std::string& parent, std::uint64_t step) {
  auto operation = create(run);
  auto& point = *operation.mutable_create()->mutable_fork_point();
  point.set_parent_project(project);
  point.set_parent_run_id(parent);
  point.mutable_step()->set_whole(step);
  return operation;
}

Operation update(const std::string& run, std::vector<UpdateRunSnapshot> snapshots) {
  Operation operation;
  operation.set_project(project);
  operation.set_run_id(run);
  for (auto& snapshot : snapshots) *operation.mutable_update_batch()->add_snapshots() = std::move(snapshot);
  return operation;
}

UpdateRunSnapshot points(std::uint64_t step, const std::map<std::string, double>& values) {
  UpdateRunSnapshot snapshot;
  snapshot.mutable_step()->set_whole(step);
  snapshot.mutable_timestamp()->set_seconds(static_cast<std::int64_t>(1'700'000'000 + step));
  for (const auto& [path, value] : values) (*snapshot.mutable_append())[path].set_float64(value);
  return snapshot;
}

UpdateRunSnapshot preview(std::uint64_t step, const std::map<std::string, double>& values) {
  auto snapshot = points(step, values);
  snapshot.mutable_preview()->set_is_preview(true);
  return snapshot;
}

UpdateRunSnapshot assign(const std::string& path, const ingest::v1::Value& value) {
  UpdateRunSnapshot snapshot;
  (*snapshot.mutable_assign())[path] = value;
  return snapshot;
}

ingest::v1::Value text(const std::string& value) {
  ingest::v1::Value out;
  out.set_string(value);
  return out;
}

ingest::v1::Value real(double value) {
  ingest::v1::Value out;
  out.set_float64(value);
  return out;
}

}  // namespace neptune::sandbox
