#include "sources/folder_watch/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

namespace neptune::sources {

namespace {

// f_type of statfs(2). FUSE may be local, but it often is not (sshfs, GlusterFS, cloud buckets), and cannot tell.
constexpr std::pair<std::uint32_t, const char*> network_file_systems[] = {
    {0x6969, "NFS"},        {0x517B, "SMB"},        {0xFF534D42, "CIFS"},  {0xFE534D42, "SMB2"},
    {0x65735546, "FUSE"},   {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"},  {0x01021997, "9p"},
    {0x00C36400, "CephFS"}, {0x19830326, "BeeGFS"}, {0x5346414F, "AFS"},   {0x73757245, "Coda"},
    {0x01161970, "GFS2"},   {0x7461636F, "OCFS2"},  {0xAAD7AAEA, "PanFS"}, {0x20030528, "OrangeFS"},
    {0x786F4256, "vboxsf"}, {0x564C, "NCP"},
};

// "36 35 98:0 /root /mount ...": the line of a mount, by its id.
std::uint64_t device_of_mount(std::uint64_t mount_id) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    unsigned long long id = 0;
    unsigned parent = 0, device_major = 0, device_minor = 0;
    if (std::sscanf(line.c_str(), "%llu %u %u:%u", &id, &parent, &device_major, &device_minor) == 4 && id == mount_id)
      return makedev(device_major, device_minor);
  }
  return 0;
}

}  // namespace

FileSystem file_system_of(const std::filesystem::path& folder) {
  FileSystem out;
  struct statfs info{};
  if (statfs(folder.c_str(), &info) == 0) {
    for (const auto& [type, name] : network_file_systems) {
      if (static_cast<std::uint32_t>(info.f_type) != type) continue;
      out.network = true;
      out.name = name;
    }
  }
  struct statx data{};
  if (statx(AT_FDCWD, folder.c_str(), 0, STATX_MNT_ID, &data) == 0 && (data.stx_mask & STATX_MNT_ID))
    out.lock_device = device_of_mount(data.stx_mnt_id);
  return out;
}

}  // namespace neptune::sources
