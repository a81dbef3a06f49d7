#include "tests/sandbox/object_store.h"

#include <fmt/format.h>

#include <random>

namespace neptune::sandbox {

std::string_view name(StoreKind kind) {
  return kind == StoreKind::aws ? "aws" : kind == StoreKind::gcp ? "gcp" : "azure";
}

std::optional<StoreKind> store_kind_named(std::string_view text) {
  for (const auto kind : {StoreKind::aws, StoreKind::gcp, StoreKind::azure})
    if (name(kind) == text) return kind;
  return std::nullopt;
}

void ObjectStore::lose_sessions() {
  uploads.clear();
  sessions.clear();
  blocks.clear();
}

void ObjectStore::end_faults() {
  keep_less = 0;
  missing_etags = 0;
  url_lifetime = std::chrono::hours(1);
}

std::shared_ptr<Blob> ObjectStore::make_blob() {
  if (!spool_) spool_ = std::make_shared<Spool>();
  return std::make_shared<Blob>(spool_);
}

std::string ObjectStore::new_id() {
  if (salt_.empty()) {
    std::random_device device;
    salt_ = fmt::format("{:08x}{:08x}", device(), device());
  }
  return sha256_of(fmt::format("{} {}", salt_, ++ids_)).substr(0, 32);
}

std::string ObjectStore::sign(SignedUrl url) {
  url.expires = std::chrono::steady_clock::now() + url_lifetime;
  url.generation = generation_;
  auto id = new_id();
  urls_.emplace(id, std::move(url));
  return id;
}

const SignedUrl* ObjectStore::find(const std::string& id) const {
  const auto found = urls_.find(id);
  if (found == urls_.end()) return nullptr;
  const auto& url = found->second;
  const bool good = url.generation == generation_ && std::chrono::steady_clock::now() < url.expires;
  return good ? &url : nullptr;
}

const ProjectName* ObjectStore::project_of(const Request& request) const {
  const auto id = request.vars.find("id");
  if (id == request.vars.end()) return nullptr;
  if (const auto url = urls_.find(id->second); url != urls_.end()) return &url->second.project;
  if (const auto session = sessions.find(id->second); session != sessions.end()) return &session->second.project;
  return nullptr;
}

std::string ObjectStore::unfinished(const ProjectName& project, const std::string& path, std::uint64_t size) const {
  if (!reuse_multipart) return {};
  for (const auto& [id, upload] : uploads)
    if (upload.project == project && upload.path == path && upload.size == size && upload.completed.empty()) return id;
  return {};
}

std::weak_ptr<const Content> ObjectStore::keep(Content content) {
  kept_bytes_ += size_of(content);
  kept_.push_back(std::make_shared<const Content>(std::move(content)));
  const std::weak_ptr<const Content> out = kept_.back();
  for (; kept_bytes_ > most_kept_bytes; kept_.pop_front()) kept_bytes_ -= size_of(*kept_.front());
  return out;
}

}  // namespace neptune::sandbox
