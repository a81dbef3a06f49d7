#include <gtest/gtest.h>

#include "engine/impl/upload_batch.h"

namespace neptune::engine {
namespace {

std::vector<UploadItem> files_of(const std::vector<std::string>& attributes) {
  std::vector<UploadItem> items;
  for (const auto& attribute : attributes) items.emplace_back().upload.attribute = attribute;
  return items;
}

TEST(UploadOrder, AFileWaitsForTheEarlierOnesOfItsAttributeAlone) {
  auto items = files_of({"model", "plot", "model", "plot"});
  EXPECT_FALSE(waits_for_earlier(items, 0));
  EXPECT_FALSE(waits_for_earlier(items, 1));
  EXPECT_TRUE(waits_for_earlier(items, 2));
  items[0].state = UploadItem::State::done;
  EXPECT_FALSE(waits_for_earlier(items, 2));
  EXPECT_TRUE(waits_for_earlier(items, 3));
}

TEST(UploadOrder, OneThatIsRefusedIsDealtWithAndOneThatIsTriedLaterIsNot) {
  auto items = files_of({"model", "model"});
  items[0].put_off("http_503", "the object store failed");
  EXPECT_TRUE(waits_for_earlier(items, 1));
  items[0].refuse("file_missing", "it is gone");
  EXPECT_FALSE(waits_for_earlier(items, 1));
}

TEST(UploadOrder, FilesOfRunLogsHaveNoAttributeHereAndWaitForNobody) {
  EXPECT_FALSE(waits_for_earlier(files_of({"", ""}), 1));
}

TEST(UploadOrder, ThoseBehindOneComeOneAfterTheOtherInTheirOrder) {
  auto items = files_of({"model", "model", "model"});
  items[1].behind = items[2].behind = true;
  EXPECT_EQ(next_behind(items), std::nullopt);
  items[0].state = UploadItem::State::done;
  EXPECT_EQ(next_behind(items), 1u);
  items[1].behind = false;  // it is being assigned
  EXPECT_EQ(next_behind(items), std::nullopt);
  items[1].state = UploadItem::State::done;
  EXPECT_EQ(next_behind(items), 2u);
}

}  // namespace
}  // namespace neptune::engine
