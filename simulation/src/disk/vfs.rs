//! The shim before SQLite's file layer: passes every call on, and tells the simulated disk of those that change files.
//!
//! It becomes the default of this process, so the ledger needs to know nothing of it; files that lie under no simulated
//! disk are passed on untold. The only unsafe code of the simulation.
#![expect(
    unsafe_code,
    reason = "SQLite's file layer is an interface of C: structures of pointers, called by SQLite itself"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rusqlite::ffi;

use super::{Answer, Disk};

/// Our part of an open file; the real one's lies behind it in the same memory, which SQLite has made.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// None: under no simulated disk.
    told: *mut Told,
    real: *mut ffi::sqlite3_file,
}

struct Told {
    disk: Disk,
    path: PathBuf,
}

/// The real file layer.
struct Real(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite's registered file layers live for ever and are not changed after their registration.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

/// Puts the shim before the file layer, once.
pub(super) fn install() {
    REAL.get_or_init(|| {
        // SAFETY: with a null name SQLite gives the default layer, initialising itself first. The copy is given to
        // SQLite for ever. What is copied and not replaced looks at nothing but constants of the structure.
        unsafe {
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut ours = Box::new(*real);
            let size = c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX);
            ours.szOsFile = (*real).szOsFile + size;
            ours.zName = c"simulated".as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::into_raw(ours), 1);
            Real(real)
        }
    });
}

fn real() -> *mut ffi::sqlite3_vfs {
    REAL.get().map_or(std::ptr::null_mut(), |real| real.0)
}

fn code(answer: Answer, off: c_int) -> c_int {
    match answer {
        Answer::Done => ffi::SQLITE_OK,
        Answer::Off => off,
        Answer::Full => ffi::SQLITE_FULL,
        Answer::Broken => ffi::SQLITE_IOERR_FSYNC,
    }
}

/// # Safety
/// `name` is null, or a text of C.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    Some(Path::new(OsStr::from_bytes(bytes)).to_owned())
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let ours = file.cast::<File>();
    // SAFETY: SQLite gives memory for `szOsFile` bytes, aligned for pointers; the real layer gets what lies behind ours.
    unsafe {
        let behind = ours.add(1).cast::<ffi::sqlite3_file>();
        (*ours).base.pMethods = std::ptr::null();
        (*ours).told = std::ptr::null_mut();
        (*ours).real = behind;
        (*behind).pMethods = std::ptr::null();
        let Some(open) = (*real()).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        let done = open(real(), name, behind, flags, out);
        if (*behind).pMethods.is_null() {
            return done;
        }
        (*ours).base.pMethods = &raw const METHODS;
        if let Some(path) = path_of(name)
            && let Some(disk) = Disk::of(&path)
        {
            disk.opened(&path);
            (*ours).told = Box::into_raw(Box::new(Told { disk, path }));
        }
        done
    }
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_dir: c_int,
) -> c_int {
    // SAFETY: SQLite gives a name.
    unsafe {
        if let Some(path) = path_of(name)
            && let Some(disk) = Disk::of(&path)
        {
            let answer = disk.deleted(&path);
            if answer != Answer::Done {
                return code(answer, ffi::SQLITE_IOERR_DELETE);
            }
        }
        match (*real()).xDelete {
            Some(delete) => delete(real(), name, sync_dir),
            None => ffi::SQLITE_IOERR_DELETE,
        }
    }
}

/// Asks the disk, where the file lies under one.
///
/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn told(file: *mut ffi::sqlite3_file, ask: impl FnOnce(&Disk, &Path) -> Answer) -> Answer {
    // SAFETY: as the caller says.
    let told = unsafe { (*file.cast::<File>()).told.as_ref() };
    told.map_or(Answer::Done, |told| ask(&told.disk, &told.path))
}

/// Calls a function of the real file with what is left.
macro_rules! real {
    ($file:ident . $name:ident ( $($arg:expr),* ) else $missing:expr) => {{
        // SAFETY: SQLite calls the methods of a file only between its opening and its closing, with arguments that
        // fit; they are passed on as they came.
        unsafe {
            let real = (*$file.cast::<File>()).real;
            match (*(*real).pMethods).$name {
                Some(call) => call(real, $($arg),*),
                None => $missing,
            }
        }
    }};
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let done = real!(file.xClose() else ffi::SQLITE_OK);
    // SAFETY: made by `open`, given back once: SQLite uses a closed file no more.
    unsafe {
        let ours = file.cast::<File>();
        if !(*ours).told.is_null() {
            drop(Box::from_raw((*ours).told));
            (*ours).told = std::ptr::null_mut();
        }
    }
    done
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    amount: c_int,
    at: i64,
) -> c_int {
    real!(file.xRead(to, amount, at) else ffi::SQLITE_IOERR_READ)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite gives so many bytes; the file is open.
    let answer = unsafe {
        let bytes =
            std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(amount).unwrap_or(0));
        let at = u64::try_from(at).unwrap_or(0);
        told(file, |disk, path| disk.written(path, at, bytes))
    };
    match answer {
        Answer::Done => real!(file.xWrite(from, amount, at) else ffi::SQLITE_IOERR_WRITE),
        other => code(other, ffi::SQLITE_IOERR_WRITE),
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: the file is open.
    let answer = unsafe {
        told(file, |disk, path| {
            disk.cut_to(path, u64::try_from(size).unwrap_or(0))
        })
    };
    match answer {
        Answer::Done => real!(file.xTruncate(size) else ffi::SQLITE_IOERR_TRUNCATE),
        other => code(other, ffi::SQLITE_IOERR_TRUNCATE),
    }
}

/// The real sync is left out: the disk under it is memory.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: the file is open.
    let answer = unsafe { told(file, Disk::synced) };
    code(answer, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    real!(file.xFileSize(size) else ffi::SQLITE_IOERR_FSTAT)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    real!(file.xLock(level) else ffi::SQLITE_IOERR_LOCK)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    real!(file.xUnlock(level) else ffi::SQLITE_IOERR_UNLOCK)
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    real!(file.xCheckReservedLock(out) else ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, op: c_int, arg: *mut c_void) -> c_int {
    real!(file.xFileControl(op, arg) else ffi::SQLITE_NOTFOUND)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    real!(file.xSectorSize() else 4096)
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    real!(file.xDeviceCharacteristics() else 0)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    real!(file.xShmMap(page, size, extend, out) else ffi::SQLITE_IOERR_SHMMAP)
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    real!(file.xShmLock(offset, count, flags) else ffi::SQLITE_IOERR_SHMLOCK)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    real!(file.xShmBarrier() else ());
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, is_deleted: c_int) -> c_int {
    real!(file.xShmUnmap(is_deleted) else ffi::SQLITE_OK)
}

unsafe extern "C" fn fetch(
    file: *mut ffi::sqlite3_file,
    at: i64,
    amount: c_int,
    out: *mut *mut c_void,
) -> c_int {
    real!(file.xFetch(at, amount, out) else ffi::SQLITE_OK)
}

unsafe extern "C" fn unfetch(file: *mut ffi::sqlite3_file, at: i64, page: *mut c_void) -> c_int {
    real!(file.xUnfetch(at, page) else ffi::SQLITE_OK)
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};
