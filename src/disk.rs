//! The room on the disk that a folder is on.

use std::path::Path;

use rustix::fs::StatVfsMountFlags;

/// `f_type` of a tmpfs.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user can still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Whether there is a place for another file.
    pub room_for_files: bool,
    /// Whether it is memory: gone with the power.
    pub in_memory: bool,
    /// Whether nothing can be written.
    pub read_only: bool,
}

/// The room on the disk of a folder.
///
/// # Errors
/// The folder cannot be looked at.
pub fn space(dir: &Path) -> std::io::Result<Space> {
    let room = rustix::fs::statvfs(dir)?;
    let kind = rustix::fs::statfs(dir)?.f_type;
    Ok(Space {
        free: room.f_bavail.saturating_mul(room.f_frsize),
        total: room.f_blocks.saturating_mul(room.f_frsize),
        room_for_files: room.f_files == 0 || room.f_favail > 0,
        in_memory: kind == TMPFS_MAGIC,
        read_only: room.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}
