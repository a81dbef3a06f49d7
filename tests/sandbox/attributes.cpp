#include "tests/sandbox/attributes.h"

namespace neptune::sandbox {

Attributes::Attributes(const Container& container) : container_(container) {
  own_.emplace_back("sys/id", container.short_id);
  own_.emplace_back("sys/trashed", container.trashed);
  const auto created = container.created_ms;
  if (!container.fields.contains("sys/creation_time"))
    own_.emplace_back("sys/creation_time",
                      Datetime{created / 1000, static_cast<std::int32_t>(created % 1000) * 1'000'000});
  if (!container.custom_id.empty()) own_.emplace_back("sys/custom_run_id", container.custom_id);
  if (container.model != nullptr) own_.emplace_back("sys/model_id", container.model->short_id);
  if (container.type != Container::Type::run || container.fields.contains("sys/name")) return;
  const auto& run = static_cast<const Run&>(container);
  if (!run.experiment.empty()) own_.emplace_back("sys/name", run.experiment);
}

const Field* Attributes::find(const std::string& path) const {
  for (const auto& [own, field] : own_)
    if (own == path) return &field;
  const auto found = container_.fields.find(path);
  return found == container_.fields.end() ? nullptr : &found->second;
}

}  // namespace neptune::sandbox
