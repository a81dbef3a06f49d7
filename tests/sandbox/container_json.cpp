#include "tests/sandbox/container_json.h"

#include <algorithm>
#include <cmath>

#include "tests/sandbox/attributes.h"

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

void add_statistics(json::object& out, const std::vector<Series<double>::Point>& points) {
  if (points.empty()) return;
  double least = points.front().value, most = least, sum = 0, squares = 0;
  for (const auto& point : points) {
    least = std::min(least, point.value);
    most = std::max(most, point.value);
    sum += point.value;
    squares += point.value * point.value;
  }
  const auto count = static_cast<double>(points.size());
  const auto average = sum / count;
  out["min"] = finite(least);
  out["max"] = finite(most);
  out["average"] = finite(average);
  out["variance"] = finite(std::max(0.0, squares / count - average * average));
}

class Properties {
 public:
  Properties(json::object& out, const Container& container, const std::string& path)
      : out_(out), container_(container), path_(path) {}

  void operator()(double value) const { out_["value"] = finite(value); }
  void operator()(std::int64_t value) const { out_["value"] = value; }
  void operator()(bool value) const { out_["value"] = value; }
  void operator()(const std::string& value) const { out_["value"] = value; }
  void operator()(const Datetime& value) const { out_["value"] = value.text(); }
  void operator()(const File& value) const {
    if (value.kind == File::Kind::reference) {
      out_["path"] = value.path;
      out_["sizeBytes"] = value.size;
      out_["mimeType"] = value.mime_type;
    } else if (value.kind == File::Kind::file) {
      out_["name"] = value.path.substr(value.path.rfind('/') + 1);
      out_["ext"] = extension(value.path);
      out_["size"] = value.size;
    } else {
      std::uint64_t bytes = 0;
      for (const auto& [path, file] : files_in(*container_.project, value.path)) bytes += file->bytes;
      out_["size"] = bytes;
    }
  }
  void operator()(const StringSet& value) const { out_["values"] = json::array(value.begin(), value.end()); }
  void operator()(const Series<double>& series) const {
    last(series, [](double value) { return finite(value); });
    add_statistics(out_, series.points());
    out_["config"] = config();
    out_["hasPreview"] = series.has_preview();
  }
  void operator()(const Series<std::string>& series) const {
    last(series, [](const std::string& value) { return json::value(value); });
  }
  void operator()(const Series<Image>& series) const {
    last_step(series);
    out_["channelId"] = uuid_of(container_.id + "/" + path_);
  }
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

  json::object config() const {
    json::object out;
    const auto found = container_.series_configs.find(path_);
    if (found == container_.series_configs.end()) return out;
    const auto& given = found->second;
    if (given.min) out["min"] = *given.min;
    if (given.max) out["max"] = *given.max;
    if (!given.unit.empty()) out["unit"] = given.unit;
    return out;
  }
  /// A file is kept as "SHORT-ID/attribute.ext".
  std::string extension(const std::string& stored_as) const {
    const auto stem = container_.short_id.size() + 1 + path_.size() + 1;
    return stored_as.size() > stem ? stored_as.substr(stem) : std::string();
  }

  json::object& out_;
  const Container& container_;
  const std::string& path_;
};

json::object attribute(const Container& container, const std::string& path, const Field& field) {
  const std::string type(attribute_type(field));
  return {{"name", path}, {"type", type}, {type + "Properties", attribute_properties(container, path, field)}};
}

/// Where a container is, and what.
json::object identity(Store& store, const Container& container) {
  const auto& project = *container.project;
  const auto& workspace = *store.workspace(project.name.workspace);
  return {{"type", type_name(container.type)},
          {"projectId", project.id},
          {"projectName", project.name.project},
          {"organizationId", workspace.id},
          {"organizationName", workspace.name}};
}

}  // namespace

json::value finite(double value) {
  return std::isfinite(value) ? json::value(value) : json::value(nullptr);
}

std::string_view type_name(Container::Type type) {
  constexpr std::string_view names[] = {"run", "model", "modelVersion", "project"};
  return names[static_cast<std::size_t>(type)];
}

std::string_view attribute_type(const Field& field) {
  constexpr std::string_view files[] = {"fileRef", "file", "fileSet"};
  if (const auto* file = std::get_if<File>(&field)) return files[static_cast<std::size_t>(file->kind)];
  return types[field.index()];
}

json::object container_json(Store& store, const Container& container) {
  auto out = identity(store, container);
  out["id"] = container.id;
  out["shortId"] = container.short_id;
  out["trashed"] = container.trashed;
  out["parentId"] = container.model == nullptr ? container.project->id : container.model->id;
  if (!container.custom_id.empty()) out["customId"] = container.custom_id;
  return out;
}

json::object attribute_properties(const Container& container, const std::string& path, const Field& field) {
  json::object out{{"attributeName", path}, {"attributeType", attribute_type(field)}};
  std::visit(Properties(out, container, path), field);
  return out;
}

json::object attributes_json(Store& store, const Container& container, const Paths& wanted) {
  const Attributes attributes(container);
  json::array out;
  if (wanted.empty())
    attributes.each(
        [&](const std::string& path, const Field& field) { out.push_back(attribute(container, path, field)); });
  for (const auto& path : wanted)
    if (const auto* field = attributes.find(path)) out.push_back(attribute(container, path, *field));
  auto body = identity(store, container);
  body["experimentId"] = container.id;
  body["attributes"] = std::move(out);
  return body;
}

}  // namespace neptune::sandbox
