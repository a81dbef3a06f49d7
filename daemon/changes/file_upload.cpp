#include "changes/file_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "changes/impl/json.h"
#include "changes/impl/stored.h"
#include "proto/ingest.pb.h"

namespace neptune {

namespace {

using changes::Json;

// Parts of a destination: docs/protocol.md, "Files".
constexpr std::size_t run_bytes = 300, attribute_bytes = 280, file_name_bytes = 198;

std::string text_of(const Json& json, std::string_view name) {
  const auto* found = json.find(name);
  return found && found->is(Json::Type::string) ? found->text : std::string();
}

bool flag_of(const Json& json, std::string_view name) {
  const auto* found = json.find(name);
  return found && found->truth;
}

template <class T>
bool read_number(const Json& json, std::string_view name, T& out) {
  const auto* found = json.find(name);
  if (!found || !found->is(Json::Type::number)) return false;
  const auto end = found->text.data() + found->text.size();
  return std::from_chars(found->text.data(), end, out).ptr == end;
}

std::optional<FileUpload::Seen> seen_of(const Json& json) {
  FileUpload::Seen seen;
  if (!read_number(json, "inode", seen.inode) || !read_number(json, "size", seen.size) ||
      !read_number(json, "mtime_ns", seen.mtime_ns))
    return std::nullopt;
  return seen;
}

std::string safe(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) c = '_';
  return out;
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

/// Two names that become the same, or are cut to the same, keep apart by the hash.
std::string part(std::string_view name, std::size_t most) {
  const auto hash = fmt::format("-{:016x}", hash_of(name));
  return safe(name).substr(0, most - hash.size()) + hash;
}

std::string file_name(std::string_view file) {
  const auto name = file.substr(std::min(file.rfind('/') + 1, file.size()));
  const auto dot = name.rfind('.');
  const bool has_extension = dot != std::string_view::npos && dot > 0 && name.size() - dot <= 18;
  const auto extension = has_extension ? name.substr(dot + 1) : std::string_view();
  auto out = safe(name.substr(0, has_extension ? dot : name.size())).substr(0, file_name_bytes - 18);
  if (out.empty()) out = "file";
  return extension.empty() ? out : out + "." + safe(extension);
}

}  // namespace

std::string upload_json(const FileUpload& upload) {
  std::string text;
  changes::JsonObject out(text);
  const auto unless_empty = [&out](std::string_view name, const std::string& value) {
    if (!value.empty()) out.text(name, value);
  };
  out.text("kind", name(ChangeKind::run_upload));
  out.text("project", upload.project.full());
  out.text("run", upload.run);
  unless_empty("attribute", upload.attribute);
  out.text("file", upload.file);
  unless_empty("beneath", upload.beneath);
  unless_empty("mime_type", upload.mime_type);
  unless_empty("destination", upload.destination);
  if (upload.copy) out.flag("copy", true);
  unless_empty("copied_as", upload.copied_as);
  if (upload.temporary) out.flag("temporary", true);
  if (upload.seen) {
    out.member("inode") += std::to_string(upload.seen->inode);
    out.member("size") += std::to_string(upload.seen->size);
    out.number("mtime_ns", upload.seen->mtime_ns);
  }
  out.end();
  return text;
}

Result<FileUpload> read_upload(std::string_view payload) {
  const auto stored = changes::read_stored(payload);
  if (!stored) return std::unexpected(stored.error());
  const auto& json = stored->json;
  auto project = ProjectName::parse(text_of(json, "project"));
  if (!project || stored->kind != ChangeKind::run_upload)
    return changes::unreadable({Refusal::Kind::invalid, "no_upload", "It is no upload of a file.", {}});
  FileUpload out{.project = std::move(*project), .run = text_of(json, "run"), .attribute = text_of(json, "attribute")};
  out.file = text_of(json, "file");
  out.beneath = text_of(json, "beneath");
  out.mime_type = text_of(json, "mime_type");
  out.destination = text_of(json, "destination");
  out.copy = flag_of(json, "copy");
  out.copied_as = text_of(json, "copied_as");
  out.temporary = flag_of(json, "temporary");
  out.seen = seen_of(json);
  return out;
}

std::string upload_destination(const FileUpload& upload, std::string_view token) {
  return fmt::format("{}/{}/{}/{}", part(upload.run, run_bytes), part(upload.attribute, attribute_bytes), token,
                     file_name(upload.file));
}

std::string_view mime_type_of(std::string_view file) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 18> types{{{".txt", "text/plain"},
                                                                                        {".log", "text/plain"},
                                                                                        {".csv", "text/csv"},
                                                                                        {".html", "text/html"},
                                                                                        {".md", "text/markdown"},
                                                                                        {".json", "application/json"},
                                                                                        {".yaml", "application/yaml"},
                                                                                        {".pdf", "application/pdf"},
                                                                                        {".zip", "application/zip"},
                                                                                        {".gz", "application/gzip"},
                                                                                        {".tar", "application/x-tar"},
                                                                                        {".png", "image/png"},
                                                                                        {".jpg", "image/jpeg"},
                                                                                        {".jpeg", "image/jpeg"},
                                                                                        {".gif", "image/gif"},
                                                                                        {".svg", "image/svg+xml"},
                                                                                        {".mp4", "video/mp4"},
                                                                                        {".wav", "audio/wav"}}};
  for (const auto& [ending, type] : types)
    if (file.ends_with(ending)) return type;
  return "application/octet-stream";
}

Change file_reference(const FileUpload& upload, std::uint64_t size, std::int64_t at_ms) {
  ingest::v1::UpdateRunSnapshot update;
  update.mutable_timestamp()->set_seconds(at_ms / 1000);
  update.mutable_timestamp()->set_nanos(static_cast<std::int32_t>(at_ms % 1000 * 1'000'000));
  auto& reference = *(*update.mutable_assign())[upload.attribute].mutable_file_ref();
  reference.set_path(upload.destination);
  reference.set_size_bytes(static_cast<std::int64_t>(size));
  reference.set_mime_type(upload.mime_type);
  Change change{.kind = ChangeKind::run_update, .container = {upload.project, upload.run, ContainerKind::run}};
  change.payload = update.SerializeAsString();
  // Keys of users hold no control characters.
  change.idempotency_key =
      "\x01"
      "file " +
      upload.destination;
  return change;
}

}  // namespace neptune
