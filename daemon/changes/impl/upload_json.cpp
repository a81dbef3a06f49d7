#include "changes/impl/upload_json.h"

#include <fmt/format.h>

#include "changes/limits.h"

namespace neptune::changes {

namespace {

constexpr std::size_t mime_type_bytes = 128;  // docs/protocol.md, "Files"

void check_file(const std::string& file, const std::string& field, Verdict& verdict) {
  if (file.empty() || file.front() != '/')
    verdict.refuse("file_path_invalid",
                   fmt::format("{} is not an absolute path; the daemon does not know where you are.", quoted(file)),
                   field);
  if (file.size() > limits::file_path_bytes || file.find('\0') != std::string::npos || file.ends_with('/'))
    verdict.refuse("file_path_invalid", fmt::format("{} is no path of a file.", quoted(file)), field);
}

}  // namespace

FileUpload read_run_upload(Fields& fields) {
  auto& verdict = fields.verdict();
  fields.only({"project", "run", "attribute", "file", "mime_type", "copy"});
  FileUpload out;
  out.project = read_project(fields);
  out.run = fields.required_text("run");
  check_run_id(out.run, fields.path("run"), verdict);
  out.attribute = fields.required_text("attribute");
  check_new_field_path(out.attribute, fields.path("attribute"), verdict);
  out.file = fields.required_text("file");
  check_file(out.file, fields.path("file"), verdict);
  out.mime_type = fields.text("mime_type").value_or(std::string(mime_type_of(out.file)));
  check_name(out.mime_type, "The MIME type", mime_type_bytes, fields.path("mime_type"), verdict);
  for (const char c : out.mime_type)
    if (static_cast<unsigned char>(c) >= 0x7f)
      verdict.refuse("mime_type_invalid", fmt::format("{} is no MIME type.", quoted(out.mime_type)),
                     fields.path("mime_type"));
  out.copy = fields.flag("copy").value_or(false);
  return out;
}

}  // namespace neptune::changes
