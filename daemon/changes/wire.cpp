#include "changes/wire.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <vector>

#include "proto/ingest.pb.h"

namespace neptune::wire {

namespace {

// Tags of RunOperation and UpdateRunSnapshots: (field number << 3) | 2, all length-delimited.
constexpr char tag_project = 0x0A;
constexpr char tag_run_id = 0x12;
constexpr char tag_create = 0x32;
constexpr char tag_update_batch = 0x42;
constexpr char tag_snapshot = 0x0A;

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

std::uint64_t varint_size(std::uint64_t value) {
  std::uint64_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

void append_field(std::string& out, char tag, std::string_view value) {
  out.push_back(tag);
  append_varint(out, value.size());
  out.append(value);
}

std::string head(const ContainerName& run) {
  std::string out;
  append_field(out, tag_project, run.project.full());
  append_field(out, tag_run_id, run.id);
  return out;
}

}  // namespace

std::uint64_t framed_size(std::uint64_t size) {
  return 1 + varint_size(size) + size;
}

void append_frame_head(std::string& out, std::uint64_t size) {
  out.push_back(tag_snapshot);
  append_varint(out, size);
}

std::string update_head(const ContainerName& run, std::uint64_t framed_bytes) {
  auto out = head(run);
  out.push_back(tag_update_batch);
  append_varint(out, framed_bytes);
  return out;
}

std::string create_request(const ContainerName& run, std::string_view create) {
  auto out = head(run);
  append_field(out, tag_create, create);
  return out;
}

Result<std::optional<Fork>> read_fork(const ProjectName& project, std::string_view create) {
  ingest::v1::Run run;
  if (!run.ParseFromArray(create.data(), static_cast<int>(create.size())))
    return fail("invalid_create", "the run's create operation cannot be read; its log may be damaged");
  if (!run.has_fork_point() || run.fork_point().parent_run_id().empty()) return std::nullopt;
  Fork fork{{project, run.fork_point().parent_run_id()}};
  if (!run.fork_point().parent_project().empty()) {
    auto parent = ProjectName::parse(run.fork_point().parent_project());
    if (!parent) return std::unexpected(parent.error());
    fork.parent.project = std::move(*parent);
  }
  return fork;
}

std::vector<std::string> values_of(std::string_view update) {
  ingest::v1::UpdateRunSnapshot message;
  if (!message.ParseFromArray(update.data(), static_cast<int>(update.size()))) return {};
  std::vector<std::string> values;
  for (const auto& [path, value] : message.assign()) values.push_back('=' + path);
  for (const auto& [path, value] : message.modify_sets()) values.push_back('~' + path);
  for (const auto& [path, value] : message.append()) values.push_back('+' + path);
  std::ranges::sort(values);
  return values;
}

std::string with_values(std::string_view update, const std::vector<std::string>& values) {
  ingest::v1::UpdateRunSnapshot message;
  if (!message.ParseFromArray(update.data(), static_cast<int>(update.size()))) return std::string(update);
  const std::set<std::string> wanted(values.begin(), values.end());
  const auto keep = [&wanted](char mark, auto& map) {
    for (auto at = map.begin(); at != map.end();)
      at = wanted.contains(mark + at->first) ? std::next(at) : map.erase(at);
  };
  keep('=', *message.mutable_assign());
  keep('~', *message.mutable_modify_sets());
  keep('+', *message.mutable_append());
  return message.SerializeAsString();
}

std::string attributes_of(std::string_view update) {
  ingest::v1::UpdateRunSnapshot message;
  if (!message.ParseFromArray(update.data(), static_cast<int>(update.size()))) return {};
  std::set<std::string> names;
  for (const auto& [name, value] : message.assign()) names.insert(name);
  for (const auto& [name, value] : message.modify_sets()) names.insert(name);
  for (const auto& [name, value] : message.append()) names.insert(name);
  constexpr std::size_t named = 3;
  std::vector<std::string> first(names.begin(), names.end());
  if (first.size() > named) first.resize(named);
  auto text = fmt::format("{}", fmt::join(first, ", "));
  if (names.size() > named) text += fmt::format(" and {} more", names.size() - named);
  if (text.empty() || message.append().empty() || !message.has_step()) return text;
  auto step = fmt::format("{}.{:06}", message.step().whole(), message.step().micro());
  step.erase(step.find_last_not_of('0') + 1);
  if (step.ends_with('.')) step.pop_back();
  return text + " at step " + step;
}

}  // namespace neptune::wire
