#include "changes/client_operation.h"

#include <gmock/gmock.h>

/// What a 1.x client logged, as the operations that the server takes.
namespace neptune {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t logged_ms = 1'700'000'000'123;

ClientOperation read(std::string_view json) {
  auto operation = read_client_operation(json, logged_ms);
  if (!operation) ADD_FAILURE() << operation.error().message;
  return operation.value_or(ClientOperation{});
}

/// The operations as "path op body".
std::vector<std::string> operations(std::string_view json) {
  std::vector<std::string> out;
  for (const auto& each : read(json).operations) out.push_back(each.path + " " + each.op + " " + each.body);
  return out;
}

TEST(ClientOperation, AssignmentsKeepTheirDigits) {
  EXPECT_THAT(operations(R"({"type":"AssignFloat","path":["params","lr"],"value":0.1})"),
              ElementsAre(R"(params/lr assignFloat {"value":0.1})"));
  EXPECT_THAT(operations(R"({"type":"AssignInt","path":["n"],"value":9223372036854775807})"),
              ElementsAre(R"(n assignInt {"value":9223372036854775807})"));
  EXPECT_THAT(operations(R"({"type":"AssignBool","path":["b"],"value":true})"),
              ElementsAre(R"(b assignBool {"value":true})"));
  EXPECT_THAT(operations(R"({"type":"AssignString","path":["s"],"value":"a\"\u00e9\n"})"),
              ElementsAre("s assignString {\"value\":\"a\\\"é\\n\"}"));
  EXPECT_THAT(operations(R"({"type":"AssignDatetime","path":["d"],"value":1767323045000})"),
              ElementsAre(R"(d assignDatetime {"valueMilliseconds":1767323045000})"));
}

TEST(ClientOperation, EachPointOfASeriesIsAnOperationOfItsOwn) {
  EXPECT_THAT(operations(R"({"type":"LogFloats","path":["a","b"],"values":[{"value":1.5,"step":0,"ts":2.5},
                             {"value":2,"step":null,"ts":1795452688.5511987}]})"),
              ElementsAre(R"(a/b logFloats {"entries":[{"value":1.5,"step":0,"timestampMilliseconds":2500}]})",
                          R"(a/b logFloats {"entries":[{"value":2,"timestampMilliseconds":1795452688551}]})"));
  const auto points = read(R"({"type":"LogStrings","path":["l"],"values":[{"value":"x","step":7}]})").operations;
  ASSERT_EQ(points.size(), 1u);
  EXPECT_EQ(points[0].body, R"({"entries":[{"value":"x","step":7,"timestampMilliseconds":1700000000123}]})");
  ASSERT_TRUE(points[0].point);
  EXPECT_TRUE(points[0].point->text);
  EXPECT_EQ(points[0].point->step, 7);
}

TEST(ClientOperation, APointWithoutAStepCanBeGivenOne) {
  auto point = read(R"({"type":"LogFloats","path":["a"],"values":[{"value":2,"step":null,"ts":1}]})").operations.at(0);
  set_step(point, 5);
  EXPECT_EQ(point.body, R"({"entries":[{"step":5.0,"value":2,"timestampMilliseconds":1000}]})");
}

TEST(ClientOperation, ImagesAreASeriesOfTheirOwnKind) {
  const auto image =
      read(R"({"type":"LogImages","path":["i"],"values":[{"value":{"data":"aGk=","name":"n","description":null},
               "step":1,"ts":1}]})");
  ASSERT_EQ(image.operations.size(), 1u);
  EXPECT_EQ(image.operations[0].body,
            R"({"entries":[{"value":{"data":"aGk=","name":"n"},"step":1,"timestampMilliseconds":1000}]})");
  EXPECT_TRUE(image.operations[0].point->image);
}

TEST(ClientOperation, SetsSeriesAndDeletes) {
  EXPECT_THAT(operations(R"({"type":"AddStrings","path":["sys","tags"],"values":["b","a"]})"),
              ElementsAre(R"(sys/tags insertStrings {"values":["b","a"]})"));
  EXPECT_THAT(operations(R"({"type":"RemoveStrings","path":["t"],"values":["b"]})"),
              ElementsAre(R"(t removeStrings {"values":["b"]})"));
  EXPECT_THAT(operations(R"({"type":"ConfigFloatSeries","path":["f"],"min":0,"max":null,"unit":"s"})"),
              ElementsAre(R"(f configFloatSeries {"min":0,"unit":"s"})"));
  EXPECT_THAT(operations(R"({"type":"ClearImageLog","path":["f"]})"), ElementsAre("f clearImageSeries {}"));
  EXPECT_THAT(operations(R"({"type":"DeleteAttribute","path":["f"]})"), ElementsAre("f deleteAttribute {}"));
  EXPECT_THAT(operations(R"({"type":"DeleteFiles","path":["f"],"file_paths":["a/b"]})"),
              ElementsAre(R"(f deleteFiles {"filePaths":["a/b"]})"));
}

TEST(ClientOperation, WhatTheServerTakesNotIsLeftOutAndTheRestGoes) {
  const auto series = read(R"({"type":"LogFloats","path":["a"],"values":[{"value":"NaN","step":0,"ts":1},
                               {"value":1,"step":1,"ts":1}]})");
  EXPECT_EQ(series.operations.size(), 1u);
  ASSERT_EQ(series.left_out.size(), 1u);
  EXPECT_THAT(series.left_out[0].reason, HasSubstr("NaN"));
  EXPECT_THAT(read(R"({"type":"AssignFloat","path":["a"],"value":"-Infinity"})").left_out, ::testing::SizeIs(1));
  const auto artifact = read(R"({"type":"AssignArtifact","path":["a"],"hash":"x"})");
  EXPECT_THAT(artifact.operations, IsEmpty());
  ASSERT_EQ(artifact.left_out.size(), 1u);
  EXPECT_THAT(artifact.left_out[0].reason, HasSubstr("artifacts"));
}

TEST(ClientOperation, UploadsAndCopiesAreTold) {
  const auto file = read(R"({"type":"UploadFile","path":["w"],"ext":"bin","file_path":null,"tmp_file_name":"w-1.bin",
                             "clean_after_upload":true})");
  ASSERT_TRUE(file.upload);
  EXPECT_EQ(file.upload->tmp_file_name, "w-1.bin");
  const auto set = read(R"({"type":"UploadFileSet","path":["s"],"file_globs":["a/*"],"reset":"True"})");
  ASSERT_TRUE(set.upload);
  EXPECT_TRUE(set.upload->reset);
  EXPECT_THAT(set.upload->globs, ElementsAre("a/*"));
  // The client logs it for the source code of every run that names none.
  const auto none = read(R"({"type":"UploadFileSet","path":["s"],"file_globs":[],"reset":"False"})");
  EXPECT_FALSE(none.upload);
  EXPECT_THAT(none.left_out, IsEmpty());
  const auto copy = read(R"({"type":"CopyAttribute","path":["c"],"container_id":"u","container_type":"run",
                             "source_path":["a","b"],"source_attr_name":"FloatAttribute"})");
  ASSERT_TRUE(copy.copy);
  EXPECT_EQ(copy.copy->source_path, "a/b");
  EXPECT_EQ(copy.copy->type, ClientCopy::Type::number);
  const auto artifact = read(R"({"type":"CopyAttribute","path":["c"],"container_id":"u","container_type":"run",
                                 "source_path":["a"],"source_attr_name":"Artifact"})");
  EXPECT_FALSE(artifact.copy);
  ASSERT_EQ(artifact.left_out.size(), 1u);
  EXPECT_THAT(artifact.left_out[0].reason, HasSubstr("'Artifact' cannot be copied"));
}

TEST(ClientOperation, WhatGoesAloneIsTold) {
  EXPECT_TRUE(may_go_alone(R"({"type":"UploadFile","path":["w"],"ext":"","file_path":"/a"})"));
  EXPECT_TRUE(may_go_alone(R"({"path":["w"],"type": "UploadFileContent"})"));
  EXPECT_TRUE(may_go_alone(R"({"type":"UploadFileSet"})"));
  EXPECT_TRUE(may_go_alone(R"({"type":"CopyAttribute"})"));
  EXPECT_FALSE(may_go_alone(R"({"type":"AssignString","path":["a"],"value":"an UploadFile"})"));
}

TEST(ClientOperation, ACopyAssignsWhatTheServerTellsOfItsSource) {
  const auto assigned = [](const char* type, const char* properties) {
    const auto copy =
        read(std::string(R"({"type":"CopyAttribute","path":["c","d"],"container_id":"u","container_type":"model",
                             "source_path":["a"],"source_attr_name":")") +
             type + "\"}");
    if (!copy.copy) return std::string("no copy");
    const auto operation = assignment_of_copy(*copy.copy, properties);
    return operation ? operation->path + " " + operation->op + " " + operation->body : operation.error().code;
  };
  EXPECT_EQ(assigned("Float", R"({"attributeName":"a","value":0.30000000000000004})"),
            R"(c/d assignFloat {"value":0.30000000000000004})");
  EXPECT_EQ(assigned("Integer", R"({"value":7})"), R"(c/d assignInt {"value":7})");
  EXPECT_EQ(assigned("Boolean", R"({"value":false})"), R"(c/d assignBool {"value":false})");
  EXPECT_EQ(assigned("String", R"({"value":"a\"b"})"), R"(c/d assignString {"value":"a\"b"})");
  EXPECT_EQ(assigned("Datetime", R"({"value":"2026-01-02T03:04:05.678Z"})"),
            R"(c/d assignDatetime {"valueMilliseconds":1767323045678})");
  for (const auto* wrong : {R"({"value":"x"})", R"({})", "[", R"({"value":null})"})
    EXPECT_EQ(assigned("Float", wrong), "copied_value_unreadable") << wrong;
  EXPECT_EQ(assigned("Datetime", R"({"value":"yesterday"})"), "copied_value_unreadable");
}

TEST(ClientOperation, RefusesWhatIsNone) {
  const auto code = [](std::string_view json) {
    const auto read = read_client_operation(json, logged_ms);
    return read ? "read" : read.error().code;
  };
  EXPECT_EQ(code(R"({"type":"Explode","path":["a"]})"), "client_operation_unknown");
  EXPECT_EQ(code(R"({"type":"AssignFloat","path":"a","value":1})"), "client_operation_invalid");
  EXPECT_EQ(code(R"({"type":"AssignFloat","path":[],"value":1})"), "client_operation_invalid");
  EXPECT_EQ(code(R"({"type":"AssignFloat","path":["a"],"value":"x"})"), "client_operation_invalid");
  EXPECT_EQ(code(R"({"type":"AssignInt","path":["a"],"value":1.5})"), "client_operation_invalid");
  EXPECT_EQ(code(R"({"type":"LogFloats","path":["a"],"values":{}})"), "client_operation_invalid");
  EXPECT_EQ(code(R"({"path":["a"]})"), "client_operation_invalid");
  EXPECT_EQ(code("[1"), "client_operation_invalid");
}

}  // namespace
}  // namespace neptune
