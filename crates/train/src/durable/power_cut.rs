//! A disk for tests that tells what a power cut could leave.
//!
//! Operations are carried out and logged. From any prefix of the log, every
//! state can be made that a disk may be in afterwards, when it keeps no more
//! than it promised: entries of a folder that was not synced since may be
//! missing (any number of the last ones), and the contents of a file that was
//! not synced may be missing, zero, or torn in the middle.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::disk::{Disk, DiskFile, OsDisk};
use super::faults::scratch;

/// The real disk below `root`, and a log of what was done.
pub(crate) struct PowerCutDisk {
    root: PathBuf,
    log: Log,
}

type Log = Rc<RefCell<Vec<Op>>>;

#[derive(Clone)]
enum Op {
    Create(PathBuf),
    Write(PathBuf, Vec<u8>),
    Sync(PathBuf),
    CreateDir(PathBuf),
    Rename(PathBuf, PathBuf),
    SyncDir(PathBuf),
    RemoveFile(PathBuf),
    RemoveDirAll(PathBuf),
    Mark(u64),
}

impl PowerCutDisk {
    /// Watches what is done below `root`, an empty folder.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            log: Log::default(),
        }
    }

    /// Notes in the log that everything until now, called `mark`, was reported as saved.
    pub(crate) fn mark(&self, mark: u64) {
        self.log.borrow_mut().push(Op::Mark(mark));
    }

    /// Makes every state that a power cut could leave, in a new folder each, and
    /// hands it to `check` together with the last mark. Returns their number.
    pub(crate) fn for_each_state(&self, mut check: impl FnMut(&Path, Option<u64>)) -> usize {
        let log = self.log.borrow();
        let mut states = 0;
        for n in 0..=log.len() {
            let history = History::replay(&self.root, &log[..n]);
            for survivors in 0..=history.pending().count() {
                for loss in Loss::ALL {
                    if loss != Loss::Nothing && !history.has_unsynced_file() {
                        continue;
                    }
                    let dir = scratch().unwrap();
                    history.materialise(dir.path(), survivors, loss);
                    check(dir.path(), history.mark);
                    states += 1;
                }
            }
        }
        states
    }

    fn note(&self, op: Op) {
        self.log.borrow_mut().push(op);
    }
}

/// What becomes of bytes that were written but not synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    All,
    Zeros,
    Half,
}

impl Loss {
    const ALL: [Self; 4] = [Self::Nothing, Self::All, Self::Zeros, Self::Half];
}

/// Index of a file or folder; the root is 0.
type Node = usize;

/// A change of one folder's entries.
struct EntryOp {
    dir: Node,
    synced: bool,
    change: Change,
}

enum Change {
    Link(String, Node),
    Unlink(String),
    Rename(String, String),
}

#[derive(Default)]
struct History {
    /// Entries as the running system sees them.
    live: BTreeMap<Node, BTreeMap<String, Node>>,
    entries: Vec<EntryOp>,
    /// Contents and the length that is synced.
    files: BTreeMap<Node, (Vec<u8>, usize)>,
    nodes: usize,
    mark: Option<u64>,
}

impl History {
    fn replay(root: &Path, log: &[Op]) -> Self {
        let mut history = Self {
            nodes: 1,
            ..Self::default()
        };
        history.live.insert(0, BTreeMap::new());
        for op in log {
            history.apply(root, op);
        }
        history
    }

    fn apply(&mut self, root: &Path, op: &Op) {
        match op {
            Op::Create(path) => {
                let node = self.link(root, path);
                self.files.insert(node, (Vec::new(), 0));
            }
            Op::CreateDir(path) => {
                let node = self.link(root, path);
                self.live.insert(node, BTreeMap::new());
            }
            Op::Write(path, bytes) => {
                let node = self.node(root, path);
                self.files.get_mut(&node).unwrap().0.extend(bytes);
            }
            Op::Sync(path) => {
                let node = self.node(root, path);
                let (bytes, synced) = self.files.get_mut(&node).unwrap();
                *synced = bytes.len();
            }
            Op::SyncDir(path) => {
                let dir = self.node(root, path);
                self.entries
                    .iter_mut()
                    .filter(|e| e.dir == dir)
                    .for_each(|e| e.synced = true);
            }
            Op::Rename(from, to) => {
                let (dir, from) = self.place(root, from);
                let to = self.place(root, to).1;
                let entries = self.live.get_mut(&dir).unwrap();
                let node = entries.remove(&from).unwrap();
                entries.insert(to.clone(), node);
                self.change(dir, Change::Rename(from, to));
            }
            Op::RemoveFile(path) => self.unlink(root, path),
            Op::RemoveDirAll(path) => {
                let node = self.node(root, path);
                let names: Vec<String> = self.live[&node].keys().cloned().collect();
                names
                    .iter()
                    .for_each(|name| self.unlink(root, &path.join(name)));
                self.unlink(root, path);
            }
            Op::Mark(mark) => self.mark = Some(*mark),
        }
    }

    fn change(&mut self, dir: Node, change: Change) {
        self.entries.push(EntryOp {
            dir,
            synced: false,
            change,
        });
    }

    fn link(&mut self, root: &Path, path: &Path) -> Node {
        let (dir, name) = self.place(root, path);
        let node = self.nodes;
        self.nodes += 1;
        self.live.get_mut(&dir).unwrap().insert(name.clone(), node);
        self.change(dir, Change::Link(name, node));
        node
    }

    fn unlink(&mut self, root: &Path, path: &Path) {
        let (dir, name) = self.place(root, path);
        self.live.get_mut(&dir).unwrap().remove(&name);
        self.change(dir, Change::Unlink(name));
    }

    /// The folder and the name of `path`.
    fn place(&self, root: &Path, path: &Path) -> (Node, String) {
        let dir = self.node(root, path.parent().unwrap());
        (dir, path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    fn node(&self, root: &Path, path: &Path) -> Node {
        let inside = path.strip_prefix(root).unwrap();
        inside
            .iter()
            .fold(0, |node, name| self.live[&node][name.to_str().unwrap()])
    }

    fn pending(&self) -> impl Iterator<Item = &EntryOp> {
        self.entries.iter().filter(|e| !e.synced)
    }

    fn has_unsynced_file(&self) -> bool {
        self.files
            .values()
            .any(|(bytes, synced)| *synced < bytes.len())
    }

    /// Writes the state in which the first `survivors` pending changes are kept.
    fn materialise(&self, target: &Path, survivors: usize, loss: Loss) {
        let mut dirs: BTreeMap<Node, BTreeMap<&str, Node>> = BTreeMap::new();
        let mut pending = 0;
        for EntryOp {
            dir,
            synced,
            change,
        } in &self.entries
        {
            if !synced {
                pending += 1;
                if pending > survivors {
                    continue;
                }
            }
            let entries = dirs.entry(*dir).or_default();
            match change {
                Change::Link(name, node) => {
                    entries.insert(name, *node);
                }
                Change::Unlink(name) => {
                    entries.remove(name.as_str());
                }
                Change::Rename(from, to) => {
                    let node = entries.remove(from.as_str()).unwrap();
                    entries.insert(to, node);
                }
            }
        }
        self.write_dir(&dirs, 0, target, loss);
    }

    fn write_dir(
        &self,
        dirs: &BTreeMap<Node, BTreeMap<&str, Node>>,
        dir: Node,
        target: &Path,
        loss: Loss,
    ) {
        for (name, node) in dirs.get(&dir).into_iter().flatten() {
            let path = target.join(name);
            let Some((bytes, synced)) = self.files.get(node) else {
                fs::create_dir(&path).unwrap();
                self.write_dir(dirs, *node, &path, loss);
                continue;
            };
            let (kept, lost) = bytes.split_at(*synced);
            let lost = match loss {
                Loss::Nothing => lost.to_vec(),
                Loss::All => Vec::new(),
                Loss::Zeros => vec![0; lost.len()],
                Loss::Half => lost[..lost.len() / 2].to_vec(),
            };
            fs::write(&path, [kept, &lost].concat()).unwrap();
        }
    }
}

struct LoggedFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    log: Log,
}

impl Write for LoggedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.log
            .borrow_mut()
            .push(Op::Write(self.path.clone(), bytes[..n].to_vec()));
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for LoggedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.log.borrow_mut().push(Op::Sync(self.path.clone()));
        Ok(()) // the real disk need not hurry for a simulation
    }
}

impl Disk for PowerCutDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OsDisk.create(path)?;
        self.note(Op::Create(path.into()));
        Ok(Box::new(LoggedFile {
            file,
            path: path.into(),
            log: Rc::clone(&self.log),
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.note(Op::CreateDir(path.into()));
        OsDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Op::Rename(from.into(), to.into()));
        OsDisk.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note(Op::SyncDir(path.into()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.note(Op::RemoveFile(path.into()));
        OsDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.note(Op::RemoveDirAll(path.into()));
        OsDisk.remove_dir_all(path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_file_on;
    use super::*;

    #[test]
    fn a_durable_write_survives_and_a_plain_one_is_caught() {
        let dir = scratch().unwrap();
        let disk = PowerCutDisk::new(dir.path());
        let path = dir.path().join("a");
        write_file_on(&disk, &path, |w| w.write_all(b"one")).unwrap();
        disk.mark(1);
        write_file_on(&disk, &path, |w| w.write_all(b"two")).unwrap();
        disk.mark(2);
        let states = disk.for_each_state(|state, mark| {
            let found = fs::read(state.join("a")).ok();
            let found = found.as_deref();
            match mark {
                None => assert!([None, Some(&b"one"[..])].contains(&found)),
                Some(1) => assert!([Some(&b"one"[..]), Some(b"two")].contains(&found)),
                Some(_) => assert_eq!(found, Some(&b"two"[..])),
            }
        });
        assert!(states > 20, "{states}");

        let dir = scratch().unwrap();
        let disk = PowerCutDisk::new(dir.path());
        let path = dir.path().join("a");
        disk.create(&path).unwrap().write_all(b"one").unwrap();
        disk.mark(1);
        let mut torn = 0;
        disk.for_each_state(|state, mark| {
            let whole = fs::read(state.join("a")).is_ok_and(|bytes| bytes == b"one");
            torn += usize::from(mark == Some(1) && !whole);
        });
        assert!(
            torn >= 4,
            "the simulation must see that nothing was synced: {torn}"
        );
    }
}
