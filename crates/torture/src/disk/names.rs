//! The tree of names of a disk that may lose power, with the files that hang on it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::content::Content;
use super::file::{FileState, Survival};
use super::write_sparse;

/// The number of a file or a directory.
type Node = usize;
const ROOT: Node = 0;

/// A change of a directory that has not been synced.
#[derive(Clone, Debug)]
enum Change {
    /// The name stands for this now. Where it stood in another directory before, it does not stand there any more, as
    /// soon as it stands here.
    Set {
        name: String,
        node: Node,
        moved_from: Option<(Node, String)>,
    },
    Unset(String),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    visible: BTreeMap<String, Node>,
    certain: BTreeMap<String, Node>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory(Directory),
    File { state: FileState, is_mapped: bool },
}

/// All that a disk holds, and may hold.
#[derive(Clone, Debug)]
pub struct World {
    nodes: Vec<Entry>,
}

impl Default for World {
    fn default() -> World {
        World { nodes: vec![Entry::Directory(Directory::default())] }
    }
}

impl World {
    fn directory(&mut self, node: Node) -> &mut Directory {
        match &mut self.nodes[node] {
            Entry::Directory(directory) => directory,
            Entry::File { .. } => unreachable!("the engine's directories are directories"),
        }
    }

    /// The file of a number that [`World::open`] gave.
    pub(super) fn file(&mut self, node: Node) -> &mut FileState {
        match &mut self.nodes[node] {
            Entry::File { state, .. } => state,
            Entry::Directory(_) => unreachable!("the engine's files are files"),
        }
    }

    fn find(&mut self, path: &Path) -> Option<Node> {
        let mut node = ROOT;
        for name in path.iter() {
            node = *self.directory(node).visible.get(name.to_str()?)?;
        }
        Some(node)
    }

    /// The directory in which a path's last name stands, and that name.
    fn place(&mut self, path: &Path) -> (Node, String) {
        let parent = path.parent().expect("a file stands in a directory");
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        (self.find(parent).expect("the directory was made"), name)
    }

    fn change(&mut self, directory: Node, change: Change) {
        let directory = self.directory(directory);
        match &change {
            Change::Set { name, node, .. } => directory.visible.insert(name.clone(), *node),
            Change::Unset(name) => directory.visible.remove(name),
        };
        directory.changes.push(change);
    }

    fn add(&mut self, path: &Path, entry: Entry) -> Node {
        let (directory, name) = self.place(path);
        let node = self.nodes.len();
        self.nodes.push(entry);
        self.change(directory, Change::Set { name, node, moved_from: None });
        node
    }

    pub(super) fn open(&mut self, path: &Path, empty: bool, operation: u64) -> Node {
        let node = match self.find(path) {
            Some(node) => node,
            None => self.add(path, Entry::File { state: FileState::default(), is_mapped: false }),
        };
        if empty {
            self.file(node).resize(operation, 0);
        }
        node
    }

    pub(super) fn make_directory(&mut self, path: &Path) {
        let mut made = std::path::PathBuf::new();
        for name in path.iter() {
            made.push(name);
            if self.find(&made).is_none() {
                self.add(&made, Entry::Directory(Directory::default()));
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        let (from_directory, from_name) = self.place(from);
        let (to_directory, name) = self.place(to);
        let node = self.find(from).expect("the system has renamed it");
        self.directory(from_directory).visible.remove(&from_name);
        // One change, for a rename is never half done.
        self.change(to_directory, Change::Set { name, node, moved_from: Some((from_directory, from_name)) });
    }

    pub(super) fn remove(&mut self, path: &Path) {
        let (directory, name) = self.place(path);
        self.change(directory, Change::Unset(name));
    }

    pub(super) fn remove_tree(&mut self, path: &Path) {
        let Some(node) = self.find(path) else { return };
        if let Entry::Directory(directory) = &self.nodes[node] {
            for name in directory.visible.keys().cloned().collect::<Vec<_>>() {
                self.remove_tree(&path.join(name));
            }
        }
        self.remove(path);
    }

    pub(super) fn sync_directory(&mut self, path: &Path) {
        let Some(node) = self.find(path) else { return };
        let changes = std::mem::take(&mut self.directory(node).changes);
        let mut certain: Vec<_> = self.certain_names();
        apply(&mut certain, node, &changes);
        for (entry, names) in self.nodes.iter_mut().zip(certain) {
            if let Entry::Directory(directory) = entry {
                directory.certain = names;
            }
        }
    }

    fn certain_names(&self) -> Vec<BTreeMap<String, Node>> {
        let certain = |entry: &Entry| match entry {
            Entry::Directory(directory) => directory.certain.clone(),
            Entry::File { .. } => BTreeMap::new(),
        };
        self.nodes.iter().map(certain).collect()
    }

    /// Stores through a map of this file will not be announced.
    pub(super) fn note_map(&mut self, node: Node) {
        if let Entry::File { is_mapped, .. } = &mut self.nodes[node] {
            *is_mapped = true;
        }
    }

    /// The files that have a writable map, with their paths.
    pub(super) fn mapped_files(&mut self) -> Vec<(std::path::PathBuf, &mut FileState)> {
        let mut paths = BTreeMap::new();
        self.walk(ROOT, Path::new(""), &mut |path, node| {
            paths.insert(node, path.to_path_buf());
        });
        let mapped = self.nodes.iter_mut().enumerate().filter_map(|(node, entry)| match entry {
            Entry::File { state, is_mapped: true } => Some((paths.remove(&node)?, state)),
            Entry::File { .. } | Entry::Directory(_) => None,
        });
        mapped.collect()
    }

    fn walk(&self, node: Node, path: &Path, visit: &mut impl FnMut(&Path, Node)) {
        let Entry::Directory(directory) = &self.nodes[node] else { return };
        for (name, node) in &directory.visible {
            let path = path.join(name);
            visit(&path, *node);
            self.walk(*node, &path, visit);
        }
    }

    /// Writes all that processes see into a directory.
    pub(super) fn lay_out(&self, root: &Path) -> io::Result<()> {
        let mut outcome = Ok(());
        self.walk(ROOT, Path::new(""), &mut |path, node| {
            let path = root.join(path);
            outcome = std::mem::replace(&mut outcome, Ok(())).and_then(|()| match &self.nodes[node] {
                Entry::Directory(_) => std::fs::create_dir_all(path),
                Entry::File { state, .. } => write_sparse(&path, &state.visible),
            });
        });
        outcome
    }

    /// The process dies: the machine goes on. With `evict`, it forgets what a failed sync has lost.
    pub fn without_process(&self, evict: bool) -> World {
        let mut world = self.clone();
        for entry in &mut world.nodes {
            if let Entry::File { state, is_mapped } = entry {
                *is_mapped = false;
                if evict {
                    state.evict();
                }
            }
        }
        world
    }

    /// The power fails: what the disk holds then, by chance.
    pub fn without_power(&self, survival: Survival, random: &mut fastrand::Rng) -> World {
        let mut names = self.certain_names();
        for (node, entry) in self.nodes.iter().enumerate() {
            let Entry::Directory(directory) = entry else { continue };
            let kept = match survival {
                Survival::Nothing => 0,
                Survival::Everything => directory.changes.len(),
                _ => random.usize(..=directory.changes.len()),
            };
            apply(&mut names, node, &directory.changes[..kept]);
        }
        let mut world = World::default();
        self.copy_surviving(ROOT, &names, survival, random, ROOT, &mut world);
        world
    }

    fn copy_surviving(
        &self,
        from: Node,
        names: &[BTreeMap<String, Node>],
        survival: Survival,
        random: &mut fastrand::Rng,
        to: Node,
        world: &mut World,
    ) {
        for (name, node) in &names[from] {
            let copy = world.nodes.len();
            match &self.nodes[*node] {
                Entry::Directory(_) => {
                    world.nodes.push(Entry::Directory(Directory::default()));
                    self.copy_surviving(*node, names, survival, random, copy, world);
                }
                Entry::File { state, .. } => {
                    let content: Content = state.survive(survival, random);
                    world.nodes.push(Entry::File { state: FileState::certain(content), is_mapped: false });
                }
            }
            let directory = world.directory(to);
            directory.visible.insert(name.clone(), copy);
            directory.certain.insert(name.clone(), copy);
        }
    }
}

/// Applies changes of one directory to the names of all.
fn apply(names: &mut [BTreeMap<String, Node>], directory: Node, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Set { name, node, moved_from } => {
                if let Some((from, old_name)) = moved_from
                    && names[*from].get(old_name) == Some(node)
                {
                    names[*from].remove(old_name);
                }
                names[directory].insert(name.clone(), *node);
            }
            Change::Unset(name) => {
                names[directory].remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(world: &World) -> Vec<String> {
        let mut names = Vec::new();
        world.walk(ROOT, Path::new(""), &mut |path, _| names.push(path.display().to_string()));
        names
    }

    #[test]
    fn a_name_is_certain_once_its_directory_was_synced() {
        let mut world = World::default();
        let mut random = fastrand::Rng::with_seed(3);
        world.make_directory(Path::new("a"));
        world.sync_directory(Path::new(""));
        world.open(Path::new("a/x"), true, 1);
        assert_eq!(names_of(&world.without_power(Survival::Nothing, &mut random)), ["a"]);
        world.sync_directory(Path::new("a"));
        world.rename(Path::new("a/x"), Path::new("a/y"));
        assert_eq!(names_of(&world.without_power(Survival::Nothing, &mut random)), ["a", "a/x"]);
        assert_eq!(names_of(&world.without_power(Survival::Everything, &mut random)), ["a", "a/y"]);
        world.remove_tree(Path::new("a"));
        assert_eq!(names_of(&world.without_power(Survival::Nothing, &mut random)), ["a", "a/x"]);
        assert_eq!(names_of(&world.without_power(Survival::Everything, &mut random)), Vec::<String>::new());
    }

    #[test]
    fn what_moves_between_directories_is_in_one_of_them() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut world = World::default();
        for name in ["a", "b"] {
            world.make_directory(Path::new(name));
        }
        world.open(Path::new("a/x"), true, 1);
        for directory in ["", "a", "b"] {
            world.sync_directory(Path::new(directory));
        }
        world.rename(Path::new("a/x"), Path::new("b/x"));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let names = names_of(&world.without_power(Survival::AnyOfEachSector, &mut random));
            seen.insert(names.join(" "));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a a/x b", "a b b/x"]);
    }
}
