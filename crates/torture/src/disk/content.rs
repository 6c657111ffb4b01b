//! The bytes of a file: pages that are shared between copies, so that a snapshot of a whole disk costs next to nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What the kernel writes back as one, in bytes.
pub const PAGE_BYTES: usize = 4096;
/// What a disk writes as one, in bytes.
pub const SECTOR_BYTES: usize = 512;
/// The sectors of a page.
pub const PAGE_SECTORS: usize = PAGE_BYTES / SECTOR_BYTES;

/// A sector's bytes.
pub type Sector = [u8; SECTOR_BYTES];

/// A file's bytes; pages that are not there are zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pages: BTreeMap<usize, Arc<[u8; PAGE_BYTES]>>,
    len: usize,
}

impl Content {
    /// The length in bytes.
    pub fn length(&self) -> usize {
        self.len
    }

    /// Cuts the content, or extends it with zeros.
    pub fn resize(&mut self, len: usize) {
        if len < self.len {
            let first_gone = len.div_ceil(PAGE_BYTES);
            self.pages.split_off(&first_gone);
            if !len.is_multiple_of(PAGE_BYTES)
                && let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES))
            {
                Arc::make_mut(page)[len % PAGE_BYTES..].fill(0);
            }
        }
        self.len = len;
    }

    /// Writes bytes, extending the content where they end behind it. Returns the pages that they touch.
    pub fn write(&mut self, bytes: &[u8], offset: usize) -> std::ops::Range<usize> {
        let end = offset + bytes.len();
        self.len = self.len.max(end);
        let mut at = offset;
        while at < end {
            let (page, start) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let part = &bytes[at - offset..(at - offset + PAGE_BYTES - start).min(bytes.len())];
            let is_zero = part.iter().all(|byte| *byte == 0);
            if !is_zero || self.pages.contains_key(&page) {
                let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
                Arc::make_mut(page)[start..start + part.len()].copy_from_slice(part);
            }
            at += part.len();
        }
        offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES)
    }

    /// A sector, counted from the file's start.
    pub fn sector(&self, sector: usize) -> Sector {
        let start = sector % PAGE_SECTORS * SECTOR_BYTES;
        let page = self.pages.get(&(sector / PAGE_SECTORS));
        page.map_or([0; SECTOR_BYTES], |page| page[start..start + SECTOR_BYTES].try_into().expect("a sector"))
    }

    /// Puts a sector without changing the length.
    pub fn set_sector(&mut self, sector: usize, bytes: &Sector) {
        let len = self.len;
        self.write(bytes, sector * SECTOR_BYTES);
        self.len = len;
    }

    /// The pages that are not all zeros, with their numbers.
    pub fn pages(&self) -> impl Iterator<Item = (usize, &[u8; PAGE_BYTES])> {
        self.pages.iter().map(|(number, page)| (*number, &**page))
    }

    /// Whether a page holds these bytes.
    pub fn page_is(&self, page: usize, bytes: &[u8]) -> bool {
        self.pages.get(&page).map_or_else(|| bytes.iter().all(|byte| *byte == 0), |own| own[..bytes.len()] == *bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_equals_a_vector() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut content, mut vector) = (Content::default(), Vec::new());
        for _ in 0..2_000 {
            let (offset, len) = (random.usize(..20_000), random.usize(..9_000));
            if random.u8(..) < 40 {
                content.resize(offset);
                vector.resize(offset, 0);
            } else {
                let bytes: Vec<u8> = vec![random.u8(..3); len];
                content.write(&bytes, offset);
                vector.resize(vector.len().max(offset + len), 0);
                vector[offset..offset + len].copy_from_slice(&bytes);
            }
            assert_eq!(content.length(), vector.len());
            let sector = random.usize(..60);
            let mut expected = vector.get(sector * SECTOR_BYTES..).unwrap_or_default().to_vec();
            expected.resize(SECTOR_BYTES, 0);
            assert_eq!(content.sector(sector)[..], expected[..]);
        }
    }
}
