#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <random>

#include "changes/attributes.h"
#include "changes/management.h"
#include "tests/unit/changes/parsed.h"

/// Whatever comes in, it is taken or refused with a sentence; what was taken can be read back.
namespace neptune {
namespace {

const std::vector<std::string> kSeeds{
    R"({"kind":"run.create","project":"ml-team/lab","run":"r","experiment":"e","fork":{"run":"p","step":1.5},"created_at":"2026-01-02T03:04:05.678Z"})",
    R"({"kind":"run.update","project":"ml-team/lab","run":"r","step":1,"assign":{"t":{"type":"string_set","value":["x"]},"n":{"b":-1e5}},"append":{"a":{"type":"histogram","value":{"bin_edges":[0,1.5],"counts":[1]}},"l":0.25},"tags":{"g":{"add":["a"],"remove":["b"]}},"preview":{"completion_ratio":0.5}})",
    R"([{"kind":"model.update","project":"ml-team/lab","model":"M","append":{"s":[{"value":1,"step":2},{"value":2,"step":3}]},"clear":{"x":"float_series"},"configure":{"s":{"min":0}},"delete":["d"]},{"kind":"trash.empty","project":"ml-team/lab"}])",
    R"({"kind":"project.create","project":"ml-team/lab\u00e4","visibility":"workspace","key":"LAB","idempotency_key":"k"})",
    R"({"kind":"workspace.invite","workspace":"ml-team","email":"a@b","role":"owner","add_to_all_projects":true})",
};

std::string mutated(const std::string& seed, std::mt19937& random) {
  static const std::string kPieces[] = {"{",    "}",        "[",  "]",         ",",          ":",  "\"",
                                        "-",    "1e999",    "0.", "null",      "true",       "\\", "\\ud8",
                                        "\xff", "\xf0\x9f", "\n", "\"type\":", "\"value\":", "{}"};
  auto text = seed;
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  for (auto edits = 1 + below(4); edits > 0 && !text.empty(); --edits) {
    const auto at = below(text.size());
    switch (below(5)) {
      case 0:
        text.erase(at, 1 + below(6));
        break;
      case 1:
        text[at] = static_cast<char>(below(256));
        break;
      case 2:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), below(30)));
        break;
      default: {
        const auto& other = kSeeds[below(kSeeds.size())];
        text = text.substr(0, at) + other.substr(below(other.size()));
      }
    }
  }
  return text;
}

void read_back(const Change& change) {
  if (change.payload.starts_with("{\"kind\"")) {
    EXPECT_TRUE(read_management(change.payload) || read_attributes(change.payload, 0)) << change.payload;
    EXPECT_EQ(accepted(change.payload).payload, change.payload);
  }
}

TEST(Mutations, StartFromWhatIsAccepted) {
  for (const auto& seed : kSeeds) EXPECT_TRUE(parse(seed)) << seed;
}

TEST(Mutations, AreTakenOrRefusedWithASentenceAndNeverCrash) {
  std::mt19937 random(20260102);
  int taken = 0, turned_away = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto body = mutated(kSeeds[static_cast<std::size_t>(i) % kSeeds.size()], random);
    const auto format = i % 3 == 0 ? ChangesFormat::ndjson : ChangesFormat::json;
    if (const auto changes = parse(body, format)) {
      ++taken;
      EXPECT_FALSE(changes->empty());
      for (const auto& change : *changes) read_back(change);
    } else {
      ++turned_away;
      ASSERT_FALSE(changes.error().code.empty()) << body;
      ASSERT_FALSE(changes.error().message.empty()) << body;
    }
  }
  EXPECT_GT(taken, 1000);
  EXPECT_GT(turned_away, 3000);
}

TEST(Mutations, OfStoredUpdatesAreReadOrAreAnError) {
  const google::protobuf::LogSilencer quiet;
  std::mt19937 random(7);
  const auto stored = accepted(kSeeds[1]).payload;
  ASSERT_FALSE(stored.empty());
  int read = 0, damaged = 0;
  for (int i = 0; i < 50'000; ++i) {
    auto bytes = stored;
    for (int edits = 0; edits < 1 + i % 3; ++edits)
      bytes[std::uniform_int_distribution<std::size_t>(0, bytes.size() - 1)(random)] =
          static_cast<char>(random() % 256);
    const auto update = leaderboard_operations(bytes, 0);
    ++(update ? read : damaged);
    if (!update) {
      ASSERT_EQ(update.error().code, "invalid_update");
    }
  }
  EXPECT_GT(read, 1000);
  EXPECT_GT(damaged, 1000);
}

}  // namespace
}  // namespace neptune
