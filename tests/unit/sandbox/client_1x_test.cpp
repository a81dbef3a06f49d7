// Every call of the 1.x client, with what it passes, and what it reads of the answers.
#include <fmt/format.h>

#include <fstream>
#include <limits>

#include "tests/sandbox/object_store.h"
#include "tests/unit/sandbox/described.h"
#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

namespace json = boost::json;
using Given = DescribedClient::Given;

std::string text_of(const json::value& value) {
  return std::string(value.as_string());
}

json::object operation(const std::string& path, const std::string& name, json::object body) {
  return {{"path", path}, {name, std::move(body)}};
}

json::object point(double step, json::value value, std::int64_t time_ms) {
  return {{"step", step}, {"value", std::move(value)}, {"timestampMilliseconds", time_ms}};
}

class Client1x : public ::testing::Test {
 protected:
  Client1x() : client_(served_.sandbox()) {
    client_.call("createProject", {{"projectToCreate",
                                    {{"name", "classification"},
                                     {"description", nullptr},
                                     {"projectKey", nullptr},
                                     {"organizationId", client_.call("listOrganizations").at(0).at("id")},
                                     {"visibility", "priv"}}}});
    project_ = text_of(client_.call("getProject", {{"projectIdentifier", project}}).at("id"));
  }

  json::value make(const std::string& type, const std::string& parent, json::object more = {}) const {
    json::object params{
        {"projectIdentifier", project_}, {"parentId", parent}, {"type", type}, {"cliVersion", "1.14.0"}};
    for (const auto& [name, value] : more) params[name] = value;
    return client_.call("createExperiment", {{"experimentCreationParams", params}, {"X-Neptune-CliVersion", "1.14.0"}});
  }
  std::string make_run() const {
    return text_of(make("run", project_, {{"gitInfo", nullptr}, {"customId", nullptr}}).at("id"));
  }
  void execute(const std::string& container, const json::array& operations) const {
    EXPECT_EQ(client_.call("executeOperations", {{"experimentId", container}, {"operations", operations}}),
              json::array());
  }
  /// One attribute, by the call for its type.
  json::value read(const std::string& operation, const std::string& container, const std::string& attribute) const {
    return client_.call(operation, {{"experimentId", container}, {"attribute", attribute}});
  }
  /// Whether an upload was taken.
  void expect_taken(const testing::HttpAnswer& answer) const {
    EXPECT_EQ(answer.status, 200u) << answer.body;
    EXPECT_EQ(json::parse(answer.body), (json::object{{"errors", json::array()}}));
  }
  void upload(const std::string& container, const std::string& attribute, const std::string& bytes) const {
    expect_taken(client_.by_hand(
        "fileAtomUpload", {{"experimentIdentifier", container}, {"attribute", attribute}, {"ext", "bin"}}, bytes));
  }

  Served served_;
  DescribedClient client_;
  std::string project_;
};

TEST_F(Client1x, StartsWithTheConfigurationAndTheTokensOfTheServer) {
  const auto config = client_.call("getClientConfig");
  EXPECT_EQ(text_of(config.at("apiUrl")), served_.sandbox().url());
  EXPECT_TRUE(config.at("pyLibVersions").is_object());
  const auto tokens = client_.call("exchangeApiToken", {{"X-Neptune-Api-Token", served_.sandbox().token()}});
  EXPECT_FALSE(text_of(tokens.at("accessToken")).empty());
  EXPECT_FALSE(text_of(tokens.at("refreshToken")).empty());
}

TEST_F(Client1x, FindsItsProjectAndIsToldOfOthersWhereThereIsNone) {
  const auto found = client_.call("getProject", {{"projectIdentifier", project}});
  EXPECT_EQ(text_of(found.at("name")), "classification");
  EXPECT_EQ(text_of(found.at("organizationName")), "ml-team");
  EXPECT_EQ(text_of(found.at("projectKey")), "CLASSI");
  EXPECT_GE(found.at("version").as_int64(), 2);
  EXPECT_EQ(client_.send("getProject", {{"projectIdentifier", "ml-team/another"}}).status, 404u);
  const auto listed = client_.call("listProjects", {{"limit", 5},
                                                    {"organizationIdentifier", "ml-team"},
                                                    {"searchTerm", nullptr},
                                                    {"sortBy", json::array{"lastViewed"}},
                                                    {"sortDirection", json::array{"descending"}},
                                                    {"userRelation", "memberOrHigher"}});
  ASSERT_EQ(listed.at("entries").as_array().size(), 1u);
  EXPECT_EQ(text_of(listed.at("entries").at(0).at("id")), project_);
}

TEST_F(Client1x, MakesRunsModelsAndTheirVersionsAndFindsThem) {
  const auto run =
      make("run", project_,
           {{"gitInfo", {{"commit", {{"commitId", "1"}}}, {"repositoryDirty", false}}}, {"customId", "mine"}});
  EXPECT_EQ(text_of(run.at("shortId")), "CLASSI-1");
  EXPECT_EQ(text_of(run.at("organizationName")), "ml-team");
  EXPECT_EQ(text_of(run.at("projectName")), "classification");
  EXPECT_FALSE(run.at("trashed").as_bool());
  const auto model = make("model", project_, {{"key", "FOREST"}});
  const auto version = make("modelVersion", text_of(model.at("id")));
  EXPECT_EQ(text_of(version.at("type")), "modelVersion");
  EXPECT_EQ(client_.call("getExperiment", {{"experimentId", project + "/CLASSI-FOREST-1"}}), version);
  EXPECT_EQ(client_.call("getExperiment", {{"experimentId", project_}}).at("type"), "project");
  const auto missing = client_.send("getExperiment", {{"experimentId", project + "/CLASSI-9"}});
  EXPECT_EQ(missing.status, 404u);
  EXPECT_EQ(json::parse(missing.body).at("errorType"), "EXPERIMENT_NOT_FOUND");
}

TEST_F(Client1x, PingsWhatExists) {
  const auto run = make_run();
  client_.call("ping", {{"experimentId", run}});
  EXPECT_EQ(client_.send("ping", {{"experimentId", "nobody"}}).status, 404u);
}

TEST_F(Client1x, ReadsEachValueBackByItsType) {
  const auto run = make_run();
  execute(run, json::array{operation("a/float", "assignFloat", {{"value", 0.5}}),
                           operation("a/int", "assignInt", {{"value", 7}}),
                           operation("a/bool", "assignBool", {{"value", true}}),
                           operation("a/string", "assignString", {{"value", "text"}}),
                           operation("a/time", "assignDatetime", {{"valueMilliseconds", 1'700'000'000'500}}),
                           operation("sys/tags", "insertStrings", {{"values", json::array{"one", "two"}}})});
  EXPECT_EQ(read("getFloatAttribute", run, "a/float").at("value").as_double(), 0.5);
  EXPECT_EQ(read("getIntAttribute", run, "a/int").at("value").as_int64(), 7);
  EXPECT_TRUE(read("getBoolAttribute", run, "a/bool").at("value").as_bool());
  EXPECT_EQ(read("getStringAttribute", run, "a/string").at("value"), "text");
  EXPECT_EQ(read("getStringAttribute", run, "sys/id").at("value"), "CLASSI-1");
  EXPECT_EQ(read("getDatetimeAttribute", run, "a/time").at("value"), "2023-11-14T22:13:20.500Z");
  EXPECT_EQ(read("getStringSetAttribute", run, "sys/tags").at("values"), (json::array{"one", "two"}));
  EXPECT_EQ(client_.send("getIntAttribute", {{"experimentId", run}, {"attribute", "b"}}).status, 404u);
}

TEST_F(Client1x, IsToldOfOperationsThatFail) {
  const auto run = make_run();
  const json::array operations{operation("a", "deleteAttribute", {})};
  const auto errors = client_.call("executeOperations", {{"experimentId", run}, {"operations", operations}});
  ASSERT_EQ(errors.as_array().size(), 1u);
  EXPECT_EQ(errors.at(0).at("errorDescription"), "attribute a: it does not exist");
}

TEST_F(Client1x, PagesThroughSeries) {
  const auto run = make_run();
  const json::array floats_logged{point(0, 3.0, 1000), point(1, 1.0, 2000), point(2.5, 2.0, 3000)};
  const json::array strings_logged{point(0, "a", 1000), point(1, "b", 2000)};
  execute(run, json::array{operation("loss", "logFloats", {{"entries", floats_logged}}),
                           operation("log", "logStrings", {{"entries", strings_logged}})});
  const auto page = [&](const char* call, const char* attribute) {
    return client_.call(call, {{"experimentId", run}, {"attribute", attribute}, {"limit", 1}, {"offset", 1}});
  };
  const auto floats = page("getFloatSeriesValues", "loss");
  EXPECT_EQ(floats.at("totalItemCount").as_int64(), 3);
  ASSERT_EQ(floats.at("values").as_array().size(), 1u);
  EXPECT_EQ(floats.at("values").at(0).at("value").as_double(), 1.0);
  EXPECT_EQ(floats.at("values").at(0).at("timestampMillis").as_int64(), 2000);
  const auto strings = page("getStringSeriesValues", "log");
  EXPECT_EQ(strings.at("totalItemCount").as_int64(), 2);
  EXPECT_EQ(strings.at("values").at(0).at("value"), "b");
  const auto loss = read("getFloatSeriesAttribute", run, "loss");
  EXPECT_EQ(loss.at("last").as_double(), 2.0);
  EXPECT_EQ(loss.at("min").as_double(), 1.0);
  EXPECT_EQ(loss.at("max").as_double(), 3.0);
  EXPECT_EQ(loss.at("average").as_double(), 2.0);
  EXPECT_NEAR(loss.at("variance").as_double(), 2.0 / 3, 1e-9);
  EXPECT_EQ(read("getStringSeriesAttribute", run, "log").at("last"), "b");
}

TEST_F(Client1x, ReadsAFloatThatIsNoNumberAsNull) {
  served_.ingest(create("run"));
  auto snapshot = points(0, {{"loss", std::numeric_limits<double>::quiet_NaN()}});
  (*snapshot.mutable_assign())["lr"] = real(std::numeric_limits<double>::infinity());
  served_.ingest(update("run", {snapshot}));
  const auto run = project + "/CLASSI-1";
  EXPECT_TRUE(read("getFloatAttribute", run, "lr").at("value").is_null());
  const auto values = client_.call("getFloatSeriesValues", {{"experimentId", run}, {"attribute", "loss"}});
  EXPECT_TRUE(values.at("values").at(0).at("value").is_null());
}

TEST_F(Client1x, DownloadsImagesOfASeries) {
  const auto run = make_run();
  const json::object logged{{"data", "iVBORw0KGgo="}, {"name", "n"}, {"description", "d"}};
  execute(run, json::array{operation("image", "logImages", {{"entries", json::array{point(0, logged, 1000)}}})});
  const auto listed = client_.call("getImageSeriesValues",
                                   {{"experimentId", run}, {"attribute", "image"}, {"limit", 1}, {"offset", 0}});
  EXPECT_EQ(listed.at("totalItemCount").as_int64(), 1);
  const auto image =
      client_.by_hand("getImageSeriesValue", {{"experimentId", run}, {"attribute", "image"}, {"index", 0}});
  EXPECT_EQ(image.body, "\x89PNG\r\n\x1A\n");
  EXPECT_EQ(image.headers.at("content-type"), "image/png");
  EXPECT_EQ(
      client_.by_hand("getImageSeriesValue", {{"experimentId", run}, {"attribute", "image"}, {"index", 1}}).status,
      404u);
}

TEST_F(Client1x, ReadsAFileBack) {
  const auto run = make_run();
  upload(run, "model/weights", "the bytes");
  const auto file = read("getFileAttribute", run, "model/weights");
  EXPECT_EQ(file.at("name"), "weights.bin");
  EXPECT_EQ(file.at("ext"), "bin");
  EXPECT_EQ(file.at("size").as_int64(), 9);
  const auto answer = client_.by_hand("downloadAttribute", {{"experimentId", run}, {"attribute", "model/weights"}}, {},
                                      {{"Accept", "application/octet-stream"}});
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.body, "the bytes");
  EXPECT_TRUE(answer.headers.at("content-disposition").ends_with("filename=\"weights.bin\""));
  EXPECT_EQ(client_.by_hand("downloadAttribute", {{"experimentId", run}, {"attribute", "other"}}).status, 404u);
}

TEST_F(Client1x, ReadsAFileOfSeveralPartsBack) {
  const auto run = make_run();
  const Given who{{"experimentIdentifier", run}, {"attribute", "model/weights"}};
  auto started = who;
  started["ext"] = "";
  started["totalLength"] = 6;
  const auto start = client_.call("fileAtomMultipartUploadStart", started);
  EXPECT_TRUE(start.at("errors").as_array().empty());
  for (int i = 0; i < 2; ++i) {
    auto part = who;
    part["uploadId"] = start.at("uploadId");
    part["uploadPartIdx"] = i;
    expect_taken(client_.by_hand("fileAtomMultipartUploadPart", part, i == 0 ? "abc" : "def",
                                 {{"X-Range", fmt::format("bytes={}-{}/6", 3 * i, 3 * i + 2)}}));
  }
  auto finished = who;
  finished["uploadId"] = start.at("uploadId");
  EXPECT_TRUE(client_.call("fileAtomMultipartUploadFinish", finished).at("errors").as_array().empty());
  EXPECT_EQ(read("getFileAttribute", run, "model/weights").at("ext"), "");
  EXPECT_EQ(client_.by_hand("downloadAttribute", {{"experimentId", run}, {"attribute", "model/weights"}}).body,
            "abcdef");
}

/// A set with a.txt, folder/b.txt and folder/c.txt, by each way of uploading.
class SetsOf1x : public Client1x {
 protected:
  SetsOf1x() : run_(make_run()) {
    const Given set{{"experimentIdentifier", run_}, {"attribute", "code"}};
    auto one = set;
    one["subPath"] = "a.txt";
    expect_taken(client_.by_hand("fileSetFileUpload", one, "aaa"));
    auto parts = set;
    parts["subPath"] = "folder/b.txt";
    auto started = parts;
    started["totalLength"] = 2;
    parts["uploadId"] = client_.call("fileSetFileMultipartUploadStart", started).at("uploadId");
    auto part = parts;
    part["uploadPartIdx"] = 0;
    expect_taken(client_.by_hand("fileSetFileMultipartUploadPart", part, "bb", {{"X-Range", "bytes=0-1/2"}}));
    client_.call("fileSetFileMultipartUploadFinish", parts);
    const auto tar = client_.by_hand("uploadFileSetAttributeTar",
                                     {{"experimentId", run_}, {"attribute", "code"}, {"reset", "False"}}, archive(),
                                     {{"Content-Type", "application/octet-stream"}});
    EXPECT_EQ(tar.body, "null");
  }

  /// folder/c.txt as a tar.gz.
  std::string archive() const {
    const auto at = served_.directory();
    std::filesystem::create_directory(at / "folder");
    std::ofstream(at / "folder/c.txt") << "c";
    EXPECT_EQ(std::system(fmt::format("tar -C '{0}' -czf '{0}/tar' folder/c.txt", at.string()).c_str()), 0);
    return text_in(at / "tar");
  }
  static std::string text_in(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  json::value list(const std::string& path) const {
    return client_.call("lsFileSetAttribute", {{"experimentId", run_}, {"attribute", "code"}, {"path", path}});
  }

  std::string run_;
};

TEST_F(SetsOf1x, AreListedFolderByFolder) {
  const auto top = list("");
  ASSERT_EQ(top.as_array().size(), 2u);
  EXPECT_EQ(top.at(0).at("name"), "a.txt");
  EXPECT_EQ(top.at(0).at("fileType"), "file");
  EXPECT_EQ(top.at(0).at("size").as_int64(), 3);
  EXPECT_FALSE(text_of(top.at(0).at("mtime")).starts_with("1970"));
  EXPECT_EQ(top.at(1).at("name"), "folder");
  EXPECT_EQ(top.at(1).at("fileType"), "directory");
  const auto folder = list("folder");
  ASSERT_EQ(folder.as_array().size(), 2u);
  EXPECT_EQ(folder.at(1).at("name"), "c.txt");
  EXPECT_EQ(
      client_.send("lsFileSetAttribute", {{"experimentId", run_}, {"attribute", "code"}, {"path", "none"}}).status,
      404u);
}

TEST_F(SetsOf1x, AreDownloadedAsAZip) {
  const auto asked =
      client_.call("prepareForDownloadFileSetAttributeZip", {{"experimentId", run_}, {"attribute", "code"}});
  const auto ready = client_.call("getDownloadPrepareRequest", {{"id", asked.at("id")}});
  const auto url = text_of(ready.at("downloadUrl"));
  ASSERT_TRUE(url.starts_with(served_.sandbox().url()));
  const auto zip = served_.get(url.substr(served_.sandbox().url().size()));
  EXPECT_EQ(zip.headers.at("content-type"), "application/zip");
  EXPECT_TRUE(zip.headers.at("content-disposition").ends_with("filename=\"code.zip\""));
  const auto at = served_.directory();
  std::ofstream(at / "zip", std::ios::binary) << zip.body;
  ASSERT_EQ(std::system(fmt::format("python3 -m zipfile -e '{0}/zip' '{0}/out'", at.string()).c_str()), 0);
  EXPECT_EQ(text_in(at / "out/a.txt"), "aaa");
  EXPECT_EQ(text_in(at / "out/folder/b.txt"), "bb");
  EXPECT_EQ(text_in(at / "out/folder/c.txt"), "c");
  EXPECT_EQ(client_.send("getDownloadPrepareRequest", {{"id", "unknown"}}).status, 404u);
}

TEST_F(SetsOf1x, AreAmongTheAttributesWithAllTheyHold) {
  upload(run_, "weights", "12345");
  execute(run_, json::array{operation("lr", "assignFloat", {{"value", 0.1}})});
  std::map<std::string, json::value> found;
  const auto all = client_.call("getExperimentAttributes", {{"experimentId", run_}});
  for (const auto& attribute : all.at("attributes").as_array())
    found[text_of(attribute.at("name"))] = attribute.at(text_of(attribute.at("type")) + "Properties");
  EXPECT_EQ(found.at("code").at("size").as_int64(), 6);
  EXPECT_EQ(found.at("code").at("attributeType"), "fileSet");
  EXPECT_EQ(found.at("weights").at("size").as_int64(), 5);
  EXPECT_EQ(found.at("weights").at("attributeType"), "file");
  EXPECT_EQ(found.at("lr").at("value").as_double(), 0.1);
  EXPECT_EQ(found.at("sys/id").at("value"), "CLASSI-1");
  EXPECT_FALSE(text_of(found.at("sys/creation_time").at("value")).starts_with("1970"));
}

TEST(FilesOf1x, HaveNoBytesAfterARestart) {
  Served served({"--workspace", "ml-team"}, Served::Keeps::state);
  served.ingest(create("run"));
  const auto of = "?experimentId=ml-team/classification/CLASSI-1&attribute=file";
  const auto uploads = "/api/leaderboard/v1/attributes/storage/file/upload";
  served.done("POST",
              uploads + std::string("?experimentIdentifier=ml-team/classification/CLASSI-1&ext=&attribute=file"),
              "bytes");
  EXPECT_EQ(served.get(std::string("/api/leaderboard/v1/attributes/download") + of).body, "bytes");
  served.sandbox().stop();
  served.sandbox().start();
  EXPECT_EQ(served.done("GET", std::string("/api/leaderboard/v1/attributes/files") + of).at("size").as_int64(), 5);
  EXPECT_EQ(served.get(std::string("/api/leaderboard/v1/attributes/download") + of).status, 404u);
}

TEST(FilesOf1x, KeepTheirBytesUntilThoseOfLaterOnesAreTooMany) {
  ObjectStore store;
  store.most_kept_bytes = 10;
  const auto keep = [&store](std::string_view bytes) {
    Content content{store.make_blob(), store.make_blob()};
    content.front()->append(bytes.substr(0, 1));
    content.back()->append(bytes.substr(1));
    return store.keep(std::move(content));
  };
  const auto first = keep("first"), second = keep("other");
  ASSERT_NE(first.lock(), nullptr);
  EXPECT_EQ(text_of(*first.lock()), "first");
  const auto third = keep("3");
  EXPECT_EQ(first.lock(), nullptr);
  EXPECT_NE(second.lock(), nullptr);
  EXPECT_NE(third.lock(), nullptr);
  EXPECT_EQ(keep("longer than ten").lock(), nullptr);
}

class TablesOf1x : public Client1x {
 protected:
  TablesOf1x() {
    for (const auto* lr : {"0.1", "0.3", "0.2"}) {
      const auto run = make_run();
      execute(run, json::array{operation("lr", "assignFloat", {{"value", std::stod(lr)}}),
                               operation("note", "assignString", {{"value", std::string("rate ") + lr}}),
                               operation("sys/tags", "insertStrings", {{"values", json::array{lr}}})});
    }
    const auto trashed = make_run();
    client_.call("trashExperiments",
                 {{"projectIdentifier", project}, {"experimentIdentifiers", json::array{project + "/CLASSI-4"}}});
  }

  json::value page(const std::string& query, const json::object& more = {}) const {
    json::object params{{"query", {{"query", query}}}, {"pagination", {{"limit", 100}, {"offset", 0}}}};
    for (const auto& [name, value] : more) params[name] = value;
    return client_.call("searchLeaderboardEntries",
                        {{"projectIdentifier", project_}, {"type", json::array{"run"}}, {"params", params}});
  }
  static json::object sorted_by(const std::string& name, const std::string& type, const std::string& direction) {
    return {
        {"sorting", {{"dir", direction}, {"aggregationMode", "none"}, {"sortBy", {{"name", name}, {"type", type}}}}}};
  }
  /// The numbers of the runs that are found, in order.
  std::string found(const std::string& query, const json::object& more = {}) const {
    std::string out;
    const auto answer = page(query, more);
    for (const auto& entry : answer.at("entries").as_array())
      for (const auto& attribute : entry.at("attributes").as_array())
        if (attribute.at("name") == "sys/id")
          out += text_of(attribute.at("stringProperties").at("value")).substr(std::size("CLASSI-") - 1);
    return out;
  }
};

TEST_F(TablesOf1x, AreSortedByAnyColumn) {
  const std::string kept = "(`sys/trashed`:bool = false)";
  EXPECT_EQ(found(kept, sorted_by("lr", "float", "ascending")), "132");
  EXPECT_EQ(found(kept, sorted_by("lr", "float", "descending")), "231");
  EXPECT_EQ(found(kept, sorted_by("sys/id", "string", "descending")), "321");
  EXPECT_EQ(found(kept, sorted_by("sys/creation_time", "datetime", "ascending")), "123");
}

TEST_F(TablesOf1x, AreFilteredByQueries) {
  EXPECT_EQ(found(""), "1234");
  EXPECT_EQ(found("(`sys/trashed`:bool = true)"), "4");
  EXPECT_EQ(found("((`sys/trashed`:bool = false) AND ((`sys/id`:string = \"CLASSI-1\") OR "
                  "(`sys/id`:string = \"CLASSI-3\")))"),
            "13");
  EXPECT_EQ(found("((`sys/tags`:stringSet CONTAINS \"0.3\") AND (`sys/trashed`:bool = false))"), "2");
  EXPECT_EQ(found("`lr`:float >= 0.2 AND `lr`:float < 0.3"), "3");
  EXPECT_EQ(found("NOT `note`:string MATCHES \"rate 0.[12]\""), "24");
  EXPECT_EQ(found("`note`:string NOT MATCHES \"rate 0.[12]\""), "2");
  EXPECT_EQ(found("(`sys/owner`:string = \"nobody\")"), "");
}

TEST_F(TablesOf1x, RefuseAQueryThatIsNone) {
  const auto refused =
      client_.send("searchLeaderboardEntries",
                   {{"projectIdentifier", project_}, {"params", {{"query", {{"query", "(`lr`:float > 0.1"}}}}}});
  EXPECT_EQ(refused.status, 400u);
  EXPECT_EQ(json::parse(refused.body).at("title"), "Syntax error");
}

TEST_F(TablesOf1x, HaveTheColumnsThatAreAskedForPageByPage) {
  const json::object columns{
      {"attributeFilters", json::array{json::object{{"path", "lr"}}, json::object{{"path", "missing"}}}}};
  const auto narrow = page("", columns);
  ASSERT_EQ(narrow.at("entries").at(0).at("attributes").as_array().size(), 1u);
  EXPECT_EQ(narrow.at("entries").at(0).at("attributes").at(0).at("floatProperties").at("value").as_double(), 0.1);
  const auto counted = page("", {{"pagination", {{"limit", 0}, {"offset", 0}}}});
  EXPECT_TRUE(counted.at("entries").as_array().empty());
  EXPECT_EQ(counted.at("matchingItemCount").as_int64(), 4);
  EXPECT_EQ(found("", {{"pagination", {{"limit", 2}, {"offset", 1}}}}), "23");
}

TEST_F(TablesOf1x, TellWhichTypeAColumnHas) {
  const auto columns = client_.call(
      "searchLeaderboardAttributes",
      {{"projectIdentifier", project_}, {"search", "lr"}, {"type", json::array{"run"}}, {"params", json::object()}});
  EXPECT_EQ(columns, (json::object{{"entries", json::array{json::object{{"name", "lr"}, {"type", "float"}}}}}));
}

TEST_F(TablesOf1x, LoseWhatIsDeleted) {
  const auto deleted = client_.call(
      "deleteExperiments", {{"projectIdentifier", project},
                            {"experimentIdentifiers", json::array{project + "/CLASSI-4", project + "/CLASSI-9"}}});
  EXPECT_EQ(deleted.at("errors").as_array().size(), 1u);
  EXPECT_EQ(found(""), "123");
  EXPECT_TRUE(client_.call("deleteAllExperiments", {{"projectIdentifier", project}}).at("errors").as_array().empty());
  EXPECT_EQ(found(""), "123");
}

TEST_F(Client1x, ManagesTheMembersOfAProject) {
  client_.call("addProjectMember",
               {{"projectIdentifier", project}, {"member", {{"userId", "jackie"}, {"role", "member"}}}});
  EXPECT_EQ(client_
                .send("addProjectMember",
                      {{"projectIdentifier", project}, {"member", {{"userId", "jackie"}, {"role", "viewer"}}}})
                .status,
            409u);
  const auto members = client_.call("listProjectMembers", {{"projectIdentifier", project}});
  ASSERT_EQ(members.as_array().size(), 2u);
  EXPECT_EQ(members.at(0).at("registeredMemberInfo").at("username"), "jackie");
  EXPECT_EQ(members.at(0).at("role"), "member");
  client_.call("deleteProjectMember", {{"projectIdentifier", project}, {"userId", "jackie"}});
  EXPECT_EQ(client_.call("listProjectMembers", {{"projectIdentifier", project}}).as_array().size(), 1u);
  // To the client, 404 is that there is no such project.
  EXPECT_EQ(client_.send("deleteProjectMember", {{"projectIdentifier", project}, {"userId", "jackie"}}).status, 422u);
}

TEST_F(Client1x, ManagesTheServiceAccountsOfAProject) {
  served_.control(R"({"workspace": "ml-team", "service_accounts": ["cicd@ml-team"]})");
  const auto accounts =
      client_.call("listServiceAccounts", {{"organizationIdentifier", "ml-team"}, {"deactivated", false}});
  ASSERT_EQ(accounts.as_array().size(), 1u);
  EXPECT_EQ(accounts.at(0).at("displayName"), "cicd@ml-team");
  const auto id = accounts.at(0).at("id");
  client_.call("addProjectServiceAccount",
               {{"projectIdentifier", project}, {"account", {{"serviceAccountId", id}, {"role", "viewer"}}}});
  const auto listed = client_.call("listProjectServiceAccounts", {{"projectIdentifier", project}});
  ASSERT_EQ(listed.as_array().size(), 1u);
  EXPECT_EQ(listed.at(0).at("serviceAccountInfo").at("displayName"), "cicd@ml-team");
  client_.call("deleteProjectServiceAccount", {{"projectIdentifier", project}, {"serviceAccountId", id}});
  EXPECT_EQ(client_.call("listProjectServiceAccounts", {{"projectIdentifier", project}}), json::array());
  EXPECT_EQ(
      client_.send("deleteProjectServiceAccount", {{"projectIdentifier", project}, {"serviceAccountId", id}}).status,
      422u);
}

TEST_F(Client1x, InvitesIntoAWorkspaceAndSeesWhoIsInIt) {
  served_.control(R"({"workspace": "ml-team", "members": ["jackie"]})");
  client_.call("createOrganizationInvitations",
               {{"newOrganizationInvitations",
                 {{"organizationIdentifier", "ml-team"},
                  {"invitationsEntries", json::array{json::object{{"invitee", "johnny"},
                                                                  {"invitationType", "user"},
                                                                  {"roleGrant", "member"},
                                                                  {"addToAllProjects", false}}}}}}});
  const auto members = client_.call("listOrganizationMembers", {{"organizationIdentifier", "ml-team"}});
  ASSERT_EQ(members.as_array().size(), 2u);
  EXPECT_EQ(members.at(0).at("registeredMemberInfo").at("username"), "jackie");
}

TEST_F(Client1x, SeesTheStorageOfItsWorkspace) {
  served_.control(R"({"workspace": "ml-team", "quota": 1000})");
  upload(make_run(), "file", std::string(100, 'x'));
  const auto status = client_.call("workspaceStatus", {{"organizationIdentifier", "ml-team"}});
  EXPECT_EQ(status.at("storageBytesLimit").as_int64(), 1000);
  EXPECT_LE(status.at("storageBytesAvailable").as_int64(), 900);
  EXPECT_EQ(status.at("activeProjectsUsage").as_int64(), 1);
}

TEST_F(Client1x, DeletesAProject) {
  client_.call("deleteProject", {{"projectIdentifier", project}});
  EXPECT_EQ(client_.send("deleteProject", {{"projectIdentifier", project}}).status, 404u);
}

}  // namespace
}  // namespace neptune::sandbox
