#include "changes/file_upload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace neptune {
namespace {

constexpr std::string_view token = "0123456789abcdef";

std::string destination(const std::string& run, const std::string& attribute, const std::string& file) {
  FileUpload upload;
  upload.run = run;
  upload.attribute = attribute;
  upload.file = file;
  return upload_destination(upload, token);
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

TEST(UploadDestination, StaysWithinTheLimitsWhateverTheNamesAre) {
  for (const std::string& name : {std::string("r"), std::string(730, 'r'), std::string("a/b.c"), std::string("../..")})
    for (const std::string& file :
         {std::string("/a"), "/" + std::string(255, 'f'), "/" + std::string(240, 'f') + ".safetensors",
          "/f." + std::string(250, 'x'), std::string("/.hidden")}) {
      const auto parts = parts_of(destination(name, name, file));
      ASSERT_EQ(parts.size(), 4u) << name << " " << file;
      EXPECT_LE(parts[0].size(), 300u);
      EXPECT_LE(parts[1].size(), 280u);
      EXPECT_EQ(parts[2], token);
      EXPECT_LE(parts[3].size(), 198u);
      for (const auto& part : parts) {
        EXPECT_FALSE(part.empty());
        EXPECT_NE(part, ".");
        EXPECT_NE(part, "..");
      }
      EXPECT_LE(destination(name, name, file).size(), 800u);
    }
}

TEST(UploadDestination, KeepsNamesApartThatLookTheSameOnceTheyAreMadeSafeOrCut) {
  std::set<std::string> all;
  const std::string common(730, 'x');
  for (const std::string& attribute :
       {std::string("a/b"), std::string("a.b"), std::string("a_b"), common + "1", common + "2"})
    all.insert(destination("r", attribute, "/f.bin"));
  EXPECT_EQ(all.size(), 5u);
}

TEST(UploadDestination, KeepsTheFilesEnding) {
  EXPECT_TRUE(destination("r", "a", "/tmp/model.v2.safetensors").ends_with("/model_v2.safetensors"));
  EXPECT_TRUE(destination("r", "a", "/tmp/" + std::string(250, 'm') + ".png").ends_with("m.png"));
}

TEST(FileReference, IsTakenOnceAnUploadAndNotOnceAnAttribute) {
  FileUpload upload;
  upload.project = {"ml-team", "lab"};
  upload.run = "r-1";
  upload.attribute = "model";
  upload.destination = "r/model/1/f";
  const auto first = file_reference(upload, 10, 1'000);
  EXPECT_EQ(file_reference(upload, 10, 2'000).idempotency_key, first.idempotency_key);
  upload.destination = "r/model/2/f";
  EXPECT_NE(file_reference(upload, 10, 1'000).idempotency_key, first.idempotency_key);
  EXPECT_EQ(first.container, (ContainerName{{"ml-team", "lab"}, "r-1", ContainerKind::run}));
}

}  // namespace
}  // namespace neptune
