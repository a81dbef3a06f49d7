#include "tests/sandbox/container_json.h"

#include <cmath>

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

constexpr std::string_view types[] = {"float",         "int",        "bool",        "string",       "datetime",
                                      "fileRef",       "stringSet",  "floatSeries", "stringSeries", "histogramSeries",
                                      "fileRefSeries", "imageSeries"};
static_assert(std::size(types) == std::variant_size_v<Field>);

double step_of(std::uint64_t millionths) {
  return static_cast<double>(millionths) / 1e6;
}

/// JSON has no word for these.
json::value finite(double value) {
  return std::isfinite(value) ? json::value(value) : json::value(nullptr);
}

class Properties {
 public:
  Properties(json::object& out, const SeriesConfig* config) : out_(out), config_(config) {}

  void operator()(double value) const { out_["value"] = finite(value); }
  void operator()(std::int64_t value) const { out_["value"] = value; }
  void operator()(bool value) const { out_["value"] = value; }
  void operator()(const std::string& value) const { out_["value"] = value; }
  void operator()(const Datetime& value) const { out_["value"] = value.text(); }
  void operator()(const File& value) const {
    out_["path"] = value.path;
    out_["sizeBytes"] = value.size;
    out_["mimeType"] = value.mime_type;
  }
  void operator()(const StringSet& value) const { out_["values"] = json::array(value.begin(), value.end()); }
  void operator()(const Series<double>& series) const {
    last(series, [](double value) { return finite(value); });
    json::object config;
    if (config_ != nullptr) {
      if (config_->min) config["min"] = *config_->min;
      if (config_->max) config["max"] = *config_->max;
      if (!config_->unit.empty()) config["unit"] = config_->unit;
    }
    out_["config"] = std::move(config);
    out_["hasPreview"] = series.has_preview();
  }
  void operator()(const Series<std::string>& series) const {
    last(series, [](const std::string& value) { return json::value(value); });
  }
  void operator()(const Series<Image>& series) const { last_step(series); }
  template <class T>
  void operator()(const Series<T>& series) const {
    last_step(series);
  }

 private:
  template <class T>
  void last_step(const Series<T>& series) const {
    if (!series.points().empty()) out_["lastStep"] = step_of(series.points().back().step);
  }
  template <class T, class Value>
  void last(const Series<T>& series, Value value) const {
    last_step(series);
    if (!series.points().empty()) out_["last"] = value(series.points().back().value);
  }

  json::object& out_;
  const SeriesConfig* config_;
};

json::object attribute(const Container& container, const std::string& path, const Field& field) {
  const std::string type(attribute_type(field));
  return {{"name", path}, {"type", type}, {type + "Properties", attribute_properties(container, path, field)}};
}

json::array identity(const Container& container) {
  json::array out{attribute(container, "sys/id", Field(container.short_id)),
                  attribute(container, "sys/trashed", Field(container.trashed))};
  if (!container.custom_id.empty())
    out.push_back(attribute(container, "sys/custom_run_id", Field(container.custom_id)));
  return out;
}

json::object with_attributes(Store& store, const Container& container, json::array attributes) {
  auto out = container_json(store, container);
  out["experimentId"] = container.id;
  out["attributes"] = std::move(attributes);
  return out;
}

}  // namespace

std::string_view type_name(Container::Type type) {
  constexpr std::string_view names[] = {"run", "model", "modelVersion", "project"};
  return names[static_cast<std::size_t>(type)];
}

std::string_view attribute_type(const Field& field) {
  return types[field.index()];
}

json::object container_json(Store& store, const Container& container) {
  const auto& project = *container.project;
  const auto& workspace = *store.workspace(project.name.workspace);
  json::object out{{"id", container.id},
                   {"shortId", container.short_id},
                   {"type", type_name(container.type)},
                   {"trashed", container.trashed},
                   {"projectId", project.id},
                   {"projectName", project.name.project},
                   {"organizationId", workspace.id},
                   {"organizationName", workspace.name},
                   {"parentId", container.model == nullptr ? project.id : container.model->id}};
  if (!container.custom_id.empty()) out["customId"] = container.custom_id;
  return out;
}

json::object attribute_properties(const Container& container, const std::string& path, const Field& field) {
  json::object out{{"attributeName", path}, {"attributeType", attribute_type(field)}};
  const auto config = container.series_configs.find(path);
  std::visit(Properties(out, config == container.series_configs.end() ? nullptr : &config->second), field);
  return out;
}

json::object identity_attributes(Store& store, const Container& container) {
  return with_attributes(store, container, identity(container));
}

json::object all_attributes(Store& store, const Container& container) {
  auto attributes = identity(container);
  for (const auto& [path, field] : container.fields) attributes.push_back(attribute(container, path, field));
  return with_attributes(store, container, std::move(attributes));
}

}  // namespace neptune::sandbox
