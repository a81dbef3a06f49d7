#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "changes/ingest_code.h"

/// What a run holds: each path is one attribute or one series, of one type for good.
namespace neptune::sandbox {

struct Datetime {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
  /// RFC 3339 UTC with as many fraction digits as it needs of 0, 3, 6, 9.
  std::string text() const;
  bool operator==(const Datetime&) const = default;
};

struct File {
  /// What ingestion refers to; or what 1.x uploaded: one file, or a set of them below the path.
  enum class Kind : std::uint8_t { reference, file, set };
  std::string path, mime_type;
  std::int64_t size = 0;
  Kind kind = Kind::reference;
  bool operator==(const File&) const = default;
};

struct Histogram {
  std::vector<double> bin_edges;
  std::vector<std::uint64_t> counts;
  std::vector<double> densities;
  bool operator==(const Histogram&) const = default;
};

/// A picture of a 1.x series, as it came: base64.
struct Image {
  std::string data, name, description;
  bool operator==(const Image&) const = default;
};

using StringSet = std::set<std::string, std::less<>>;

inline bool same(double left, double right) {
  return std::bit_cast<std::uint64_t>(left) == std::bit_cast<std::uint64_t>(right);
}
template <class T>
bool same(const T& left, const T& right) {
  return left == right;
}

/// The time of a point, `count` times `unit_ns` after the epoch: more than 285 years from it are held as 285.
inline std::int64_t time_ns_of(std::int64_t count, std::int64_t unit_ns) {
  const std::int64_t most = 9'000'000'000'000'000'000 / unit_ns;
  return std::clamp(count, -most, most) * unit_ns;
}

/// One series: committed points, then previews, each in order of their steps (millionths).
///
/// A committed point replaces the previews up to its step. A preview may be replaced by another of its step. The steps
/// of replaced previews are remembered, so that sending one again is a duplicate and not a refusal.
template <class T>
class Series {
 public:
  struct Point {
    std::uint64_t step;
    T value;
    std::int64_t time_ns;  ///< as it was logged, since the epoch
  };

  const std::vector<Point>& points() const { return points_; }

  IngestCode append(Point point, bool preview) {
    return preview ? append_preview(std::move(point)) : commit(std::move(point));
  }
  /// After all others, whatever its step: 1.x operations are stored as often as they come.
  void push(Point point) {
    points_.push_back(std::move(point));
    committed_ = points_.size();
  }
  void clear() { *this = Series(); }
  bool has_preview() const { return committed_ < points_.size(); }

 private:
  using Iterator = typename std::vector<Point>::iterator;

  Iterator first_preview() { return points_.begin() + static_cast<std::ptrdiff_t>(committed_); }
  static Iterator find(Iterator from, Iterator to, std::uint64_t step) {
    return std::lower_bound(from, to, step, [](const Point& point, std::uint64_t at) { return point.step < at; });
  }

  IngestCode commit(Point point) {
    if (committed_ > 0 && point.step <= points_[committed_ - 1].step) {
      const auto found = find(points_.begin(), first_preview(), point.step);
      const bool equal = found != first_preview() && found->step == point.step && same(found->value, point.value);
      return equal ? IngestCode::series_point_duplicate : IngestCode::series_step_non_increasing;
    }
    const auto keep_from = find(first_preview(), points_.end(), point.step + 1);
    for (auto at = first_preview(); at != keep_from; ++at) replaced_.insert(at->step);
    const auto place = points_.erase(first_preview(), keep_from);
    points_.insert(place, std::move(point));
    ++committed_;
    return IngestCode::ok;
  }

  IngestCode append_preview(Point point) {
    if (committed_ > 0 && point.step <= points_[committed_ - 1].step)
      return replaced_.contains(point.step) ? IngestCode::series_point_duplicate
                                            : IngestCode::series_preview_step_not_after_last_committed_step;
    const auto found = find(first_preview(), points_.end(), point.step);
    if (found == points_.end() || found->step != point.step) {
      points_.insert(found, std::move(point));
      return IngestCode::ok;
    }
    if (same(found->value, point.value)) return IngestCode::series_point_duplicate;
    *found = std::move(point);
    return IngestCode::ok;
  }

  std::vector<Point> points_;
  std::size_t committed_ = 0;
  std::set<std::uint64_t> replaced_;
};

using Field = std::variant<double, std::int64_t, bool, std::string, Datetime, File, StringSet, Series<double>,
                           Series<std::string>, Series<Histogram>, Series<File>, Series<Image>>;

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

using Fields = std::unordered_map<std::string, Field, StringHash, std::equal_to<>>;

}  // namespace neptune::sandbox
