#include "sources/client_dir/object_scan.h"

#include <gtest/gtest.h>

#include "tests/unit/sources/client_box.h"

namespace neptune::sources {
namespace {

const std::string one = ClientBox::operation(7);

TEST(ObjectScan, FindsObjectsOneAfterTheOtherWithAndWithoutWhiteSpace) {
  const auto text = "  " + one + "\r\n\t" + one.substr(0, one.size() - 1) + one;
  std::size_t at = 0;
  for (int i = 0; i < 3; ++i) {
    const auto found = scan_object(text, at);
    ASSERT_EQ(found.end, ScanEnd::object) << i;
    EXPECT_EQ(found.object.version, 7);
    EXPECT_EQ(found.object.at, 1795452690.5);
    EXPECT_EQ(text.substr(found.object.obj_begin, 8), R"({"type":)");
    at = found.object.end;
  }
  EXPECT_EQ(scan_object(text, at).end, ScanEnd::nothing);
}

TEST(ObjectScan, TakesEveryBeginningOfAnObjectForATornOne) {
  const std::string object =
      R"({"obj": {"s": "a\u00e9\\\"{", "n": [-1.5e-3, true, null, NaN, -Infinity, {}, []]}, "version": 12, "at": 1.5})";
  ASSERT_EQ(scan_object(object, 0).end, ScanEnd::object);
  for (std::size_t size = 1; size < object.size(); ++size)
    EXPECT_EQ(scan_object(object.substr(0, size), 0).end, ScanEnd::incomplete) << object.substr(0, size);
}

TEST(ObjectScan, SaysThatSomethingElseIsBad) {
  for (const auto* text : {
           "x",
           "]",
           "12",
           R"({"obj": 1, "version": 1})",
           R"({"obj": {}, "version": "1"})",
           R"({"obj": {}})",
           R"({"version": 1})",
           R"({"obj": {}, "version": 0})",
           R"({"obj": {}, "version": 1.5})",
           R"({"obj": {,}, "version": 1})",
           R"({"obj": {"a": tru}, "version": 1})",
           R"({"obj": {"a": "\x"}, "version": 1})",
           R"({"obj": {"a": 01x}, "version": 1})",
           R"({"obj": {"a" 1}, "version": 1})",
           R"({"obj": {}, "version": 1, "at": "now"})",
       })
    EXPECT_EQ(scan_object(text, 0).end, ScanEnd::bad) << text;
}

TEST(ObjectScan, SaysThatATornObjectWithOthersBehindItIsBad) {
  for (std::size_t size = 1; size + 1 < one.size(); ++size)
    EXPECT_EQ(scan_object(one.substr(0, size) + "\n" + one + one, 0).end, ScanEnd::bad) << one.substr(0, size);
}

TEST(ObjectScan, TakesZerosAtTheEndForWhatAPowerCutLeft) {
  EXPECT_EQ(scan_object(std::string(4096, '\0'), 0).end, ScanEnd::incomplete);
  EXPECT_EQ(scan_object(std::string(40, '\0') + one, 0).end, ScanEnd::bad);
}

TEST(ObjectScan, BoundsTheDepth) {
  const auto nested = [](int depth) {
    return R"({"obj": {"a": )" + std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']') + R"(}, "version": 1})";
  };
  EXPECT_EQ(scan_object(nested(20), 0).end, ScanEnd::object);
  EXPECT_EQ(scan_object(nested(100'000), 0).end, ScanEnd::bad);
}

TEST(ObjectScan, MakesStrictJsonOfWhatPythonWrites) {
  EXPECT_EQ(strict_json("{\"a\": NaN, \"b\": [-Infinity, Infinity], \"c\": \"NaN\t\\\"NaN\n\"}"),
            R"({"a": "NaN", "b": ["-Infinity", "Infinity"], "c": "NaN\u0009\"NaN\u000a"})");
}

}  // namespace
}  // namespace neptune::sources
