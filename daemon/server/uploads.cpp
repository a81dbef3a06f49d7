// Files of 3.x: URLs are signed, and each file goes to the object store its URL names.
#include "server/uploads.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>

#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/sending.h"
#include "server/impl/text.h"
#include "server/impl/uploads.h"
#include "support/worker_pool.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;
using Kind = UploadOutcome::Kind;

namespace {

constexpr std::array<std::pair<Provider, std::string_view>, 4> provider_names{
    {{Provider::aws, "aws"}, {Provider::gcp, "gcp"}, {Provider::azure, "azure"}, {Provider::neptune_1x, "neptune-1x"}}};
constexpr std::size_t longest_signed_answer = 64u << 20;  // 10,000 parts' URLs for each of some files
constexpr std::size_t most_parts = 10'000;                // of an S3 upload: the store's limit

// ---- signing

std::optional<SignedFile::Multipart> read_multipart(const json::object& object) {
  SignedFile::Multipart out;
  out.upload_id = string_member(object, "upload_id");
  const auto part_size = integer_member(object, "part_size");
  const auto* urls = object.if_contains("part_urls");
  if (out.upload_id.empty() || !part_size || *part_size <= 0 || urls == nullptr || !urls->is_array() ||
      urls->get_array().size() > most_parts)
    return std::nullopt;
  out.part_size = static_cast<std::uint64_t>(*part_size);
  for (const auto& url : urls->get_array()) {
    if (!url.is_string()) return std::nullopt;
    out.part_urls.emplace_back(url.get_string());
  }
  return out;
}

/// None when it does not answer what was asked.
std::optional<SignedFile> read_signed(const json::object& object, const FileToSign& asked) {
  SignedFile out{asked.project, asked.path, Provider::aws, string_member(object, "url")};
  const auto provider = provider_named(string_member(object, "provider"));
  if (!provider || *provider == Provider::neptune_1x || out.url.empty()) return std::nullopt;
  if (string_member(object, "path") != asked.path) return std::nullopt;
  out.provider = *provider;
  if (const auto* parts = object_member(object, "multipart")) {
    out.multipart = read_multipart(*parts);
    if (!out.multipart) return std::nullopt;
  }
  return out;
}

/// Answers are taken by their place, or, where the server sorted them otherwise, by project and path.
std::optional<std::vector<SignedFile>> read_answer(const json::object& answer, const std::vector<FileToSign>& asked) {
  const auto files = objects_member(answer, "files");
  std::map<std::pair<std::string, std::string>, const json::object*> by_name;
  for (const auto* file : files)
    by_name[{string_member(*file, "project_identifier"), string_member(*file, "path")}] = file;
  std::vector<SignedFile> out;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto found = by_name.find({asked[i].project.full(), asked[i].path});
    const auto* file = found != by_name.end() ? found->second : i < files.size() ? files[i] : nullptr;
    auto one = file == nullptr ? std::nullopt : read_signed(*file, asked[i]);
    if (!one) return std::nullopt;
    out.push_back(std::move(*one));
  }
  return out;
}

// ---- sending

End check_request(const Upload& upload) {
  if (upload.content_type.size() > upload_limits::mime_type_bytes || !is_header_value(upload.content_type))
    return outcome(Kind::refused, "content_type_invalid",
                   fmt::format("the content type is no header's value of at most {} bytes; name another",
                               upload_limits::mime_type_bytes));
  if (upload.path.empty() || upload.path.size() > upload_limits::destination_bytes)
    return outcome(Kind::refused, "destination_invalid",
                   fmt::format("the destination must have 1 to {} bytes", upload_limits::destination_bytes));
  const auto& given = upload.signed_file;
  if (given && (given->provider == Provider::neptune_1x || given->path != upload.path))
    return outcome(Kind::refused, "destination_invalid", "what was signed is not what is to be uploaded");
  return std::nullopt;
}

/// Takes what was saved where it is of this file and of the store that was signed; forgets it else.
asio::awaitable<End> take_up(Sending* sending, std::optional<Provider> signed_for) {
  if (sending->store == nullptr) co_return std::nullopt;
  auto saved = co_await sending->store->load();
  if (!saved) co_return outcome_of(saved.error());
  if (!*saved) co_return std::nullopt;
  const auto& progress = **saved;
  const bool of_this = progress.file.is_untouched(sending->file->identity()) && !progress.session.empty() &&
                       (!signed_for || *signed_for == progress.provider) &&
                       (progress.provider == Provider::gcp || progress.part_size > 0);
  if (!of_this) co_return co_await clear(sending);
  sending->progress = std::move(**saved);
  co_return std::nullopt;
}

asio::awaitable<UploadOutcome> send_to_store(Sending* sending, Upload* upload) {
  const bool begun = !sending->progress.session.empty();
  if (!begun && !upload->signed_file)
    co_return outcome(Kind::expired, "not_signed", "the file's upload needs a signed URL");
  const auto provider = begun ? sending->progress.provider : upload->signed_file->provider;
  switch (provider) {
    case Provider::aws:
      co_return co_await send_to_aws(sending, upload);
    case Provider::gcp:
      co_return co_await send_to_gcp(sending, upload);
    case Provider::azure:
      co_return co_await send_to_azure(sending, upload);
    case Provider::neptune_1x:
      break;
  }
  co_return outcome(Kind::refused, "provider_unknown", "what was saved of the upload is of another kind");
}

}  // namespace

std::string_view name(Provider provider) {
  for (const auto& [each, text] : provider_names)
    if (each == provider) return text;
  return "";
}

std::optional<Provider> provider_named(std::string_view name) {
  for (const auto& [each, text] : provider_names)
    if (text == name) return each;
  return std::nullopt;
}

asio::awaitable<Answer<std::vector<SignedFile>>> sign_uploads(std::shared_ptr<Api> api, std::vector<FileToSign> files) {
  if (files.empty()) co_return std::vector<SignedFile>();
  if (files.size() > upload_limits::sign_batch)
    co_return std::unexpected(Failure{
        Failure::Kind::too_large, "too_many_files",
        fmt::format("{} files were to be signed at once; sign at most {}", files.size(), upload_limits::sign_batch),
        std::nullopt});
  json::array list;
  for (const auto& file : files)
    list.push_back({{"project_identifier", file.project.full()},
                    {"path", file.path},
                    {"permission", "write"},
                    {"size", file.size}});
  const json::object body{{"files", std::move(list)}};
  auto call = writing("POST", "/api/storagebridge/v1/signedUrl", {}, text_of(body));
  call.max_answer_bytes = longest_signed_answer;
  const auto answer = co_await ask_object(std::move(api), std::move(call));
  if (!answer) co_return std::unexpected(answer.error());
  auto out = read_answer(*answer, files);
  if (!out) co_return std::unexpected(invalid_answer("the signing of files"));
  co_return std::move(*out);
}

asio::awaitable<std::expected<std::shared_ptr<OpenFile>, UploadOutcome>> open_source(
    WorkerPool* pool, SourceFile source, std::optional<FileIdentity> expected) {
  auto open = [&source] { return OpenFile::open(source); };
  auto opened = co_await pool->run(open);
  if (!opened) co_return std::unexpected(outcome_of(opened.error()));
  if (expected && *expected != (*opened)->identity())
    co_return std::unexpected(
        outcome(Kind::source, "file_changed",
                fmt::format("the file {} is not what it was when its upload was asked for; upload it again",
                            shown_path(source))));
  co_return std::move(*opened);
}

asio::awaitable<UploadOutcome> upload_file(std::shared_ptr<Api> api, std::shared_ptr<Transport> stores, Upload upload,
                                           UploadSettings settings) {
  auto wrong = check_request(upload);
  if (wrong) co_return std::move(*wrong);
  if (upload.content_type.empty()) upload.content_type = "application/octet-stream";
  auto file = co_await open_source(settings.files, upload.file, upload.expected);
  if (!file) co_return std::move(file.error());
  Sending sending{.api = std::move(api),
                  .stores = std::move(stores),
                  .settings = std::move(settings),
                  .store = upload.progress,
                  .on_progress = std::move(upload.on_progress),
                  .file = *file,
                  .size = (*file)->size()};
  std::optional<Provider> signed_for;
  if (upload.signed_file) signed_for = upload.signed_file->provider;
  auto how = UploadOutcome();
  auto not_ready = co_await take_up(&sending, signed_for);
  if (not_ready)
    how = std::move(*not_ready);
  else
    how = co_await send_to_store(&sending, &upload);
  how.sent = sending.sent;
  how.file = sending.file->identity();
  co_return how;
}

}  // namespace neptune::server
