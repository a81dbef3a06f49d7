#include <gtest/gtest.h>
#include <sqlite3.h>

#include <array>
#include <atomic>
#include <stdexcept>

#include "tests/unit/sources/change_queue_fixture.h"

namespace neptune::sources {
namespace {

std::atomic<int> syncs = 0;

/// SQLite's own file system, which counts how often it is told to bring a file to the disk.
struct Methods {
  const sqlite3_io_methods* own = nullptr;
  sqlite3_io_methods counting{};
};
std::array<Methods, 8> methods;
sqlite3_vfs* own_vfs = nullptr;

int count_sync(sqlite3_file* file, int flags) {
  syncs++;
  for (auto& each : methods)
    if (file->pMethods == &each.counting) return each.own->xSync(file, flags);
  return SQLITE_IOERR;
}

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  const int opened = own_vfs->xOpen(own_vfs, name, file, flags, out);
  if (opened != SQLITE_OK || !file->pMethods) return opened;
  for (auto& each : methods) {
    if (each.own && each.own != file->pMethods) continue;
    if (!each.own) {
      each.counting = *file->pMethods;
      each.counting.xSync = count_sync;
      each.own = file->pMethods;
    }
    file->pMethods = &each.counting;
    return opened;
  }
  return SQLITE_IOERR;
}

class ChangeQueueSync : public ChangeQueueTest {
 protected:
  ChangeQueueSync() {
    own_vfs = sqlite3_vfs_find(nullptr);
    vfs_ = *own_vfs;
    vfs_.zName = "counts-syncs";
    vfs_.xOpen = open_file;
    sqlite3_vfs_register(&vfs_, 1);
    open();
  }
  ~ChangeQueueSync() override {
    close();
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(own_vfs, 1);
  }

 private:
  sqlite3_vfs vfs_{};
};

TEST_F(ChangeQueueSync, AnswersOnlyWhenTheDiskHasWhatWasAccepted) {
  ASSERT_TRUE(accept({update_of("a")}));
  for (int i = 0; i < 5; ++i) {
    const int before = syncs;
    ASSERT_TRUE(accept({update_of("a")}));
    EXPECT_GT(syncs, before);
  }
}

TEST_F(ChangeQueueSync, SettlingCostsNoSyncAsWhatIsLostOfItIsOnlySettledAgain) {
  ASSERT_TRUE(accept({update_of("a"), update_of("a")}));
  const int before = syncs;
  ASSERT_TRUE(settle(run_named("a"), 1));
  EXPECT_EQ(syncs, before);
}

}  // namespace
}  // namespace neptune::sources
