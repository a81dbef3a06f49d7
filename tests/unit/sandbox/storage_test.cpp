#include "tests/sandbox/spool.h"
#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

using testing::HttpAnswer;

constexpr std::size_t step = 256u << 10;

std::string bytes_of(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 31 + i / 257);
  return out;
}

class Storage : public ::testing::Test {
 protected:
  Storage() { served_.control(R"({"project": "ml-team/classification"})"); }

  void provider(const std::string& name) {
    served_.control(R"({"workspace": "ml-team", "storage_provider": ")" + name + "\"}");
  }
  std::string request_for(const std::string& path, std::size_t size, const std::string& in = project) {
    const boost::json::object file{{"project_identifier", in}, {"path", path}, {"permission", "write"}, {"size", size}};
    return boost::json::serialize(boost::json::object{{"files", boost::json::array{file}}});
  }
  boost::json::value sign(const std::string& path, std::size_t size) {
    return served_.done("POST", "/api/storagebridge/v1/signedUrl", request_for(path, size)).at("files").at(0);
  }
  /// To the store: without a token.
  HttpAnswer send(const std::string& method, const std::string& url, const std::string& body,
                  const std::map<std::string, std::string>& headers = {}) {
    EXPECT_TRUE(url.starts_with(served_.sandbox().url())) << url;
    return testing::http(served_.sandbox().url(), {method, url.substr(served_.sandbox().url().size()), headers, body});
  }
  static std::string url_of(const boost::json::value& file) { return std::string(file.at("url").as_string()); }

  void expect_stored(const std::string& path, const std::string& bytes, const std::string& type) {
    const auto state = served_.state();
    const auto* file = state.at("files").as_object().if_contains(project + "/" + path);
    ASSERT_NE(file, nullptr) << state.at("files");
    EXPECT_EQ(file->at("bytes").to_number<std::size_t>(), bytes.size());
    EXPECT_EQ(file->at("sha256").as_string(), sha256_of(std::string_view(bytes)));
    EXPECT_EQ(file->at("content_type").as_string(), type);
  }

  Served served_;
};

TEST_F(Storage, TakesASmallFileOfAwsInOnePut) {
  const auto bytes = bytes_of(1000);
  const auto file = sign("run/a/none/x.bin", bytes.size());
  EXPECT_EQ(file.at("provider").as_string(), "aws");
  EXPECT_TRUE(file.at("multipart").is_null());
  const auto answer = send("PUT", url_of(file), bytes, {{"Content-Type", "text/plain"}});
  EXPECT_EQ(answer.status, 200u);
  EXPECT_FALSE(answer.headers.at("etag").empty());
  expect_stored("run/a/none/x.bin", bytes, "text/plain");
  const auto state = served_.state();
  EXPECT_EQ(state.at("uploads").at("signing_requests").as_int64(), 1);
  EXPECT_EQ(state.at("uploads").at("received_bytes").as_int64(), 1000);
  EXPECT_EQ(state.at("workspaces").at("ml-team").at("storage_bytes").as_int64(), 1000);
}

class AwsParts : public Storage {
 protected:
  AwsParts() {
    served_.control(R"({"multipart_threshold": 1000, "multipart_part_size": 1000})");
    file_ = sign("big", bytes_.size());
    for (const auto& url : file_.at("multipart").at("part_urls").as_array()) urls_.emplace_back(url.as_string());
  }
  /// An entry of the completing call.
  boost::json::object put(std::size_t number) {
    const auto answer = send("PUT", urls_.at(number - 1), bytes_.substr((number - 1) * 1000, 1000));
    EXPECT_EQ(answer.status, 200u) << answer.body;
    auto etag = answer.headers.contains("etag") ? answer.headers.at("etag") : "";
    std::erase(etag, '"');
    return {{"part_number", number}, {"etag", etag}};
  }
  HttpAnswer complete(boost::json::array parts) {
    const boost::json::object body{{"project_identifier", project},
                                   {"path", "big"},
                                   {"upload_id", file_.at("multipart").at("upload_id")},
                                   {"parts", std::move(parts)}};
    return served_.call("POST", "/api/storagebridge/v1/s3/completeMultipartUpload", boost::json::serialize(body));
  }
  std::string bytes_ = bytes_of(2500);
  boost::json::value file_;
  std::vector<std::string> urls_;
};

TEST_F(AwsParts, ArePutTogetherInTheirOrderAndOnce) {
  ASSERT_EQ(urls_.size(), 3u);
  const auto third = put(3), first = put(1), second = put(2);
  EXPECT_EQ(complete({first, second, third}).status, 204u);
  EXPECT_EQ(complete({first, second, third}).status, 204u);
  expect_stored("big", bytes_, "");
  EXPECT_EQ(served_.state().at("workspaces").at("ml-team").at("storage_bytes").as_int64(), 2500);
}

TEST_F(AwsParts, AreRefusedWhereOneIsMissingOrAnother) {
  const auto first = put(1);
  auto other = first;
  other["etag"] = "0";
  EXPECT_EQ(complete({other}).status, 400u);
  EXPECT_EQ(complete({first, {{"part_number", 2}, {"etag", "0"}}}).status, 400u);
  EXPECT_TRUE(served_.state().at("files").as_object().empty());
}

TEST_F(AwsParts, ComeWithoutAnEtagWhereAFaultSaysSo) {
  served_.control(R"({"missing_etags": 1})");
  EXPECT_EQ(put(1).at("etag").as_string(), "");
  EXPECT_NE(put(1).at("etag").as_string(), "");
}

TEST_F(AwsParts, AreSignedForTheSameUploadWhereItSaysSo) {
  EXPECT_NE(sign("big", 2500).at("multipart").at("upload_id"), file_.at("multipart").at("upload_id"));
  served_.control(R"({"reuse_multipart": true, "expire_urls": true})");
  EXPECT_EQ(send("PUT", urls_.at(0), "x").status, 403u);
  const auto again = sign("big", 2500);
  const auto first = send("PUT", std::string(again.at("multipart").at("part_urls").at(0).as_string()), "x");
  EXPECT_EQ(first.status, 200u);
}

class Gcp : public Storage {
 protected:
  Gcp() { provider("gcp"); }
  std::string start(const std::string& path, std::size_t size) {
    const auto answer =
        send("POST", url_of(sign(path, size)), "", {{"X-goog-resumable", "start"}, {"Content-Type", "image/png"}});
    EXPECT_EQ(answer.status, 201u) << answer.body;
    return answer.headers.at("location");
  }
  HttpAnswer chunk(const std::string& session, const std::string& range, const std::string& bytes) {
    return send("PUT", session, bytes, {{"Content-Range", "bytes " + range}});
  }
};

TEST_F(Gcp, TakesChunksAndTellsHowFarItIs) {
  const auto bytes = bytes_of(2 * step + 5);
  const auto session = start("f", bytes.size());
  EXPECT_FALSE(chunk(session, "*/524293", "").headers.contains("range"));
  const auto first = chunk(session, "0-262143/524293", bytes.substr(0, step));
  EXPECT_EQ(first.status, 308u);
  EXPECT_EQ(first.headers.at("range"), "bytes=0-262143");
  EXPECT_EQ(chunk(session, "*/524293", "").headers.at("range"), "bytes=0-262143");
  EXPECT_EQ(chunk(session, "262144-524292/524293", bytes.substr(step)).status, 200u);
  EXPECT_EQ(chunk(session, "*/524293", "").status, 200u);
  expect_stored("f", bytes, "image/png");
}

TEST_F(Gcp, KeepsLessThanWasSentWhereAFaultSaysSo) {
  served_.control(R"({"keep_less": 1})");
  const auto bytes = bytes_of(2 * step);
  const auto session = start("f", bytes.size());
  EXPECT_EQ(chunk(session, "0-524287/524288", bytes).headers.at("range"), "bytes=0-262143");
  EXPECT_EQ(chunk(session, "262144-524287/524288", bytes.substr(step)).status, 200u);
  expect_stored("f", bytes, "image/png");
}

TEST_F(Gcp, RefusesChunksOfOddSizesAndForgetsSessions) {
  const auto session = start("f", step * 2);
  EXPECT_EQ(chunk(session, "0-99/524288", bytes_of(100)).status, 400u);
  EXPECT_EQ(chunk(session, "262144-524287/524288", bytes_of(step)).status, 308u);
  EXPECT_EQ(chunk(session, "nonsense", "").status, 400u);
  served_.control(R"({"lose_sessions": true})");
  EXPECT_EQ(chunk(session, "*/524288", "").status, 404u);
}

TEST_F(Gcp, TakesAnEmptyFile) {
  EXPECT_EQ(chunk(start("empty", 0), "*/0", "").status, 200u);
  expect_stored("empty", "", "image/png");
}

class Azure : public Storage {
 protected:
  Azure() { provider("azure"); }
};

TEST_F(Azure, TakesABlobInOnePut) {
  const auto url = url_of(sign("f", 4));
  EXPECT_EQ(send("PUT", url, "data").status, 400u);
  EXPECT_EQ(send("PUT", url, "data", {{"x-ms-blob-type", "BlockBlob"}, {"x-ms-blob-content-type", "a/b"}}).status,
            201u);
  expect_stored("f", "data", "a/b");
}

TEST_F(Azure, PutsBlocksTogetherAsTheirListSays) {
  const auto url = url_of(sign("f", 8));
  EXPECT_EQ(send("PUT", url + "&comp=block&blockid=Yg%3D%3D", "tail").status, 201u);
  const auto list = [](const std::string& ids) { return "<?xml?><BlockList>" + ids + "</BlockList>"; };
  const auto both = list("<Latest>YQ==</Latest><Latest>Yg==</Latest>");
  const auto missing = send("PUT", url + "&comp=blocklist", both);
  EXPECT_EQ(missing.status, 400u);
  EXPECT_NE(missing.body.find("InvalidBlockList"), std::string::npos);
  // Another URL of the same blob.
  EXPECT_EQ(send("PUT", url_of(sign("f", 8)) + "&comp=block&blockid=YQ%3D%3D", "head").status, 201u);
  EXPECT_EQ(send("PUT", url + "&comp=blocklist", both, {{"x-ms-blob-content-type", "a/b"}}).status, 201u);
  expect_stored("f", "headtail", "a/b");
}

TEST_F(Storage, SignsNothingForScopesThatAreReadOnlyOrMissing) {
  const std::string call = "/api/storagebridge/v1/signedUrl";
  EXPECT_EQ(served_.refusal("POST", call, request_for("f", 1, "ml-team/nowhere")), "404 PROJECT_NOT_FOUND");
  for (const std::string path : {"", "/a", "a//b", "a/../b", "a/."})
    EXPECT_EQ(served_.refusal("POST", call, request_for(path, 1)), "400 ") << path;
  EXPECT_EQ(served_.refusal("POST", call, request_for(std::string(801, 'x'), 1)), "400 ");
  served_.control(R"({"workspace": "ml-team", "mode": "read_only"})");
  EXPECT_EQ(served_.refusal("POST", call, request_for("f", 1)), "403 WORKSPACE_IN_READ_ONLY_MODE");
}

TEST_F(Storage, GoesReadOnlyWhenFilesFillTheQuota) {
  served_.control(R"({"workspace": "ml-team", "quota": 100})");
  EXPECT_EQ(send("PUT", url_of(sign("f", 101)), bytes_of(101)).status, 200u);
  EXPECT_EQ(served_.refusal("POST", "/api/storagebridge/v1/signedUrl", request_for("g", 1)),
            "403 WORKSPACE_IN_READ_ONLY_MODE");
}

TEST_F(Storage, UrlsExpireAndWantNoToken) {
  const auto url = url_of(sign("f", 1));
  EXPECT_EQ(send("PUT", url, "x", {{"Authorization", "Bearer x"}}).status, 400u);
  EXPECT_EQ(served_.state().at("uploads").at("tokens_seen").as_int64(), 1);
  served_.control(R"({"expire_urls": true})");
  const auto late = send("PUT", url, "x");
  EXPECT_EQ(late.status, 403u);
  EXPECT_NE(late.body.find("expired"), std::string::npos);
  served_.control(R"({"url_lifetime_ms": 0})");
  EXPECT_EQ(send("PUT", url_of(sign("f", 1)), "x").status, 403u);
}

TEST_F(Storage, IsStruckByFaultsOfItsProject) {
  served_.control(
      R"({"fault": {"path": "/storage/aws", "status": 503, "times": 1, "project": "ml-team/classification"}})");
  const auto url = url_of(sign("f", 1));
  EXPECT_EQ(send("PUT", url, "x").status, 503u);
  EXPECT_EQ(send("PUT", url, "x").status, 200u);
}

TEST(StorageState, FilesSurviveARestart) {
  Served served({"--workspace", "ml-team"}, Served::Keeps::state);
  served.control(R"({"project": "ml-team/classification"})");
  const boost::json::object file{{"project_identifier", project}, {"path", "f"}, {"permission", "write"}, {"size", 4}};
  const auto answer = served.done("POST", "/api/storagebridge/v1/signedUrl",
                                  boost::json::serialize(boost::json::object{{"files", boost::json::array{file}}}));
  const std::string url(answer.at("files").at(0).at("url").as_string());
  const auto target = url.substr(served.sandbox().url().size());
  EXPECT_EQ(testing::http(served.sandbox().url(), {"PUT", target, {}, "data"}).status, 200u);
  const auto before = served.state();
  served.sandbox().kill();
  served.sandbox().start();
  EXPECT_EQ(testing::first_difference(before.at("files"), served.state().at("files")), "");
  EXPECT_EQ(testing::http(served.sandbox().url(), {"PUT", target, {}, "data"}).status, 403u);
}

// ---- 1.x

class AttributeUploads : public Storage {
 protected:
  AttributeUploads() {
    const auto id = served_.done("GET", "/api/backend/v1/projects/get?projectIdentifier=" + project).at("id");
    const boost::json::object body{{"projectIdentifier", project}, {"parentId", id}, {"type", "run"}};
    const auto run = served_.done("POST", "/api/leaderboard/v1/experiments", boost::json::serialize(body));
    id_ = run.at("id").as_string();
    short_id_ = run.at("shortId").as_string();
  }
  std::string at(const std::string& call, const std::string& more, const std::string& attribute = "data") {
    return "/api/leaderboard/v1/attributes/" + call + "?experimentIdentifier=" + id_ + "&experimentId=" + id_ +
           "&attribute=" + attribute + more;
  }
  std::string id_, short_id_;
};

TEST_F(AttributeUploads, AFileBecomesTheAttribute) {
  const auto answer = served_.done("POST", at("storage/file/upload", "&ext=txt"), "hello");
  EXPECT_TRUE(answer.at("errors").as_array().empty());
  expect_stored(short_id_ + "/data.txt", "hello", "application/octet-stream");
  const auto run = served_.run(short_id_);
  EXPECT_EQ(run.at("attrs").at("data").at("size").as_int64(), 5);
}

TEST_F(AttributeUploads, PartsAreCheckedAgainstTheTotal) {
  const auto started = served_.done("POST", at("storage/fileset/upload/start", "&subPath=a/b&totalLength=6"));
  const auto upload = "&subPath=a/b&uploadId=" + std::string(started.at("uploadId").as_string());
  const auto part = [&](int number, const std::string& range, const std::string& bytes) {
    return served_.sandbox()
        .call({"POST",
               at("storage/fileset/upload/part", upload) + "&uploadPartIdx=" + std::to_string(number),
               {{"X-Range", "bytes=" + range + "/6"}},
               bytes})
        .status;
  };
  EXPECT_EQ(part(0, "0-2", "abc"), 200u);
  EXPECT_EQ(part(1, "3-5", "de"), 400u);
  EXPECT_EQ(served_.done("POST", at("storage/fileset/upload/finish", upload)).at("errors").as_array().size(), 1u);
  EXPECT_EQ(part(1, "3-5", "def"), 200u);
  EXPECT_TRUE(served_.done("POST", at("storage/fileset/upload/finish", upload)).at("errors").as_array().empty());
  expect_stored(short_id_ + "/data/a/b", "abcdef", "application/octet-stream");
}

}  // namespace
}  // namespace neptune::sandbox
