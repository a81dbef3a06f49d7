#include "server/source_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/integration/support/temp_dir.h"
#include "tests/unit/support/descriptors.h"

namespace neptune::server {
namespace {

namespace fs = std::filesystem;

class SourceFiles : public ::testing::Test {
 protected:
  SourceFiles() {
    fs::create_directories(folder_ / "in/deep");
    std::ofstream(folder_ / "in/deep/file") << "content";
    std::ofstream(folder_ / "outside") << "secret";
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  SourceFile below(const std::string& name) const { return {name, path("in")}; }
  static std::string error_of(const SourceFile& file) {
    const auto identity = identify(file);
    return identity ? "" : identity.error().code;
  }

  testing::TempDir folder_;
};

TEST_F(SourceFiles, AreRegularFilesOnly) {
  EXPECT_EQ(error_of({path("in/deep/file")}), "");
  EXPECT_EQ(error_of({path("in")}), "file_not_regular");
  EXPECT_EQ(error_of({path("nothing")}), "file_missing");
  EXPECT_EQ(error_of({"/dev/null"}), "file_not_regular");
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(error_of({path("pipe")}), "file_not_regular");
  fs::create_symlink(path("outside"), path("link"));
  EXPECT_EQ(error_of({path("link")}), "file_not_regular");
  const auto told = [](const SourceFile& file) { return identify(file).error().message; };
  EXPECT_EQ(told({path("in")}), path("in") + " is a folder; only regular files are uploaded");
  EXPECT_EQ(told({"/dev/null"}), "/dev/null is a device; only regular files are uploaded");
  EXPECT_EQ(told({path("pipe")}), path("pipe") + " is a pipe; only regular files are uploaded");
}

TEST_F(SourceFiles, HaveAPathThatMeansOneFile) {
  EXPECT_EQ(error_of({""}), "file_path_invalid");
  EXPECT_EQ(error_of({"in/deep/file"}), "file_path_invalid");
  EXPECT_EQ(error_of({std::string("/a\0b", 4)}), "file_path_invalid");
  EXPECT_EQ(error_of({"/" + std::string(5000, 'x')}), "file_path_invalid");
}

TEST_F(SourceFiles, ThatAreUnreadableUntilSomebodyMendsThemAreNotTriedAgain) {
  // What a process has at address 0 cannot be read: EIO, as from a bad disk.
  const SourceFile bad{"/proc/self/mem"};
  const auto opened = OpenFile::open(bad);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  char byte = 0;
  const auto read = (*opened)->read(0, &byte, 1);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, "file_unreadable");
  EXPECT_FALSE(read.error().retryable);
}

TEST_F(SourceFiles, AreTriedAgainOnceThereAreDescriptors) {
  if (test::needs_descriptors) GTEST_SKIP() << "the sanitizers need descriptors of their own";
  const auto identity = [this] {
    const test::DescriptorLimit none(0);
    return identify({path("in/deep/file")});
  }();
  ASSERT_FALSE(identity.has_value());
  EXPECT_EQ(identity.error().code, "file_unreadable_now");
  EXPECT_TRUE(identity.error().retryable);
}

TEST_F(SourceFiles, AreReadOnBehalfOfSomebodyElseOnlyWhenTheyAreTheirsOrEverybodys) {
  auto file = SourceFile{path("in/deep/file"), {}, ::geteuid() + 1};
  ASSERT_EQ(::chmod(file.path.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(path("in").c_str(), 0711), 0);
  ASSERT_EQ(::chmod(path("in/deep").c_str(), 0711), 0);
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0711), 0);
  EXPECT_EQ(error_of(file), "");
  ASSERT_EQ(::chmod(path("in").c_str(), 0700), 0);
  EXPECT_EQ(error_of(file), "file_not_theirs") << "a folder above it is closed";
  fs::create_directory_symlink(path("in"), path("way"));
  EXPECT_EQ(error_of({path("way/deep/file"), {}, file.reader}), "file_not_theirs");
  ASSERT_EQ(::chmod(path("in").c_str(), 0711), 0);
  ASSERT_EQ(::chmod(file.path.c_str(), 0640), 0);
  EXPECT_EQ(error_of(file), "file_not_theirs");
  for (const auto reader : {::geteuid(), uid_t{0}}) EXPECT_EQ(error_of({file.path, {}, reader}), "");
}

TEST_F(SourceFiles, AreCopiedWholeForTheirOwnerAloneAndLeaveRoom) {
  const SourceFile file{path("in/deep/file")};
  const fs::path copy = path("copy");
  const auto copied = copy_file(file, copy, 0);
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(copied->size, 7u);
  EXPECT_EQ(fs::status(copy).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  std::string text;
  std::ifstream(copy) >> text;
  EXPECT_EQ(text, "content");
  EXPECT_EQ(copy_file(file, copy, 0).error().code, "file_not_copied") << "it is there already";
  EXPECT_EQ(copy_file(file, path("other"), ~std::uint64_t{0}).error().code, "low_disk");
  EXPECT_FALSE(fs::exists(path("other")));
}

TEST_F(SourceFiles, AreRemovedOnlyBelowTheirFolderAsTheyWereAndByTheirOwner) {
  const auto file = below("deep/file");
  const auto was = identify(file).value();
  const auto removed = [](const SourceFile& which, const std::optional<FileIdentity>& as) {
    const auto how = remove_file(which, as);
    return how ? "" : how.error().code;
  };
  auto other = was;
  other.mtime_ns++;
  EXPECT_EQ(removed(file, other), "file_changed");
  auto somebody_elses = file;
  somebody_elses.reader = ::geteuid() + 1;
  EXPECT_EQ(removed(somebody_elses, was), "file_not_theirs");
  // Wherever a link leads, nothing is removed there.
  fs::create_directory_symlink(path("in/deep"), path("in/way"));
  EXPECT_NE(removed(below("way/file"), was), "");
  fs::create_symlink(path("outside"), path("in/link"));
  EXPECT_EQ(removed(below("link"), std::nullopt), "file_changed");
  EXPECT_EQ(removed(below("../outside"), std::nullopt), "file_path_invalid");
  EXPECT_EQ(removed({path("outside")}, std::nullopt), "file_path_invalid") << "it is in nobody's folder";
  EXPECT_TRUE(fs::exists(path("outside")));
  EXPECT_TRUE(fs::exists(path("in/deep/file")));
  EXPECT_EQ(removed(file, was), "");
  EXPECT_EQ(removed(file, was), "file_missing");
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  // The file is theirs, the folder is not: they could not have removed it themselves.
  std::ofstream(path("in/deep/file")) << "content";
  ASSERT_EQ(::chown(path("in/deep/file").c_str(), 1234, static_cast<gid_t>(-1)), 0);
  EXPECT_EQ(removed({"deep/file", path("in"), 1234}, std::nullopt), "file_not_theirs");
  ASSERT_EQ(::chown(path("in/deep").c_str(), 1234, static_cast<gid_t>(-1)), 0);
  EXPECT_EQ(removed({"deep/file", path("in"), 1234}, std::nullopt), "");
}

TEST_F(SourceFiles, StayInTheirFolder) {
  EXPECT_EQ(error_of(below("deep/file")), "");
  for (const std::string name : {"../outside", "deep/../../outside", "/etc/passwd", ".", "", "deep//file", "deep/"})
    EXPECT_EQ(error_of(below(name)), "file_path_invalid") << name;
  fs::create_symlink(path("outside"), path("in/link"));
  EXPECT_EQ(error_of(below("link")), "file_not_regular");
  fs::create_directory_symlink(folder_.path(), path("in/up"));
  EXPECT_NE(error_of(below("up/outside")), "");
}

TEST_F(SourceFiles, AreTheSameUntilTheyChange) {
  const SourceFile source{path("in/deep/file")};
  const auto open = OpenFile::open(source).value();
  EXPECT_TRUE(open->check());
  std::string bytes(7, '\0');
  EXPECT_TRUE(open->read(0, bytes.data(), 7));
  EXPECT_EQ(bytes, "content");
  EXPECT_EQ(open->read(1, bytes.data(), 7).error().code, "file_changed");
  std::ofstream(folder_ / "other") << "content";
  fs::rename(path("other"), source.path);
  EXPECT_EQ(open->check().error().code, "file_changed");
  fs::remove(source.path);
  EXPECT_EQ(open->check().error().code, "file_missing");
}

TEST_F(SourceFiles, AreTheSameWithAnotherModeButNotUntouchedSince) {
  const SourceFile source{path("in/deep/file")};
  const auto was = identify(source).value();
  EXPECT_TRUE(was.is_untouched(identify(source).value()));
  // Times of the kernel's clock tick, which may be the same for two changes in a row.
  const auto changed = [&](const auto& change) {
    FileIdentity now = was;
    for (int times = 0; times < 10'000 && now.ctime_ns == was.ctime_ns; ++times) {
      change();
      now = identify(source).value();
    }
    return now;
  };
  const auto with_mode = changed([&] { ::chmod(source.path.c_str(), 0640); });
  EXPECT_EQ(with_mode, was);
  EXPECT_FALSE(was.is_untouched(with_mode));
  const auto time = fs::last_write_time(source.path);
  const auto set_back = changed([&] {
    std::ofstream(source.path) << "CONTENT";
    fs::last_write_time(source.path, time);
  });
  EXPECT_EQ(set_back, was);
  EXPECT_FALSE(was.is_untouched(set_back));
}

TEST_F(SourceFiles, AreShownInUtf8WhateverTheirNameIs) {
  EXPECT_EQ(shown_path({"/tmp/\xC3\xA4"}), "/tmp/\xC3\xA4");
  EXPECT_EQ(shown_path({"/tmp/\xFF\n"}), "/tmp/?");
  EXPECT_EQ(shown_path({"/tmp/\xC0\xAF"}), "/tmp/??");
}

}  // namespace
}  // namespace neptune::server
