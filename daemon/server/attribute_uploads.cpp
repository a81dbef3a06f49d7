// Files of attributes, 1.x: to the server itself, in one request, in parts, or several as an archive.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <chrono>
#include <functional>
#include <string_view>

#include "server/impl/attributes.h"
#include "server/impl/containers.h"
#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/sending.h"
#include "server/impl/tar_stream.h"
#include "server/impl/text.h"
#include "server/impl/uploads.h"
#include "support/bandwidth.h"
#include "support/worker_pool.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;
using Kind = UploadOutcome::Kind;

namespace {

constexpr std::string_view attributes_path = "/api/leaderboard/v1/attributes";
constexpr std::size_t most_members = 1000;  // of one archive: our own bound
// Of one set: our own bounds. Each beginning sends all of it, and its run waits meanwhile. What is still written to
// after pauses of more than a minute is written to all the time, and no further one would find it at rest.
constexpr unsigned most_beginnings = 5;
constexpr std::chrono::seconds first_pause{5};  // then twice as long each time

/// Which attribute a file is of; with a path in it, where it is a set.
struct Target {
  std::string container_id, attribute, ext, sub_path;

  std::string path(std::string_view step) const {
    return fmt::format("{}/storage/{}/upload{}", attributes_path, sub_path.empty() ? "file" : "fileset", step);
  }
  Query query(bool with_ext) const {
    Query out{{"experimentIdentifier", container_id}, {"attribute", attribute}};
    if (!sub_path.empty())
      out.emplace_back("subPath", sub_path);
    else if (with_ext)
      out.emplace_back("ext", ext);
    return out;
  }
};

std::string target_of(std::string path, const Query& query) {
  char mark = '?';
  for (const auto& [name, value] : query) {
    path += mark + percent_encode(name) + "=" + percent_encode(value);
    mark = '&';
  }
  return path;
}

/// What the server says in a 200 that it could not do: {"errors": [...]}, {"errorDescription"}; null and nothing: fine.
End refusal_in(const Response& response) {
  if (trim(response.body).empty() || trim(response.body) == "null") return std::nullopt;
  const auto object = parse_object(response.body);
  if (!object) return outcome_of_server(invalid_answer("the upload of a file"));
  auto words = excerpt(string_member(*object, "errorDescription"));
  for (const auto* error : objects_member(*object, "errors"))
    if (words.empty()) words = excerpt(string_member(*error, "errorDescription"));
  const bool errors = !objects_member(*object, "errors").empty();
  if (words.empty() && !errors) return std::nullopt;
  return outcome(Kind::refused, "attribute_refused", fmt::format("the server refused the file: {}", words));
}

/// The server does not know the upload that parts belong to; a container it does not know has an errorType.
bool is_unknown_upload(const Failure& failure) {
  return failure.status == 410 || (failure.status == 404 && failure.code.starts_with("http_"));
}

/// Sends a stretch as the body of a call; none: the server took it.
asio::awaitable<End> post(Sending* sending, std::string target, std::vector<Header> headers, Stretch stretch,
                          bool in_session) {
  const auto before = sending->done;
  headers.push_back({"Content-Type", "application/octet-stream"});
  headers.push_back({"Accept", "application/json"});
  Call call;
  call.method = "POST";
  call.target = std::move(target);
  call.headers = std::move(headers);
  call.body = body_for(*sending, stretch);
  call.intent = Intent::write;
  const auto response = co_await Session::call(sending->api->session, std::move(call));
  End end;
  if (response) {
    end = refusal_in(*response);
  } else if (in_session && is_unknown_upload(response.error())) {
    end = outcome(Kind::start_over, "session_gone", "the server forgot the upload");
  } else {
    end = outcome_of_server(response.error());
  }
  sending->done = end ? before : before + stretch.size;
  sending->report();
  co_return end;
}

// ---- one file

/// What a part needs to know stands in the progress: its upload's id, and in `url` where parts go.
asio::awaitable<std::expected<std::string, UploadOutcome>> post_part(Sending* sending, std::uint32_t number,
                                                                     Stretch stretch) {
  auto target = sending->progress.url + "&uploadPartIdx=" + std::to_string(number - 1);
  const auto range = fmt::format("bytes={}-{}/{}", stretch.offset, stretch.offset + stretch.size - 1, sending->size);
  std::vector<Header> headers{{"X-Range", range}};
  auto end = co_await post(sending, std::move(target), std::move(headers), stretch, true);
  if (end) co_return std::unexpected(std::move(*end));
  co_return std::string();
}

asio::awaitable<End> begin_parts(Sending* sending, Target target) {
  auto call = writing("POST", target.path("/start"), target.query(true));
  call.query.emplace_back("totalLength", std::to_string(sending->size));
  const auto answer = co_await ask_object(sending->api, std::move(call));
  if (!answer) co_return outcome_of_server(answer.error());
  for (const auto* error : objects_member(*answer, "errors"))
    co_return outcome(Kind::refused, "attribute_refused",
                      "the server refused the file: " + excerpt(string_member(*error, "errorDescription")));
  const auto id = string_member(*answer, "uploadId");
  if (id.empty()) co_return outcome_of_server(invalid_answer("the start of an upload"));
  constexpr std::uint64_t most = upload_limits::parts_1x;
  auto identity = sending->progress.file;
  sending->progress = {.provider = Provider::neptune_1x,
                       .file = identity,
                       .session = id,
                       .part_size = std::max(upload_limits::single_1x, (sending->size + most - 1) / most)};
  co_return co_await save(sending);
}

asio::awaitable<UploadOutcome> post_in_parts(Sending* sending, Target target) {
  if (sending->progress.session.empty()) {
    auto end = co_await begin_parts(sending, target);
    if (end) co_return std::move(*end);
  }
  auto query = target.query(false);
  query.emplace_back("uploadId", sending->progress.session);
  sending->progress.url = target_of(target.path("/part"), query);
  auto end = co_await send_parts(sending, &post_part);
  if (!end) end = co_await check_file(sending);
  if (!end) {
    const Stretch nothing;
    auto finish = target_of(target.path("/finish"), query);
    end = co_await post(sending, std::move(finish), std::vector<Header>(), nothing, true);
  }
  const bool over = !end || end->kind == Kind::start_over;
  End not_cleared;
  if (over) not_cleared = co_await clear(sending);
  if (not_cleared) co_return std::move(*not_cleared);
  if (end) co_return std::move(*end);
  co_return UploadOutcome{};
}

asio::awaitable<UploadOutcome> post_file(Sending* sending, Target target) {
  if (sending->size > upload_limits::single_1x) co_return co_await post_in_parts(sending, target);
  const Stretch whole{0, sending->size};
  auto to = target_of(target.path(""), target.query(true));
  auto end = co_await post(sending, std::move(to), std::vector<Header>(), whole, false);
  if (!end) end = co_await clear(sending);
  if (end) co_return std::move(*end);
  co_return UploadOutcome{};
}

/// Takes what was saved where it is of this.
asio::awaitable<End> take_up(Sending* sending, FileIdentity identity) {
  sending->progress.file = identity;
  if (sending->store == nullptr) co_return std::nullopt;
  auto saved = co_await sending->store->load();
  if (!saved) co_return outcome_of(saved.error());
  if (*saved && (*saved)->provider == Provider::neptune_1x && (*saved)->file.is_untouched(identity) &&
      (*saved)->part_size > 0)
    sending->progress = std::move(**saved);
  co_return std::nullopt;
}

FileIdentity identity_of(const std::string& content) {
  return {std::hash<std::string>()(content), content.size()};
}

asio::awaitable<UploadOutcome> send_one(Sending* sending, const AttributeUpload* upload, std::string container_id) {
  Target target{std::move(container_id), upload->attribute, upload->ext, {}};
  auto identity = identity_of(upload->content);
  if (upload->what == AttributeUpload::What::file) {
    auto file = co_await open_source(sending->settings.files, upload->file, upload->expected);
    if (!file) co_return std::move(file.error());
    sending->file = std::move(*file);
    sending->size = sending->file->size();
    identity = sending->file->identity();
  } else {
    sending->content = &upload->content;
    sending->size = upload->content.size();
  }
  auto end = co_await take_up(sending, identity);
  if (end) co_return std::move(*end);
  co_return co_await post_file(sending, target);
}

// ---- a set of files

/// Requests a set is sent in: an archive of small files, or one large one.
struct SetPlan {
  std::vector<std::vector<ArchiveMember>> requests;
  FileIdentity identity;  // of all of them
};

Result<SetPlan> plan_of(const std::vector<AttributeUpload::Member>& members) {
  SetPlan plan;
  std::string all;
  std::vector<ArchiveMember> small;
  std::uint64_t bytes = 0;
  for (const auto& member : members) {
    auto identity = identify(member.file);
    // It went since the set was listed, and so is none of its files any more.
    if (!identity && identity.error().code == "file_missing") continue;
    if (!identity) return std::unexpected(std::move(identity.error()));
    all += fmt::format("{}\n{} {} {} {}\n", member.name, identity->inode, identity->size, identity->mtime_ns,
                       identity->ctime_ns);
    plan.identity.size += identity->size;
    if (identity->size > upload_limits::single_1x) {
      plan.requests.push_back({{member.file, member.name, *identity}});
      continue;
    }
    if (!small.empty() && (bytes + identity->size > upload_limits::single_1x || small.size() == most_members)) {
      plan.requests.push_back(std::exchange(small, {}));
      bytes = 0;
    }
    small.push_back({member.file, member.name, *identity});
    bytes += identity->size;
  }
  if (!small.empty()) plan.requests.push_back(std::move(small));
  if (plan.requests.empty() && !members.empty())
    return fail("file_missing", fmt::format("none of the files of the set is there any more, as {}; put them back and "
                                            "try again",
                                            shown_path(members.front().file)));
  plan.identity.inode = std::hash<std::string>()(all);
  return plan;
}

struct ArchiveAtWork {
  Sending& sending;
  TarStream tar;
  std::uint64_t counted = 0;
};

asio::awaitable<Result<std::string_view>> next_piece(std::shared_ptr<ArchiveAtWork> archive) {
  auto& sending = archive->sending;
  auto read = [&archive] { return archive->tar.next(); };
  auto piece = co_await sending.settings.files->run(read);
  if (!piece) co_return std::unexpected(std::move(piece.error()));
  if (sending.settings.bandwidth && !piece->empty()) co_await sending.settings.bandwidth->take(piece->size());
  const auto more = archive->tar.content_bytes() - std::exchange(archive->counted, archive->tar.content_bytes());
  sending.done += more;
  sending.sent += more;
  sending.report();
  co_return *piece;
}

asio::awaitable<End> post_archive(Sending* sending, Target target, std::vector<ArchiveMember> members, bool reset) {
  const auto before = sending->done;
  auto archive = std::make_shared<ArchiveAtWork>(*sending, TarStream(std::move(members)));
  const Query query{
      {"experimentId", target.container_id}, {"attribute", target.attribute}, {"reset", reset ? "true" : "false"}};
  Call call;
  call.method = "POST";
  call.target = target_of(fmt::format("{}/uploadFileSetTar", attributes_path), query);
  call.headers = {{"Content-Type", "application/octet-stream"}, {"Accept", "application/json"}};
  call.body = {{}, archive->tar.size(), [archive] { return next_piece(archive); }};
  call.body.may_begin = sending->api->may_begin;
  call.intent = Intent::write;
  const auto response = co_await Session::call(sending->api->session, std::move(call));
  End end;
  if (response)
    end = refusal_in(*response);
  else
    end = outcome_of_server(response.error());
  if (end) sending->done = before;
  co_return end;
}

/// Progress of the large file that a set is at, kept within the set's: its session in `url`, its parts by numbers
/// beyond those of the set's requests.
class MemberProgress final : public ProgressStore {
 public:
  MemberProgress(Sending* set, std::uint32_t request, FileIdentity file)
      : set_(*set), head_(std::to_string(request) + " "), file_(file) {}

  asio::awaitable<Result<std::optional<UploadProgress>>> load() override {
    const auto& kept = set_.progress;
    if (!kept.url.starts_with(head_)) co_return std::optional<UploadProgress>();
    UploadProgress progress{.provider = Provider::neptune_1x,
                            .file = file_,
                            .session = kept.url.substr(head_.size()),
                            .part_size = kept.part_size};
    for (const auto& part : kept.finished)
      if (part.number > beyond) progress.finished.push_back({part.number - beyond, part.tag});
    co_return std::optional(std::move(progress));
  }
  asio::awaitable<Result<void>> save(UploadProgress progress) override {
    co_return co_await keep(head_ + progress.session, progress.part_size);
  }
  asio::awaitable<Result<void>> add(FinishedPart part) override {
    part.number += beyond;
    set_.progress.finished.push_back(part);
    co_return co_await set_.store->add(std::move(part));
  }
  asio::awaitable<Result<void>> clear() override { co_return co_await keep({}, 1); }
  Result<void> may_go_on() override { return set_.store->may_go_on(); }

 private:
  static constexpr std::uint32_t beyond = 1u << 20;

  asio::awaitable<Result<void>> keep(std::string session, std::uint64_t part_size) {
    set_.progress.url = std::move(session);
    set_.progress.part_size = part_size;
    std::erase_if(set_.progress.finished, [](const FinishedPart& part) { return part.number > beyond; });
    auto progress = set_.progress;
    co_return co_await set_.store->save(std::move(progress));
  }

  Sending& set_;
  std::string head_;
  FileIdentity file_;
};

/// One large file of a set.
asio::awaitable<End> post_large(Sending* sending, Target target, ArchiveMember member, std::uint32_t request) {
  auto file = co_await open_source(sending->settings.files, member.file, member.identity);
  if (!file) co_return std::move(file.error());
  const auto before = sending->done;
  MemberProgress progress(sending, request, member.identity);
  Sending one{.api = sending->api,
              .stores = {},
              .settings = sending->settings,
              .store = sending->store ? &progress : nullptr,
              .on_progress = {},
              .file = *file,
              .size = (*file)->size()};
  if (sending->on_progress)
    one.on_progress = [sending, before](std::uint64_t done) { sending->on_progress(before + done); };
  target.sub_path = member.name;
  auto end = co_await take_up(&one, member.identity);
  if (end) co_return end;
  auto how = co_await post_file(&one, target);
  sending->sent += one.sent;
  if (how.kind != Kind::done) co_return how;
  sending->done = before + one.size;
  co_return std::nullopt;
}

asio::awaitable<End> delete_attribute(Sending* sending, Addressed container, std::string attribute) {
  std::vector<AttributeOperation> operations{{std::move(attribute), "deleteAttribute", "{}", {}}};
  // What is refused of it is that there is nothing to delete.
  const auto deleted = co_await execute(sending->api, std::move(container), std::move(operations));
  if (deleted) co_return std::nullopt;
  co_return outcome_of_server(deleted.error());
}

/// A set's session says how often it was begun: "set", and "set 2" once it began anew.
unsigned beginning_in(std::string_view session) {
  unsigned beginning = 1;
  const auto number = session.substr(std::min(session.size(), std::string_view("set ").size()));
  std::from_chars(number.data(), number.data() + number.size(), beginning);
  return beginning;
}

asio::awaitable<End> begin_set(Sending* sending, FileIdentity identity, unsigned beginning) {
  auto session = beginning > 1 ? fmt::format("set {}", beginning) : std::string("set");
  sending->progress = {
      .provider = Provider::neptune_1x, .file = identity, .session = std::move(session), .part_size = 1};
  co_return co_await save(sending);
}

UploadOutcome keeps_changing() {
  return outcome(
      Kind::source, "file_set_changed",
      fmt::format("files of the set were changed each of the {} times that it was sent; upload it again when "
                  "nothing writes to them any more",
                  most_beginnings));
}

/// After the set's files were found changed: all of it is looked at and sent anew, after a pause in which whatever
/// writes to them may come to its end.
asio::awaitable<UploadOutcome> begin_anew(Sending* sending, unsigned beginning, std::string why) {
  if (++beginning > most_beginnings) co_return keeps_changing();
  const FileIdentity nothing_yet;
  auto end = co_await begin_set(sending, nothing_yet, beginning);
  if (end) co_return std::move(*end);
  auto later = outcome(Kind::later, "file_set_changed",
                       fmt::format("{}; its set is sent anew ({} of {} times)", why, beginning, most_beginnings));
  later.retry_after = first_pause * (1u << (beginning - 2));
  co_return later;
}

/// What was sent of another state of a set does not go with this one. Where nothing was sent yet its session is empty,
/// and `beginning` says which one this is.
asio::awaitable<End> take_up_set(Sending* sending, FileIdentity identity, unsigned* beginning) {
  if (sending->store == nullptr) co_return std::nullopt;
  auto saved = co_await sending->store->load();
  if (!saved) co_return outcome_of(saved.error());
  if (!*saved || (*saved)->provider != Provider::neptune_1x) co_return std::nullopt;
  const bool some_sent = !(*saved)->finished.empty() || !(*saved)->url.empty();
  *beginning = beginning_in((*saved)->session);
  if ((*saved)->file == identity) {
    sending->progress = std::move(**saved);
  } else if (some_sent) {
    std::string why("files were changed while others of them were sent");
    co_return co_await begin_anew(sending, *beginning, std::move(why));
  }
  co_return std::nullopt;
}

asio::awaitable<End> add(Sending* sending, std::uint32_t number) {
  FinishedPart part{number, {}};
  sending->progress.finished.push_back(part);
  if (sending->store == nullptr) co_return std::nullopt;
  auto added = co_await sending->store->add(std::move(part));
  if (added) co_return std::nullopt;
  co_return outcome_of(added.error());
}

asio::awaitable<End> send_requests(Sending* sending, SetPlan plan, Target target, bool reset) {
  for (std::size_t i = 0; i < plan.requests.size(); ++i) {
    const auto number = static_cast<std::uint32_t>(i + 1);
    auto& members = plan.requests[i];
    if (std::ranges::find(sending->progress.finished, number, &FinishedPart::number) !=
        sending->progress.finished.end()) {
      for (const auto& member : members) sending->done += member.identity.size;
      continue;
    }
    End end;
    if (members.front().identity.size > upload_limits::single_1x)
      end = co_await post_large(sending, target, std::move(members.front()), number);
    else
      end = co_await post_archive(sending, target, std::move(members), reset);
    if (!end) end = co_await add(sending, number);
    if (!end && number < plan.requests.size()) end = may_go_on(*sending);
    if (end) co_return end;
  }
  co_return std::nullopt;
}

asio::awaitable<UploadOutcome> send_set(Sending* sending, const AttributeUpload* upload, std::string container_id) {
  auto make = [upload] { return plan_of(upload->members); };
  auto plan = co_await sending->settings.files->run(make);
  if (!plan) co_return outcome_of(plan.error());
  sending->size = plan->identity.size;
  unsigned beginning = 1;
  auto end = co_await take_up_set(sending, plan->identity, &beginning);
  const bool begun = !sending->progress.session.empty();
  const bool one_archive =
      plan->requests.size() == 1 && plan->requests.front().front().identity.size <= upload_limits::single_1x;
  if (!end && !begun && upload->reset && !one_archive)
    end = co_await delete_attribute(sending, upload->container, upload->attribute);
  if (!end && !begun) end = co_await begin_set(sending, plan->identity, beginning);
  Target target{std::move(container_id), upload->attribute, {}, {}};
  const bool reset = upload->reset && one_archive;
  if (!end) end = co_await send_requests(sending, std::move(*plan), std::move(target), reset);
  if (end && (end->code == "file_changed" || end->code == "file_missing"))
    co_return co_await begin_anew(sending, beginning, std::move(end->message));
  if (!end) end = co_await clear(sending);
  if (end) co_return std::move(*end);
  co_return UploadOutcome{};
}

}  // namespace

namespace {

/// Its container could not be looked up. Where something before the server answered, that says nothing of the
/// container, nor of whether the server takes such files.
UploadOutcome not_looked_up(Failure failure) {
  if (failure.status == 404 && failure.code.starts_with("http_")) {
    failure.kind = Failure::Kind::forbidden;
    failure.code = "container_not_looked_up";
  }
  return outcome_of_server(std::move(failure));
}

}  // namespace

asio::awaitable<UploadOutcome> upload_attribute(std::shared_ptr<Api> api, AttributeUpload upload,
                                                UploadSettings settings) {
  // One part after the other: the server numbers what it has.
  settings.parallel_parts = 1;
  api = api->asking(upload.may_begin);
  std::uint64_t sent = 0;
  for (bool again_there = false;;) {
    const auto found = co_await find_container(api, upload.container);
    if (!found) co_return not_looked_up(found.error());
    Sending sending{
        .api = api, .stores = {}, .settings = settings, .store = upload.progress, .on_progress = upload.on_progress};
    auto how = UploadOutcome();
    if (upload.what == AttributeUpload::What::file_set)
      how = co_await send_set(&sending, &upload, found->known.id);
    else
      how = co_await send_one(&sending, &upload, found->known.id);
    how.sent = sent += sending.sent;
    if (sending.file) how.file = sending.file->identity();
    if (!how.failure || how.failure->status != 404) co_return how;
    // It may be the container that is gone, or this call of a server that has no such files, or all of a server that
    // restarts: it is looked up again, and where it is there, the call is made once more.
    forget_stale(*api, upload.container, *found, *how.failure);
    const auto again = co_await find_container(api, upload.container);
    if (!again) co_return not_looked_up(again.error());
    if (again->known.id == found->known.id && std::exchange(again_there, true)) co_return how;
  }
}

}  // namespace neptune::server
