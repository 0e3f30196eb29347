//! A DEST in a folder: files appear by rename, and the system's locks keep others out.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::DestError;
use super::error::io_error;
use super::files::{
    DestFiles, Held, KIT_FOLDER, OWN_FOLDER, Sharing, TEMPORARY_PREFIX, UNITS_FOLDER, is_left_over, is_record,
};
use crate::identities::ReadAt;
use crate::schema::Table;
use crate::sink::{Part, PartFile};

/// A folder on a disk.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Held for File {}
impl Held for Vec<File> {}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn take(
        &self,
        name: &str,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<File, DestError> {
        let path = self.path(name);
        let file = File::create(&path).map_err(io_error("create", &path))?;
        match lock(&file) {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DestError::Locked { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
        }
    }

    fn sweep_folder(&self, folder: &str, named: &BTreeSet<&str>) -> Result<(), DestError> {
        let path = self.path(folder);
        for entry in entries(&path)? {
            let entry = entry.map_err(io_error("list", &path))?;
            let (file_name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let name = format!("{folder}/{file_name}");
            if path.is_dir() {
                if file_name.starts_with("dt=") {
                    self.sweep_folder(&name, named)?;
                    // Fails when something is left in it, as it should.
                    let _kept = fs::remove_dir(&path);
                }
            } else if is_left_over(&name, named) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }
}

impl DestFiles for Folder {
    fn root(&self) -> &Path {
        &self.root
    }

    fn is_free(&self) -> Result<bool, DestError> {
        for entry in entries(&self.root)? {
            if entry.map_err(io_error("list", &self.root))?.file_name() != OWN_FOLDER {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn enclosing_block(&self) -> Result<Option<PathBuf>, DestError> {
        let absolute = std::path::absolute(&self.root).map_err(io_error("find", &self.root))?;
        let block = absolute.ancestors().find(|at| at.join("meta.json").exists());
        Ok(block.map(Path::to_owned))
    }

    fn lock(&self, sharing: Sharing) -> Result<Box<dyn Held>, DestError> {
        fs::create_dir_all(self.path(UNITS_FOLDER)).map_err(io_error("create", &self.path(OWN_FOLDER)))?;
        let lock = match sharing {
            Sharing::Alone => File::try_lock,
            Sharing::WithOthers => File::try_lock_shared,
        };
        Ok(Box::new(self.take(&format!("{OWN_FOLDER}/lock"), lock)?))
    }

    fn lock_units(&self, units: &[&str]) -> Result<Box<dyn Held>, DestError> {
        let lock = |unit: &&str| self.take(&format!("{UNITS_FOLDER}/{unit}.lock"), File::try_lock);
        Ok(Box::new(units.iter().map(lock).collect::<Result<Vec<File>, _>>()?))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DestError> {
        let path = self.path(name);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(io_error("read", &path)),
        }
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn ReadAt>>, DestError> {
        let path = self.path(name);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
            Ok(file) => Ok(Some(Box::new(file))),
        }
    }

    fn size(&self, name: &str) -> Result<Option<u64>, DestError> {
        // What cannot be looked at is as good as gone.
        Ok(fs::metadata(self.path(name)).ok().map(|found| found.len()))
    }

    fn records(&self) -> Result<Vec<String>, DestError> {
        let folder = self.path(UNITS_FOLDER);
        let mut records = Vec::new();
        for entry in entries(&folder)? {
            let entry = entry.map_err(io_error("list", &folder))?;
            let file_name = entry.file_name().to_string_lossy().into_owned();
            if is_record(&file_name) {
                records.push(format!("{UNITS_FOLDER}/{file_name}"));
            }
        }
        Ok(records)
    }

    fn write(&self, name: &str, bytes: Vec<u8>, executable: bool) -> Result<(), DestError> {
        let path = self.path(name);
        let (folder, file_name) = (path.parent().unwrap_or(&self.root), path.file_name().unwrap_or_default());
        fs::create_dir_all(folder).map_err(io_error("create", folder))?;
        let temporary = folder.join(format!("{TEMPORARY_PREFIX}{}", file_name.to_string_lossy()));
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&bytes)?;
            if executable {
                make_executable(&file)?;
            }
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| {
            let _best_effort = fs::remove_file(&temporary);
            io_error("write", &path)(source)
        })
    }

    fn publish(&self, parts: Vec<PartFile>) -> Result<Vec<Part>, DestError> {
        parts.into_iter().map(|part| Ok(part.publish()?)).collect()
    }

    fn remove(&self, name: &str) -> Result<(), DestError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn sweep(&self, named: &BTreeSet<&str>) -> Result<(), DestError> {
        for entry in entries(&self.root)? {
            let entry = entry.map_err(io_error("list", &self.root))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if Table::of_name(&name).is_some() {
                self.sweep_folder(&name, named)?;
            }
        }
        [UNITS_FOLDER, KIT_FOLDER, OWN_FOLDER].iter().try_for_each(|folder| self.sweep_folder(folder, named))
    }

    fn unreadable(&self, name: &str, error: io::Error) -> DestError {
        io_error("read", &self.path(name))(error)
    }
}

/// The entries of a folder; none when there is no such folder.
fn entries(folder: &Path) -> Result<impl Iterator<Item = io::Result<fs::DirEntry>>, DestError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        entries => Ok(Some(entries.map_err(io_error("list", folder))?).into_iter().flatten()),
    }
}

#[cfg(unix)]
fn make_executable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_file: &File) -> io::Result<()> {
    Ok(())
}
