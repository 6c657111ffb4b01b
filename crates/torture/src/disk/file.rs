//! One file as a disk that may lose power sees it: what processes see, what is certain, and in between every version
//! of every sector that the disk may hold.

use std::collections::BTreeMap;
use std::ops::Range;

use super::content::{Content, PAGE_SECTORS, SECTOR_BYTES, Sector};

/// Which of the later writes a loss of power leaves on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing but what was synced.
    Nothing,
    /// All that was written.
    Everything,
    /// Of each sector some version, one as likely as the other.
    AnyOfEachSector,
    /// Each page as it was written last, or not at all; this many of 8 arrive.
    SomePages(u8),
    /// All that was written before this operation, and what comes behind it not.
    Before(u64),
    /// What was written from this operation on, and what comes before it not.
    From(u64),
}

/// A version of a sector, and the operation that made it.
type Version = (u64, Sector);

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub struct FileState {
    /// What processes see.
    pub visible: Content,
    certain: Content,
    // Behind what is certain, oldest first.
    versions: BTreeMap<usize, Vec<Version>>,
    lengths: Vec<(u64, usize)>,
}

impl FileState {
    /// A file that is on the disk as it is.
    pub fn certain(content: Content) -> FileState {
        FileState { visible: content.clone(), certain: content, ..FileState::default() }
    }

    /// A process wrote bytes; with a page, all of it becomes dirty.
    pub fn write(&mut self, operation: u64, bytes: &[u8], offset: usize) {
        let before = self.visible.length();
        let pages = self.visible.write(bytes, offset);
        self.note_length(operation, before);
        self.note_sectors(operation, pages.start * PAGE_SECTORS..pages.end * PAGE_SECTORS);
    }

    /// A process cut the file, or extended it.
    pub fn resize(&mut self, operation: u64, len: usize) {
        let before = self.visible.length();
        self.visible.resize(len);
        self.note_length(operation, before);
        if len < before {
            self.note_sectors(operation, len / SECTOR_BYTES..before.div_ceil(SECTOR_BYTES));
        }
    }

    fn note_length(&mut self, operation: u64, before: usize) {
        if self.visible.length() != before {
            self.lengths.push((operation, self.visible.length()));
        }
    }

    fn note_sectors(&mut self, operation: u64, sectors: Range<usize>) {
        for sector in sectors {
            let now = self.visible.sector(sector);
            let versions = self.versions.entry(sector).or_default();
            let last = versions.last().map_or_else(|| self.certain.sector(sector), |(_, last)| *last);
            if now != last {
                versions.push((operation, now));
            }
            if versions.is_empty() {
                self.versions.remove(&sector);
            }
        }
    }

    /// All that was written is on the disk. Pages that a failed sync has made clean are not written.
    pub fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.versions) {
            let (_, last) = versions.last().expect("no entry is empty");
            self.certain.set_sector(sector, last);
        }
        self.lengths.clear();
        self.certain.resize(self.visible.length());
    }

    /// A sync failed: of each sector that was to be written some version is on the disk, and the kernel calls all of
    /// them clean.
    pub fn fail_to_sync(&mut self, random: &mut fastrand::Rng) {
        for (sector, versions) in std::mem::take(&mut self.versions) {
            if let Some(index) = random.usize(..=versions.len()).checked_sub(1) {
                self.certain.set_sector(sector, &versions[index].1);
            }
        }
        self.lengths.clear();
        self.certain.resize(self.visible.length());
    }

    /// Memory was short: pages that the kernel calls clean are read from the disk again, so that what a failed sync
    /// has lost is gone for processes too.
    pub fn evict(&mut self) {
        let mut read_again = self.certain.clone();
        read_again.resize(self.visible.length());
        for (sector, versions) in &self.versions {
            let (_, last) = versions.last().expect("no entry is empty");
            read_again.set_sector(*sector, last);
        }
        self.visible = read_again;
    }

    /// What is on the disk after a loss of power.
    pub fn survive(&self, survival: Survival, random: &mut fastrand::Rng) -> Content {
        let mut content = self.certain.clone();
        let longest = self.lengths.iter().map(|(_, len)| *len).max().unwrap_or(0).max(content.length());
        content.resize(longest);
        let mut arriving = (usize::MAX, false);
        for (sector, versions) in &self.versions {
            let chosen = match survival {
                Survival::Nothing => None,
                Survival::Everything => versions.last(),
                Survival::AnyOfEachSector => {
                    random.usize(..=versions.len()).checked_sub(1).map(|index| &versions[index])
                }
                Survival::SomePages(eighths) => {
                    let page = sector / PAGE_SECTORS;
                    if page != arriving.0 {
                        arriving = (page, random.u8(..8) < eighths);
                    }
                    versions.last().filter(|_| arriving.1)
                }
                Survival::Before(end) => versions.iter().rfind(|(operation, _)| *operation < end),
                Survival::From(start) => versions.last().filter(|(operation, _)| *operation >= start),
            };
            if let Some((_, bytes)) = chosen {
                content.set_sector(*sector, bytes);
            }
        }
        if survival != Survival::Nothing && survival != Survival::Everything {
            self.tear(&mut content, random);
        }
        content.resize(self.surviving_length(survival, random));
        content
    }

    /// One sector was being written when the power failed: a part of its bytes is new, the rest is old.
    fn tear(&self, content: &mut Content, random: &mut fastrand::Rng) {
        let Some((sector, versions)) = random.choice(self.versions.iter()) else { return };
        let (_, new) = random.choice(versions.iter()).expect("no entry is empty");
        let mut torn = content.sector(*sector);
        let cut = random.usize(..SECTOR_BYTES);
        if random.bool() {
            torn[..cut].copy_from_slice(&new[..cut]);
        } else {
            torn[cut..].copy_from_slice(&new[cut..]);
        }
        content.set_sector(*sector, &torn);
    }

    fn surviving_length(&self, survival: Survival, random: &mut fastrand::Rng) -> usize {
        let last = self.lengths.last().map(|(_, len)| *len);
        let chosen = match survival {
            Survival::Nothing => None,
            Survival::Everything => last,
            Survival::Before(end) => self.lengths.iter().rfind(|(operation, _)| *operation < end).map(|(_, len)| *len),
            Survival::From(start) => self.lengths.last().filter(|(at, _)| *at >= start).map(|(_, len)| *len),
            Survival::AnyOfEachSector | Survival::SomePages(_) => {
                random.usize(..=self.lengths.len()).checked_sub(1).map(|index| self.lengths[index].1)
            }
        };
        chosen.unwrap_or(self.certain.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(content: &Content) -> Vec<u8> {
        (0..content.length().div_ceil(SECTOR_BYTES))
            .flat_map(|sector| content.sector(sector))
            .take(content.length())
            .collect()
    }

    #[test]
    fn a_loss_of_power_keeps_what_was_synced_and_any_version_of_what_was_not() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut file = FileState::default();
        file.write(1, &[1; 1024], 0);
        file.sync();
        file.write(2, &[2; 512], 0);
        file.write(3, &[3; 1536], 0);
        assert_eq!(bytes(&file.survive(Survival::Nothing, &mut random)), [1; 1024]);
        assert_eq!(bytes(&file.survive(Survival::Everything, &mut random)), [3; 1536]);
        let before = bytes(&file.survive(Survival::Before(3), &mut fastrand::Rng::with_seed(2)));
        assert_eq!(before.len(), 1024);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.insert(file.survive(Survival::AnyOfEachSector, &mut random).sector(0)[0]);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn what_a_failed_sync_has_lost_no_later_sync_brings_to_the_disk() {
        let lost = (0..100).any(|seed| {
            let mut file = FileState::default();
            file.write(1, &[7; 512], 0);
            file.fail_to_sync(&mut fastrand::Rng::with_seed(seed));
            file.sync();
            let on_disk = file.survive(Survival::Everything, &mut fastrand::Rng::new());
            assert_eq!(file.visible.sector(0)[0], 7, "processes see it nevertheless");
            on_disk.sector(0)[0] == 0
        });
        assert!(lost);
    }

    #[test]
    fn a_page_that_is_written_again_brings_what_was_lost_with_it() {
        for seed in 0..100 {
            let mut file = FileState::default();
            file.write(1, &[7; 512], 0);
            file.fail_to_sync(&mut fastrand::Rng::with_seed(seed));
            file.write(2, &[8; 1], 600);
            file.sync();
            assert_eq!(file.survive(Survival::Nothing, &mut fastrand::Rng::new()).sector(0)[0], 7);
        }
    }
}
