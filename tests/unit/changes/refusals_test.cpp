#include <gmock/gmock.h>

#include "changes/limits.h"
#include "tests/unit/changes/parsed.h"

/// Every rule at the door, each broken once.
namespace neptune {
namespace {

using ::testing::HasSubstr;

struct Bad {
  std::string sentence;  ///< what is refused, as the test's name
  std::string body;
  std::string code, field;
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.sentence;
}

std::string text_of(std::size_t size) {
  return std::string(size, 'x');
}

std::string create(const std::string& more) {
  return R"({"kind":"run.create","project":"ml-team/lab",)" + more + "}";
}
std::string update(const std::string& more) {
  return R"({"kind":"run.update","project":"ml-team/lab","run":"r",)" + more + "}";
}
std::string assign(const std::string& value) {
  return update(R"("assign":{"a":)" + value + "}");
}
std::string append(const std::string& value) {
  return update(R"("step":1,"append":{"a":)" + value + "}");
}
std::string stepped(const std::string& step) {
  return update(R"("step":)" + step + R"(,"append":{"a":1})");
}
std::string new_project(const std::string& name, const std::string& more = "") {
  return R"({"kind":"project.create","project":"ml-team/)" + name + "\"" + more + "}";
}
std::string of_project(const std::string& kind, const std::string& more) {
  return R"({"kind":")" + kind + R"(","project":"ml-team/lab",)" + more + "}";
}
std::string model_update(const std::string& more) {
  return of_project("model.update", R"("model":"FOREST",)" + more);
}
std::string histogram(const std::string& value) {
  return append(R"({"type":"histogram","value":)" + value + "}");
}

std::string edges(int count) {
  std::string list = "[0", counts = "[";
  for (int i = 1; i < count; ++i) {
    list += "," + std::to_string(i);
    counts += i > 1 ? ",1" : "1";
  }
  return R"({"bin_edges":)" + list + R"(],"counts":)" + counts + "]}";
}

const std::string kH = ".value.";

const std::vector<Bad> kBad{
    {"AnUnknownKind", R"({"kind":"run.craete","project":"a/b"})", "unknown_kind", "kind"},
    {"NoKind", R"({"project":"a/b"})", "missing_field", "kind"},
    {"AKindThatIsANumber", R"({"kind":3})", "wrong_type", "kind"},
    {"AnUnknownField", create(R"("run":"r","experimnt":"x")"), "unknown_field", "experimnt"},
    {"AFieldGivenTwice", create(R"("run":"r","run":"s")"), "duplicate_field", "run"},
    {"AnEmptyIdempotencyKey", create(R"("run":"r","idempotency_key":"")"), "empty_name", "idempotency_key"},
    {"ALongIdempotencyKey", create(R"("run":"r","idempotency_key":")" + text_of(257) + "\""), "name_too_long",
     "idempotency_key"},
    {"ANumberAsIdempotencyKey", create(R"("run":"r","idempotency_key":7)"), "wrong_type", "idempotency_key"},

    {"AProjectWithoutWorkspace", R"({"kind":"run.create","project":"lab","run":"r"})", "invalid_project_name",
     "project"},
    {"AProjectWithTwoSlashes", R"({"kind":"run.create","project":"a/b/c","run":"r"})", "invalid_project_name",
     "project"},
    {"NoProject", R"({"kind":"run.create","run":"r"})", "missing_field", "project"},
    {"ALineBreakInAProject", R"({"kind":"run.create","project":"a/b\nc","run":"r"})", "invalid_name", "project"},
    {"AProjectOfBlanks", R"({"kind":"run.create","project":"a/   ","run":"r"})", "empty_name", "project"},
    {"ANewProjectOfBlanks", new_project("   "), "empty_name", "project"},
    {"ANewNameOfBlanks", of_project("project.update", R"("name":"    ")"), "empty_name", "name"},
    {"AWorkspaceOfBlanks", R"({"kind":"run.create","project":"  /b","run":"r"})", "empty_name", "project"},
    {"AWorkspaceWithALeadingBlank", R"({"kind":"run.create","project":" a/b","run":"r"})", "invalid_name", "project"},
    {"AWorkspaceWithABlankBehind", R"({"kind":"workspace.invite","workspace":"a ","user":"u","role":"member"})",
     "invalid_name", "workspace"},
    {"AWorkspaceOfTwoDots", R"({"kind":"workspace.invite","workspace":"..","user":"u","role":"member"})",
     "invalid_name", "workspace"},
    {"ALongWorkspace", R"({"kind":"project.delete","project":")" + text_of(257) + R"(/b"})", "name_too_long",
     "project"},

    {"AProjectNameOfTwoCharacters", new_project("ab"), "project_name_length", "project"},
    {"AProjectNameOf129Characters", new_project(text_of(129)), "project_name_length", "project"},
    {"ABackslashInAProjectName", new_project("la\\\\b"), "project_name_characters", "project"},
    {"AHashInAProjectName", new_project("la#b"), "project_name_characters", "project"},
    {"AQuestionMarkInAProjectName", new_project("la?b"), "project_name_characters", "project"},
    {"APercentSignInAProjectName", new_project("la%b"), "project_name_characters", "project"},
    {"AColonInAProjectName", new_project("la:b"), "project_name_characters", "project"},
    {"AnEmojiInAProjectName", new_project("la\\ud83d\\ude00b"), "project_name_characters", "project"},
    {"ABadNewNameOfAProject", of_project("project.update", R"("name":"a/bc")"), "project_name_characters", "name"},
    {"AnUnknownVisibility", new_project("lab", R"(,"visibility":"secret")"), "unknown_visibility", "visibility"},
    {"WorkspaceVisibilityInAnIndividualWorkspace",
     R"({"kind":"project.create","project":"alone/lab","visibility":"workspace"})", "individual_workspace",
     "visibility"},
    {"AnUpdateToWorkspaceVisibilityInAnIndividualWorkspace",
     R"({"kind":"project.update","project":"alone/lab","visibility":"workspace"})", "individual_workspace",
     "visibility"},
    {"AKeyInSmallLetters", new_project("lab", R"(,"key":"lab")"), "invalid_key", "key"},
    {"AKeyWithoutLetters", new_project("lab", R"(,"key":"123")"), "invalid_key", "key"},
    {"AnEmptyKey", new_project("lab", R"(,"key":"")"), "invalid_key", "key"},
    {"AKeyOfElevenCharacters", new_project("lab", R"(,"key":"ABCDEFGHIJK")"), "invalid_key", "key"},
    {"ADescriptionThatIsANumber", new_project("lab", R"(,"description":4)"), "wrong_type", "description"},
    {"AProjectUpdateOfNothing", R"({"kind":"project.update","project":"a/b"})", "empty_change", ""},
    {"ArchivingTogetherWithOtherFields", of_project("project.update", R"("archived":true,"description":"x")"),
     "mixed_update", "archived"},
    {"UnarchivingTogetherWithOtherFields", of_project("project.update", R"("archived":false,"name":"other")"),
     "mixed_update", "archived"},
    {"ANegativeStorageLimit", of_project("project.set_storage_limit", R"("bytes":-1)"), "negative_limit", "bytes"},
    {"AStorageLimitWithAFraction", of_project("project.set_storage_limit", R"("bytes":1.5)"), "wrong_type", "bytes"},
    {"NoStorageLimit", R"({"kind":"project.set_storage_limit","project":"a/b"})", "missing_field", "bytes"},
    {"AnUnknownRole", of_project("member.add", R"("user":"jo","role":"boss")"), "unknown_role", "role"},
    {"AMemberWithoutRole", of_project("member.add", R"("user":"jo")"), "missing_field", "role"},
    {"ARoleWhereAMemberIsRemoved", of_project("member.remove", R"("user":"jo","role":"viewer")"), "unknown_field",
     "role"},
    {"AMemberWithASlash", of_project("member.update", R"("user":"a/b","role":"viewer")"), "invalid_name", "user"},
    {"AMemberOfTwoDots", of_project("member.remove", R"("user":"..")"), "invalid_name", "user"},
    {"AMemberOfOneDot", of_project("member.update", R"("user":".","role":"viewer")"), "invalid_name", "user"},
    {"AMemberOfBlanks", of_project("member.remove", R"("user":"  ")"), "empty_name", "user"},
    {"AnInvitedUserWithASlash", R"({"kind":"workspace.invite","workspace":"w","user":"u/v","role":"member"})",
     "invalid_name", "user"},
    {"AMemberWithoutName", of_project("member.update", R"("user":"","role":"viewer")"), "empty_name", "user"},
    {"AUserWhereAServiceAccountIsMeant", of_project("service_account.add", R"("user":"jo","role":"viewer")"),
     "unknown_field", "user"},
    {"AnInvitationIntoAnIndividualWorkspace",
     R"({"kind":"workspace.invite","workspace":"alone","user":"jo","role":"member"})", "individual_workspace",
     "workspace"},
    {"AnInvitationOfNobody", R"({"kind":"workspace.invite","workspace":"w","role":"member"})", "who_is_invited",
     "user"},
    {"AnInvitationOfAUserAndAnAddress",
     R"({"kind":"workspace.invite","workspace":"w","user":"u","email":"a@b","role":"member"})", "who_is_invited",
     "email"},
    {"AnAddressWithoutHost", R"({"kind":"workspace.invite","workspace":"w","email":"jo@","role":"member"})",
     "invalid_email", "email"},
    {"AProjectsRoleInAnInvitation", R"({"kind":"workspace.invite","workspace":"w","user":"u","role":"viewer"})",
     "unknown_role", "role"},
    {"AProjectAsWorkspace", R"({"kind":"workspace.invite","workspace":"w/p","user":"u","role":"member"})",
     "invalid_name", "workspace"},

    {"ARunWithoutId", create(R"("experiment":"x")"), "missing_field", "run"},
    {"AnEmptyRunId", create(R"("run":"")"), "empty_name", "run"},
    {"ARunIdOf731Bytes", create(R"("run":")" + text_of(731) + "\""), "name_too_long", "run"},
    {"ASlashInARunId", create(R"("run":"a/b")"), "invalid_name", "run"},
    {"AControlCharacterInARunId", create(R"("run":"a\u0000b")"), "invalid_name", "run"},
    {"AControlCharacterBeyondAsciiInARunId", create(R"("run":"a\u009bb")"), "invalid_name", "run"},
    {"AnExperimentNameOf731Bytes", create(R"("run":"r","experiment":")" + text_of(731) + "\""), "name_too_long",
     "experiment"},
    {"AnEmptyExperimentName", create(R"("run":"r","experiment":"")"), "empty_name", "experiment"},
    {"AForkWithoutStep", create(R"("run":"r","fork":{"run":"p"})"), "missing_field", "fork.step"},
    {"AForkWithoutParent", create(R"("run":"r","fork":{"step":1})"), "missing_field", "fork.run"},
    {"AForkOfItself", create(R"("run":"r","fork":{"run":"r","step":1})"), "fork_of_itself", "fork.run"},
    {"AForkWithAnUnknownField", create(R"("run":"r","fork":{"run":"p","stp":1})"), "unknown_field", "fork.stp"},
    {"AForkThatIsAString", create(R"("run":"r","fork":"p")"), "wrong_type", "fork"},
    {"ACreationTimeInWords", create(R"("run":"r","created_at":"yesterday")"), "invalid_time", "created_at"},
    {"ATimeWithoutZone", create(R"("run":"r","created_at":"2026-01-02T03:04:05")"), "invalid_time", "created_at"},
    {"ADayThatIsNotInTheCalendar", create(R"("run":"r","created_at":"2026-02-29T00:00:00Z")"), "invalid_time",
     "created_at"},
    {"ATimeAfterTheYear9999", create(R"("run":"r","created_at":253402300800000)"), "time_out_of_range", "created_at"},
    {"ATimeBeforeTheYear1", create(R"("run":"r","created_at":-62135596800001)"), "time_out_of_range", "created_at"},

    {"AnUpdateOfNothing", update(R"("timestamp":5)"), "empty_change", ""},
    {"AnEmptyAssign", update(R"("assign":{})"), "empty_object", "assign"},
    {"AnEmptyObjectWithinAssign", assign("{}"), "empty_object", "assign.a"},
    {"AnAssignThatIsAnArray", update(R"("assign":[1])"), "wrong_type", "assign"},
    {"AppendingWithoutStep", update(R"("append":{"a":1})"), "missing_field", "step"},
    {"AStepWithoutAppending", update(R"("step":1,"assign":{"a":1})"), "step_without_append", "step"},
    {"APreviewWithoutAppending", update(R"("preview":true,"assign":{"a":1})"), "preview_without_append", "preview"},
    {"ANegativeStep", stepped("-1"), "step_negative", "step"},
    {"AStepOfATrillion", stepped("1000000000000"), "step_too_large", "step"},
    {"AnEnormousStep", stepped("1e300"), "step_too_large", "step"},
    {"AStepOfSevenDecimals", stepped("0.0000001"), "step_too_precise", "step"},
    {"AStepInWords", stepped("\"1\""), "wrong_type", "step"},
    {"ACompletionRatioOfTwo", update(R"("step":1,"append":{"a":1},"preview":{"completion_ratio":2})"),
     "completion_ratio", "preview.completion_ratio"},
    {"APreviewThatIsANumber", update(R"("step":1,"append":{"a":1},"preview":0.5)"), "wrong_type", "preview"},
    {"ANullValue", assign("null"), "wrong_type", "assign.a"},
    {"AnArrayAsValue", assign("[1,2]"), "wrong_type", "assign.a"},
    {"AnUnknownTypeOfValue", assign(R"({"type":"flaot","value":1})"), "unknown_type", "assign.a.type"},
    {"AFile", assign(R"({"type":"file_ref","value":"x"})"), "unknown_type", "assign.a.type"},
    {"AnIntegerOver64Bits", assign("9223372036854775808"), "integer_out_of_range", "assign.a"},
    {"AStorageLimitOver64Bits", of_project("project.set_storage_limit", R"("bytes":9223372036854775808)"),
     "integer_out_of_range", "bytes"},
    {"AnIntWithAFraction", assign(R"({"type":"int","value":1.5})"), "wrong_type", "assign.a.value"},
    {"AStringAsInt", assign(R"({"type":"int","value":"1"})"), "wrong_type", "assign.a.value"},
    {"AFloatThatIsNotANumber", assign(R"({"type":"float","value":"NaN"})"), "not_finite", "assign.a.value"},
    {"AnInfiniteFloat", append(R"({"type":"float","value":"-Infinity"})"), "not_finite", "append.a.value"},
    {"AFloatTooLargeForADouble", append("1e400"), "not_finite", "append.a"},
    {"AStringAsBool", assign(R"({"type":"bool","value":"true"})"), "wrong_type", "assign.a.value"},
    {"ADatetimeInWords", assign(R"({"type":"datetime","value":"noon"})"), "invalid_time", "assign.a.value"},
    {"ASetOfNumbers", assign(R"({"type":"string_set","value":[1]})"), "wrong_type", "assign.a.value"},
    {"AStringOverOneMebibyte", assign("\"" + text_of(limits::string_bytes + 1) + "\""), "string_too_long", "assign.a"},
    {"ASnapshotOverTwoMebibytes",
     update(R"("assign":{"a":")" + text_of(limits::string_bytes) + R"(","b":")" + text_of(limits::string_bytes) +
            "\"}"),
     "change_too_large", ""},
    {"AnEmptyPath", update(R"("assign":{"":1})"), "empty_path", "assign."},
    {"AnEmptyPartOfAPath", update(R"("assign":{"a":{"":1}})"), "empty_path", "assign.a/"},
    {"ASlashBeforeAPath", update(R"("assign":{"/a":1})"), "empty_path", "assign./a"},
    {"ASlashBehindAPath", update(R"("step":1,"append":{"a/":1})"), "empty_path", "append.a/"},
    {"TwoSlashesInAPath", model_update(R"("insert":{"a//b":["x"]})"), "empty_path", "insert.a//b"},
    {"ASlashBehindANestedPath", update(R"("assign":{"a/":{"b":1}})"), "empty_path", "assign.a//b"},
    {"ASlashBeforeTheAttributeOfAFile", of_project("run.upload", R"("run":"r","attribute":"/a","file":"/a")"),
     "empty_path", "attribute"},
    {"APathOf1025Bytes", update(R"("assign":{")" + text_of(1025) + "\":1}"), "path_too_long",
     "assign." + text_of(1025)},
    {"ANestedPathOf1025Bytes", update(R"("assign":{"a":{")" + text_of(1023) + "\":1}}"), "path_too_long",
     "assign.a/" + text_of(1023)},
    {"AControlCharacterInAPath", update(R"("assign":{"a\tb":1})"), "invalid_path", "assign.a\tb"},
    {"AControlCharacterBeyondAsciiInAPath", update(R"("assign":{"a\u0085b":1})"), "invalid_path",
     "assign.a\xc2\x85"
     "b"},
    {"APathGivenNestedAndFlat", update(R"("assign":{"a/b":1,"a":{"b":2}})"), "duplicate_field", "assign.a/b"},
    {"AFieldAssignedAndAppended", update(R"("step":1,"assign":{"a":1},"append":{"a":1})"), "conflicting_fields",
     "append.a"},
    {"ABoolInASeries", append("true"), "not_a_series_type", "append.a"},
    {"AHistogramThatIsAssigned", assign(R"({"type":"histogram","value":{"bin_edges":[0,1],"counts":[1]}})"),
     "not_an_attribute_type", "assign.a"},
    {"AnIntInASeries", append(R"({"type":"int","value":1})"), "not_a_series_type", "append.a"},
    {"TagsThatAreAnArray", update(R"("tags":{"sys/tags":["a"]})"), "wrong_type", "tags.sys/tags"},
    {"TagsWithAnUnknownVerb", update(R"("tags":{"sys/tags":{"ad":["a"]}})"), "unknown_field", "tags.sys/tags.ad"},
    {"AnEmptyListOfTags", update(R"("tags":{"sys/tags":{"add":[]}})"), "empty_list", "tags.sys/tags.add"},
    {"ATagAddedAndRemoved", update(R"("tags":{"t":{"add":["a"],"remove":["a"]}})"), "conflicting_fields",
     "tags.t.remove"},
    {"ATagOnAnAssignedField", update(R"("assign":{"t":1},"tags":{"t":{"add":["a"]}})"), "conflicting_fields", "tags.t"},
    {"AHistogramWithoutEdges", histogram(R"({"counts":[1]})"), "missing_field", "append.a" + kH + "bin_edges"},
    {"AHistogramOfOneEdge", histogram(R"({"bin_edges":[1],"counts":[]})"), "histogram_bin_edges",
     "append.a" + kH + "bin_edges"},
    {"AHistogramOf514Edges", histogram(edges(514)), "histogram_bin_edges", "append.a" + kH + "bin_edges"},
    {"AHistogramWhoseEdgesFall", histogram(R"({"bin_edges":[1,0],"counts":[1]})"), "histogram_bin_edges",
     "append.a" + kH + "bin_edges"},
    {"AHistogramWhoseEdgesStay", histogram(R"({"bin_edges":[1,1],"counts":[1]})"), "histogram_bin_edges",
     "append.a" + kH + "bin_edges"},
    {"AHistogramWithANaNEdge", histogram(R"({"bin_edges":["NaN",1],"counts":[1]})"), "not_finite",
     "append.a" + kH + "bin_edges"},
    {"AHistogramWithTooFewValues", histogram(R"({"bin_edges":[0,1,2],"counts":[1]})"), "histogram_values",
     "append.a.value"},
    {"AHistogramWithoutValues", histogram(R"({"bin_edges":[0,1]})"), "histogram_values", "append.a.value"},
    {"AHistogramWithCountsAndDensities", histogram(R"({"bin_edges":[0,1],"counts":[1],"densities":[1]})"),
     "histogram_values", "append.a.value"},
    {"AHistogramWithANegativeCount", histogram(R"({"bin_edges":[0,1],"counts":[-1]})"), "histogram_counts",
     "append.a" + kH + "counts"},

    {"ACountOver64Bits", histogram(R"({"bin_edges":[0,1],"counts":[18446744073709551616]})"), "integer_out_of_range",
     "append.a" + kH + "counts"},
    {"AMisspelledPointOfARun", append(R"({"value":1,"foo":1})"), "unknown_field", "append.a.foo"},
    {"AStepInAPointOfARun", append(R"({"value":1,"step":2})"), "unknown_field", "append.a.step"},
    {"ATypedPointOfARunWithMore", append(R"({"type":"float","value":1,"step":2})"), "unknown_field", "append.a.step"},
    {"AMisspelledPointOfAModel", model_update(R"("append":{"a":{"value":1,"foo":1}})"), "unknown_field",
     "append.a.foo"},
    {"AMisspelledPointAmongOthers", model_update(R"("append":{"a":[1,{"value":1,"stpe":2}]})"), "unknown_field",
     "append.a.stpe"},

    {"AMimeTypeThatIsNone",
     of_project("run.upload", R"("run":"r","attribute":"a","file":"/a","mime_type":"bild/größer")"),
     "mime_type_invalid", "mime_type"},
    {"NoRunsToTrash", of_project("run.trash", R"("runs":[])"), "empty_list", "runs"},
    {"RunsThatAreNumbers", of_project("run.trash", R"("runs":[1])"), "wrong_type", "runs"},
    {"ARunToDeleteWithASlash", of_project("run.delete", R"("runs":["a/b"])"), "invalid_name", "runs"},
    {"AModelWithoutKey", R"({"kind":"model.create","project":"a/b"})", "missing_field", "key"},
    {"AModelKeyInSmallLetters", of_project("model.create", R"("key":"forest")"), "invalid_key", "key"},
    {"AVersionOfNoModel", of_project("model_version.create", R"("model":"a/b")"), "invalid_model", "model"},
    {"AVersionWithoutNumber", of_project("model_version.update", R"("model_version":"LAB-FOREST","assign":{"a":1})"),
     "invalid_model_version", "model_version"},
    {"AVersionAsAModel", of_project("model.update", R"("model":"LAB-F-1","assign":{"a":1})"), "invalid_model", "model"},
    {"AVersionOfAVersion", of_project("model_version.create", R"("model":"LAB-F-1")"), "invalid_model", "model"},
    {"AModelWithTwoDashes", of_project("model_version.create", R"("model":"LAB--F")"), "invalid_model", "model"},
    {"VersionZero", of_project("model_version.update", R"("model_version":"F-0","assign":{"a":1})"),
     "invalid_model_version", "model_version"},
    {"AVersionWithALeadingZero", of_project("model_version.update", R"("model_version":"F-01","assign":{"a":1})"),
     "invalid_model_version", "model_version"},
    {"AVersionBeyondAllNumbers",
     of_project("model_version.update", R"("model_version":"F-99999999999999999999","assign":{"a":1})"),
     "invalid_model_version", "model_version"},
    {"AVersionWithFourParts", of_project("model_version.update", R"("model_version":"A-B-C-1","assign":{"a":1})"),
     "invalid_model_version", "model_version"},
    {"AModelUpdateOfNothing", R"({"kind":"model.update","project":"a/b","model":"M"})", "empty_change", ""},
    {"AModelInAProjectsMetadata", of_project("project.metadata", R"("model":"M","assign":{"a":1})"), "unknown_field",
     "model"},
    {"AHistogramOfAModel",
     model_update(R"("assign":{"a":{"type":"histogram","value":{"bin_edges":[0,1],"counts":[1]}}})"),
     "unsupported_type", "assign.a"},
    {"ASeriesOfNumbersAndStrings", model_update(R"("append":{"a":[1,"x"]})"), "mixed_series", "append.a"},
    {"ASeriesWithSomeSteps", model_update(R"("append":{"a":[{"value":1,"step":1},2]})"), "mixed_steps", "append.a"},
    {"ASeriesWhoseStepsFall", model_update(R"("append":{"a":[{"value":1,"step":2},{"value":1,"step":1}]})"),
     "step_not_increasing", "append.a"},
    {"AnEmptySeries", model_update(R"("append":{"a":[]})"), "empty_list", "append.a"},
    {"APointWithANegativeStep", model_update(R"("append":{"a":{"value":1,"step":-1}})"), "step_negative",
     "append.a.step"},
    {"ABoolInAModelsSeries", model_update(R"("append":{"a":true})"), "not_a_series_type", "append.a"},
    {"AnUnknownThingToClear", model_update(R"("clear":{"a":"series"})"), "unknown_type", "clear.a"},
    {"AnEmptyPathToDelete", model_update(R"("delete":[""])"), "empty_path", "delete"},
    {"ARangeUpsideDown", model_update(R"("configure":{"a":{"min":1,"max":0}})"), "invalid_range", "configure.a"},
    {"AnUnknownRangeField", model_update(R"("configure":{"a":{"mni":1}})"), "unknown_field", "configure.a.mni"},
    {"AnInsertOfANumber", model_update(R"("insert":{"a":[1]})"), "wrong_type", "insert.a"},
    {"AValueInsertedAndRemoved", model_update(R"("insert":{"a":["x"]},"remove":{"a":["x"]})"), "conflicting_fields",
     "remove.a"},
    {"AModelsFieldAssignedAndAppended", model_update(R"("assign":{"a":1},"append":{"a":1})"), "conflicting_fields",
     "append.a"},
    {"AModelsFieldAssignedAndInsertedInto", model_update(R"("assign":{"a":1},"insert":{"a":["x"]})"),
     "conflicting_fields", "insert.a"},
};

class Refuses : public ::testing::TestWithParam<Bad> {};

TEST_P(Refuses, WithTheFieldAndTheReason) {
  const auto refusal = refused(GetParam().body);
  EXPECT_EQ(refusal.code, GetParam().code) << refusal.message;
  EXPECT_EQ(refusal.field, GetParam().field) << refusal.message;
  EXPECT_LT(refusal.message.size(), 400u);
  EXPECT_NE(refusal.kind, Refusal::Kind::malformed);
}

INSTANTIATE_TEST_SUITE_P(TheDoor, Refuses, ::testing::ValuesIn(kBad),
                         [](const auto& each) { return each.param.sentence; });

TEST(TheDoor, HintsAtTheNearestField) {
  EXPECT_THAT(refused(create(R"("run":"r","experimnt":"x")")).message, HasSubstr("'experiment'"));
  EXPECT_THAT(refused(R"({"kind":"run.craete"})").message, HasSubstr("'run.create'"));
  EXPECT_THAT(refused(create(R"("run":"r","zzzzzz":1)")).message, HasSubstr("Known are project, run"));
}

TEST(TheDoor, SaysWhatAPointMayHoldAndHowASeriesOfThatNameIsWritten) {
  EXPECT_EQ(refused(append(R"({"value":1,"foo":1})")).message,
            "There is no 'foo' beside the 'value' of a point; known are value, type. For series of these names write "
            "their paths, as 'a/value'.");
  EXPECT_THAT(refused(model_update(R"("append":{"a":{"value":1,"foo":1}})")).message,
              HasSubstr("known are value, step, timestamp."));
}

TEST(TheDoor, AdvisesAFloatOnlyWhereOneIsTaken) {
  const auto advice = HasSubstr(R"(give {"type": "float", "value": ..})");
  EXPECT_THAT(refused(assign("9223372036854775808")).message, advice);
  EXPECT_THAT(refused(assign(R"({"type":"int","value":-9223372036854775809})")).message, advice);
  EXPECT_EQ(refused(of_project("project.set_storage_limit", R"("bytes":9223372036854775808)")).message,
            "The whole number '9223372036854775808' is out of range, which is -9223372036854775808 to "
            "9223372036854775807.");
  EXPECT_EQ(refused(histogram(R"({"bin_edges":[0,1],"counts":[18446744073709551616]})")).message,
            "The whole number '18446744073709551616' is out of range, which is 0 to 18446744073709551615.");
}

TEST(TheDoor, SaysThatABodyIsNotUtf8AndWhere) {
  const auto latin = refused(create("\"run\":\"caf\xe9\""));
  EXPECT_EQ(latin.code, "invalid_json");
  EXPECT_THAT(latin.message, HasSubstr("line 1, column 56: the byte 0xe9 there is not UTF-8"));
  EXPECT_THAT(refused(std::string("\xff\xfe{\0}\0", 6)).message, HasSubstr("the byte 0xff there is not UTF-8"));
  EXPECT_THAT(refused(create("\"run\";\"caf\xe9\"")).message, testing::Not(HasSubstr("UTF-8")))
      << "that is not what is wrong first";
}

TEST(TheDoor, SaysHowSeveralObjectsAreSent) {
  const auto one = of_project("trash.empty", R"("discard_pending":true)");
  EXPECT_THAT(refused(one + "\n" + one).message, HasSubstr("one a line with Content-Type: application/x-ndjson"));
}

TEST(TheDoor, TakesWhatIsJustWithinTheLimits) {
  accepted(create(R"("run":"aÿ\u00a0\u202eb")"));
  accepted(create(R"("run":")" + text_of(730) + R"(","experiment":")" + text_of(730) + "\""));
  accepted(update(R"("assign":{")" + text_of(1024) + "\":1}"));
  accepted(assign("\"" + text_of(limits::string_bytes) + "\""));
  accepted(histogram(edges(513)));
  EXPECT_THAT(accepted(histogram(R"({"bin_edges":[0,1,2],"counts":[18446744073709551615,-0]})")).payload,
              HasSubstr("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  accepted(of_project("model_version.update", R"("model_version":"F-9223372036854775807","assign":{"a":1})"));
  accepted(of_project("model_version.create", R"("model":"LAB-F")"));
  accepted(R"({"kind":"member.remove","project":"a b/ c ","user":"..."})");
  accepted(model_update(R"("delete":["/a","b//c"])"));
  accepted(stepped("999999999999.999999"));
  accepted(new_project("abc"));
  accepted(new_project(text_of(128)));
  std::string umlauts;
  for (int i = 0; i < 128; ++i) umlauts += "ä";
  accepted(new_project(umlauts, R"(,"key":"ABCDEFGHI1")"));
  accepted(R"({"kind":"project.create","project":"unknown/lab","visibility":"workspace"})");
  accepted(R"({"kind":"project.create","project":"alone/lab","visibility":"public"})");
}

TEST(TheDoor, NamesOfWhatIsThereAlreadyAreLeftToTheServer) {
  accepted(R"({"kind":"project.delete","project":"a/b"})");
  accepted(R"({"kind":"run.create","project":"a/b:c","run":"r"})");
}

TEST(TheDoor, DoesNotSendBackWhatIsTooLong) {
  const auto refusal = refused(update(R"("assign":{")" + text_of(1'000'000) + "\":1}"));
  EXPECT_LT(refusal.message.size(), 400u);
  EXPECT_LT(refusal.field.size(), 3000u);
  std::string umlauts;
  for (int i = 0; i < 2000; ++i) umlauts += "ä";
  for (const auto* before : {"", "x"}) {
    const auto cut = refused(update(R"("assign":{")" + (before + umlauts) + "\":1}"));
    EXPECT_TRUE(cut.field.ends_with("ä"));
    EXPECT_THAT(cut.message, HasSubstr("ä...'"));
  }
}

TEST(TheDoor, RefusesWhatIsTooLargeAsSuch) {
  EXPECT_EQ(refused(assign("\"" + text_of(limits::string_bytes + 1) + "\"")).kind, Refusal::Kind::too_large);
  std::string many = "{";
  for (std::size_t i = 0; i <= limits::change_values; ++i) many += "\"" + std::to_string(i) + "\":1,";
  many.back() = '}';
  const auto refusal = refused(update(R"("assign":)" + many));
  EXPECT_EQ(refusal.code, "too_many_values");
  EXPECT_EQ(refusal.kind, Refusal::Kind::too_large);
  std::string runs = "[";
  for (std::size_t i = 0; i <= limits::runs_per_change; ++i) runs += "\"" + std::to_string(i) + "\",";
  runs.back() = ']';
  EXPECT_EQ(refused(of_project("run.trash", R"("runs":)" + runs)).code, "too_many_runs");
}

TEST(TheDoor, RefusesAStepThatIsNotANumberOfThisWorldWithoutRepeatingItWhole) {
  const auto refusal = refused(update(R"("append":{"loss":1},"step":)" + std::string(60'000, '9')));
  EXPECT_EQ(refusal.code, "step_too_large");
  EXPECT_LT(refusal.message.size(), 300u);
}

TEST(TheDoor, TakesAsManyRunsInOneRequestAsItsMemoryAllows) {
  const auto single = of_project("run.trash", R"("runs":["r"])");
  std::string singles = "[" + single;
  for (std::size_t i = 1; i < limits::changes_a_body; ++i) singles += "," + single;
  EXPECT_EQ(parse(singles + "]")->size(), limits::changes_a_body);
  std::string runs = "[";
  for (std::size_t i = 0; i < limits::runs_per_change; ++i) runs += "\"" + std::to_string(i) + "\",";
  runs.back() = ']';
  std::string many = "[";
  for (int i = 0; i < 200; ++i) many += of_project("run.trash", R"("runs":)" + runs) + ",";
  many.back() = ']';
  const auto refusal = refused(many);
  EXPECT_EQ(refusal.code, "too_many_runs");
  EXPECT_EQ(refusal.field, "199.runs");
  EXPECT_EQ(refusal.kind, Refusal::Kind::too_large);
}

}  // namespace
}  // namespace neptune
