// GET /metrics as OpenMetrics, read by a strict parser of it.
#include <gtest/gtest.h>

#include <charconv>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

#include "local_api/impl/metrics.h"
#include "tests/unit/local_api/served.h"

namespace neptune::local_api {
namespace {

struct Sample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct Family {
  std::string type, unit, help;
  std::vector<Sample> samples;
};

/// The text of an exposition, by the rules of OpenMetrics 1.0 as far as they bind what is written here. Every breach is
/// a line of `complaints`.
class Exposition {
 public:
  explicit Exposition(const std::string& text) {
    constexpr std::string_view end = "# EOF\n";
    if (!text.ends_with(end)) complain("it does not end with # EOF");
    std::istringstream lines(text.substr(0, text.size() - std::min(text.size(), end.size())));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("# ")) {
        metadata(line);
      } else {
        sample(line);
      }
    }
    for (const auto& [name, family] : families) check(name, family);
  }

  std::map<std::string, Family> families;
  std::vector<std::string> complaints;

 private:
  void complain(const std::string& what) { complaints.push_back(what); }

  void metadata(const std::string& line) {
    static const std::regex form("# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)");
    std::smatch parts;
    if (!std::regex_match(line, parts, form)) return complain("no metadata: " + line);
    const std::string name = parts[2];
    if (name != current_) {
      if (families.contains(name)) complain("a family comes twice, or is interleaved: " + name);
      current_ = name;
    }
    auto& family = families[name];
    if (!family.samples.empty()) complain("metadata after samples: " + line);
    auto& slot = parts[1] == "TYPE" ? family.type : parts[1] == "UNIT" ? family.unit : family.help;
    if (!slot.empty()) complain("said twice: " + line);
    slot = parts[3];
  }

  void sample(const std::string& line) {
    static const std::regex form("([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{.*\\})? ([^ ]+)");
    static const std::regex label("([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\\\\n]|\\\\[\\\\\"n])*)\"(,|$)");
    std::smatch parts;
    if (!std::regex_match(line, parts, form)) return complain("no sample: " + line);
    Sample found{.name = parts[1], .labels = {}};
    std::string inside = parts[2];
    if (!inside.empty()) inside = inside.substr(1, inside.size() - 2);
    std::size_t read = 0;
    for (std::sregex_iterator it(inside.begin(), inside.end(), label), end; it != end; ++it) {
      read += static_cast<std::size_t>(it->length());
      if (!found.labels.emplace((*it)[1], (*it)[2]).second) complain("a label comes twice: " + line);
    }
    if (read != inside.size() || inside.ends_with(',')) complain("broken labels: " + line);
    const std::string number = parts[3];
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), found.value);
    if (error != std::errc() || end != number.data() + number.size()) complain("no number: " + line);
    if (current_.empty() || !found.name.starts_with(current_)) return complain("a sample of no family: " + line);
    families[current_].samples.push_back(std::move(found));
  }

  void check(const std::string& name, const Family& family) {
    static const std::map<std::string, std::set<std::string>> suffixes{
        {"gauge", {""}}, {"counter", {"_total", "_created"}}, {"histogram", {"_bucket", "_sum", "_count", "_created"}}};
    const auto allowed = suffixes.find(family.type);
    if (allowed == suffixes.end()) return complain(name + " has the type '" + family.type + "'");
    if (family.help.empty()) complain(name + " has no help");
    if (!family.unit.empty() && !name.ends_with("_" + family.unit)) complain(name + " is not named by its unit");
    if (family.type == "counter" && name.ends_with("_total"))
      complain(name + ": the family carries its sample's suffix");
    std::set<std::pair<std::string, std::map<std::string, std::string>>> seen;
    for (const auto& one : family.samples) {
      if (!allowed->second.contains(one.name.substr(name.size()))) complain(one.name + " is no sample of " + name);
      if (!seen.emplace(one.name, one.labels).second) complain(one.name + " comes twice with the same labels");
      if (family.type == "counter" && !(one.value >= 0)) complain(one.name + " is negative");
    }
    if (family.type == "histogram") check_histogram(name, family);
  }

  void check_histogram(const std::string& name, const Family& family) {
    std::map<std::map<std::string, std::string>, double> last, counts;
    std::map<std::map<std::string, std::string>, std::string> last_bound;
    for (const auto& one : family.samples) {
      auto labels = one.labels;
      const auto bound = labels.extract("le");
      if (one.name == name + "_count") counts[labels] = one.value;
      if (one.name != name + "_bucket") continue;
      if (bound.empty()) {
        complain(name + " has a bucket without a bound");
        continue;
      }
      if (one.value < last[labels]) complain(name + "'s buckets do not hold the smaller ones");
      last[labels] = one.value;
      last_bound[labels] = bound.mapped();
    }
    for (const auto& [labels, count] : counts)
      if (last_bound[labels] != "+Inf" || last[labels] != count) complain(name + " does not end with all in +Inf");
  }

  std::string current_;
};

api::Status status_with_everything() {
  api::Status status;
  status.version = "1.2.3";
  status.state = "running";
  for (const char* name : {"ml-team", "vis\"i\\on\n"}) {
    auto& workspace = status.workspaces.emplace_back();
    workspace.name = name;
    workspace.oldest_pending_at = "2026-01-02T03:04:05.678Z";
    for (const char* project : {"/a", "/b"}) workspace.projects.emplace_back().name = std::string(name) + project;
  }
  status.sources.resize(2);
  status.sources[0].uploads = 3;
  status.uploads.resize(1);
  return status;
}

engine::Metrics metrics_with_everything() {
  engine::Metrics metrics;
  for (const double seconds : {0.01, 0.3, 1000.0}) metrics.confirm_seconds[{"ml-team", "lab"}].observe(seconds);
  metrics.confirm_seconds[{"vision", "maps"}].observe(2);
  metrics.sent_bytes[{"ml-team", "lab"}] = 1u << 30;
  metrics.uploaded[{"ml-team", "lab"}] = {2, 3u << 20};
  metrics.rejections[{{"ml-team", "lab"}, "HTTP_400"}] = 2;
  metrics.probes[{Scope::of("ml-team"), "normal"}] = 5;
  metrics.probes[{Scope::of(ProjectName{"ml-team", "lab"}), "read_only"}] = 2;
  return metrics;
}

TEST(OpenMetrics, EverythingThatIsWrittenIsAsItSays) {
  const auto text = metrics_text(status_with_everything(), metrics_with_everything(), process_facts(),
                                 from_unix_ms(1767323047178), MetricsForm::open_metrics);
  const Exposition read(text);
  EXPECT_EQ(read.complaints, std::vector<std::string>{}) << text;
  EXPECT_GT(read.families.size(), 30u);
  EXPECT_EQ(read.families.at("neptune_sync_uploaded_bytes").type, "counter");
  EXPECT_EQ(read.families.at("neptune_sync_uploaded_bytes").unit, "bytes");
  EXPECT_EQ(read.families.at("neptune_sync_uploaded_files").samples.at(0).value, 2);
  EXPECT_EQ(read.families.at("neptune_sync_waiting_uploads").samples.at(0).value, 3);
  EXPECT_EQ(read.families.at("neptune_sync_active_uploads").samples.at(0).value, 1);
}

TEST(OpenMetrics, WithNothingToTellIsAsItSaysToo) {
  const auto text = metrics_text({}, {}, {}, from_unix_ms(0), MetricsForm::open_metrics);
  EXPECT_EQ(Exposition(text).complaints, std::vector<std::string>{}) << text;
}

TEST(OpenMetrics, TheParserFindsWhatIsWrong) {
  for (const char* bad :
       {"# TYPE a gauge\n# HELP a A.\na 1\n", "# TYPE a counter\n# HELP a A.\na 1\n# EOF\n",
        "# TYPE a_total counter\n# HELP a_total A.\na_total 1\n# EOF\n", "a 1\n# EOF\n",
        "# TYPE a gauge\n# HELP a A.\na 1\na 2\n# EOF\n", "# TYPE a gauge\n# HELP a A.\na x\n# EOF\n",
        "# TYPE a gauge\n# HELP a A.\na{b=\"c} 1\n# EOF\n", "# TYPE a gauge\n# UNIT a bytes\n# HELP a A.\na 1\n# EOF\n",
        "# TYPE a gauge\n\n# HELP a A.\na 1\n# EOF\n",
        "# TYPE h histogram\n# HELP h H.\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum "
        "1\nh_count 1\n# EOF\n"})
    EXPECT_FALSE(Exposition(bad).complaints.empty()) << bad;
}

TEST(OpenMetrics, AreGivenToWhoeverTakesThem) {
  test::Served served;
  const auto plain = test::ask(served.path(), "GET", "/metrics");
  EXPECT_NE(plain.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
  EXPECT_EQ(plain.find("# EOF"), std::string::npos);
  const auto asked = test::ask(served.path(), "GET", "/metrics",
                               "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1\r\n\r\n");
  EXPECT_NE(asked.find("Content-Type: application/openmetrics-text; version=1.0.0"), std::string::npos) << asked;
  EXPECT_EQ(Exposition(test::body_of(asked)).complaints, std::vector<std::string>{}) << asked;
}

}  // namespace
}  // namespace neptune::local_api
