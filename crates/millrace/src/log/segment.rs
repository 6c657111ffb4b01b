//! One segment of a log: what is known of it, and its file while somebody uses it.
//!
//! A sealed segment costs the heap its summary alone; its file is opened and mapped when a reader comes and let go
//! when the last one leaves.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Kind, Result};
use crate::format::SEGMENT_BYTES_LIMIT;
use crate::format::frame::FrameHead;
use crate::format::index::{self, Body, DAMAGED, Directory, INDEX_HEADER_BYTES, ShardRuns};
use crate::format::index::{Summary, WAYPOINT_BYTES, Waypoint};
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::format::{FORMAT_VERSION, Position};
use crate::map::{PrivateMap, SharedMap, WritableMap};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, OnceLock, RwLock};

/// How many bytes are made ready for stores at a time: whoever maps memory in this process waits meanwhile.
const POPULATE_STEP_BYTES: u32 = 64 << 10;

/// The file of a segment.
pub(crate) fn segment_path(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("{segment:08x}.seg"))
}

/// The index of a sealed segment.
pub(crate) fn index_path(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("{segment:08x}.idx"))
}

/// An open segment file and its map. Whoever holds one keeps the bytes readable: the file is not reused meanwhile.
#[derive(Debug)]
pub struct SegmentFile {
    /// The segment's number.
    pub segment: u32,
    /// The incarnation that its frames' checksums are mixed with.
    pub incarnation: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u32,
    map: OnceLock<SharedMap>,
    // `None` once tried in vain.
    stores: OnceLock<Option<WritableMap>>,
}

impl SegmentFile {
    pub(crate) fn new(segment: u32, incarnation: u64, file: Arc<dyn DiskFile>, bytes: u32) -> SegmentFile {
        // A file system without locks refuses the recycler's claim too, and then no file is used again.
        let _claim_fails_likewise = file.share();
        SegmentFile { segment, incarnation, file, bytes, map: OnceLock::new(), stores: OnceLock::new() }
    }

    /// Stores a small frame without a call into the kernel; `false` where that cannot be done here. The caller holds
    /// the log's append lock.
    pub(crate) fn store(&self, frame: &[u8], offset: u32) -> bool {
        let map = self.stores.get_or_init(|| self.file.map_writable(self.bytes as usize).ok());
        map.as_ref().is_some_and(|map| map.store(frame, offset as usize))
    }

    /// Spares the stores between the two offsets their page faults. It is a help only: where it fails, they are slower.
    pub(crate) fn populate_stores(&self, from: u32, until: u32) {
        let Some(map) = self.stores.get().and_then(Option::as_ref) else { return };
        for start in (from..until).step_by(POPULATE_STEP_BYTES as usize) {
            let end = until.min(start.saturating_add(POPULATE_STEP_BYTES));
            if map.populate(start as usize..end as usize).is_err() {
                return;
            }
        }
    }

    /// The shared map, made on first use.
    pub fn map(&self) -> Result<&SharedMap> {
        if self.map.get().is_none() {
            // A file that was cut to nothing cannot be mapped; the one byte that is mapped instead is never read.
            let map = self.file.map(self.bytes.max(1) as usize).map_err(|error| self.failed("map", error))?;
            // Of two that map at once one map is dropped unseen.
            let _lost = self.map.set(map);
        }
        Ok(self.map.get().expect("set above"))
    }

    /// Maps the pages of a range now rather than at the first look at each; whatever hinders that hinders nothing else.
    pub fn populate(&self, range: std::ops::Range<usize>) {
        if let Ok(map) = self.map() {
            map.populate(range);
        }
    }

    /// The claim that the file's bytes stay, without the shared map.
    #[must_use]
    pub fn hold(&self) -> SegmentHold {
        SegmentHold { segment: self.segment, file: Arc::clone(&self.file), bytes: self.bytes }
    }

    /// The length of the file in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u32 {
        self.bytes
    }

    /// The frame at `offset`, if there is an intact head of one that ends before `end`; `FormatNewer` where a newer
    /// version wrote it, which is no damage.
    pub(crate) fn frame(&self, offset: u32, end: u32) -> Result<Option<FrameHead<'_>>> {
        let bytes = self.map()?.bytes(offset as usize..end.min(self.bytes) as usize);
        bytes.map_or(Ok(None), |bytes| self.head(bytes, offset))
    }

    /// The same, of bytes of the map that begin at `offset`.
    pub(crate) fn head<'a>(&self, bytes: &'a [u8], offset: u32) -> Result<Option<FrameHead<'a>>> {
        if let Some(head) = FrameHead::decode(bytes, self.incarnation, offset) {
            return Ok(Some(head));
        }
        let Some(version) = FrameHead::newer_version(bytes, self.incarnation, offset) else { return Ok(None) };
        let place = Position::new(self.segment, offset);
        let message = format!(
            "this build reads frames up to version {FORMAT_VERSION}, found version {version} at {place}; upgrade Millrace"
        );
        Err(Error::new(Kind::FormatNewer, message))
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::io(format!("could not {what} segment {}", self.segment), error)
    }
}

/// Keeps a segment's file from being used again, even if the store is closed meanwhile.
#[derive(Clone, Debug)]
pub struct SegmentHold {
    /// The segment's number.
    pub segment: u32,
    file: Arc<dyn DiskFile>,
    bytes: u32,
}

impl SegmentHold {
    /// A private copy-on-write map of the whole file, for a language that may write into it. It holds the file too.
    ///
    /// # Errors
    /// `Io` where the file cannot be mapped.
    pub fn map_private(&self) -> Result<SegmentView> {
        let failed = |error| Error::io(format!("could not map segment {}", self.segment), error);
        let map = self.file.map_private(self.bytes as usize).map_err(failed)?;
        Ok(SegmentView { map, _file: Arc::clone(&self.file) })
    }

    /// The length of the file in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u32 {
        self.bytes
    }
}

/// A private map of a segment and, through the open file, the claim that its bytes stay.
#[derive(Debug)]
pub struct SegmentView {
    map: PrivateMap,
    _file: Arc<dyn DiskFile>,
}

impl std::ops::Deref for SegmentView {
    type Target = PrivateMap;

    fn deref(&self) -> &PrivateMap {
        &self.map
    }
}

/// What is known of a segment that is in the log.
#[derive(Debug)]
pub struct Segment {
    /// The segment's number.
    pub index: u32,
    /// The sequence of its first frame.
    pub first_sequence: u64,
    /// When its first frame arrived.
    pub first_arrival_ms: u64,
    directory: PathBuf,
    incarnation: u64,
    // Where the last frame ends; 0 while frames are still appended.
    end: AtomicU32,
    summary: OnceLock<Summary>,
    waypoints: Mutex<Vec<Waypoint>>,
    open: RwLock<Weak<SegmentFile>>,
}

impl Segment {
    /// A segment that frames are appended to; its opening frame is written.
    pub(crate) fn active(directory: &Path, file: &Arc<SegmentFile>, opening: Waypoint) -> Segment {
        Segment {
            index: file.segment,
            first_sequence: opening.sequence,
            first_arrival_ms: opening.arrival_ms,
            directory: directory.to_path_buf(),
            incarnation: file.incarnation,
            end: AtomicU32::new(0),
            summary: OnceLock::new(),
            waypoints: Mutex::new(vec![opening]),
            open: RwLock::new(Arc::downgrade(file)),
        }
    }

    /// A segment whose index is on disk.
    pub(crate) fn sealed(directory: &Path, summary: Summary) -> Segment {
        Segment {
            index: summary.segment,
            first_sequence: summary.first_sequence,
            first_arrival_ms: summary.first_arrival_ms,
            directory: directory.to_path_buf(),
            incarnation: summary.incarnation,
            end: AtomicU32::new(summary.end),
            summary: OnceLock::from(summary),
            waypoints: Mutex::new(Vec::new()),
            open: RwLock::new(Weak::new()),
        }
    }

    /// Where the last frame ends, once no more are appended.
    pub fn end(&self) -> Option<u32> {
        Some(self.end.load(Ordering::Acquire)).filter(|end| *end != 0)
    }

    pub(crate) fn finish(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    /// The summary, once the segment is sealed.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.get()
    }

    pub(crate) fn seal(&self, summary: Summary) {
        if self.summary.set(summary).is_ok() {
            self.waypoints.lock().clear();
        }
    }

    /// Notes a frame, if it stands far enough behind the last one noted.
    pub(crate) fn note(&self, waypoint: Waypoint) {
        let mut waypoints = self.waypoints.lock();
        if waypoints.last().is_none_or(|last| waypoint.offset - last.offset >= WAYPOINT_BYTES) {
            waypoints.push(waypoint);
        }
    }

    /// The last waypoint that `before` holds for, or the segment's first frame.
    pub(crate) fn waypoint(&self, disk: &dyn Disk, before: impl Fn(&Waypoint) -> bool) -> Waypoint {
        let first =
            Waypoint { offset: SEGMENT_HEADER_BYTES, sequence: self.first_sequence, arrival_ms: self.first_arrival_ms };
        let find = |waypoints: &[Waypoint]| waypoints[..waypoints.partition_point(&before)].last().copied();
        let noted = if self.summary().is_some() {
            // An index that cannot be read costs a walk from the segment's start, nothing else.
            self.read_waypoints(disk).ok().and_then(|waypoints| find(&waypoints))
        } else {
            find(&self.waypoints.lock())
        };
        noted.unwrap_or(first)
    }

    /// The body of the index on disk.
    pub(crate) fn read_index(&self, disk: &dyn Disk) -> Result<Body> {
        self.read_index_of(disk, |_shard| true)
    }

    /// The runs of a shard as the index on disk has them, and the frames that were damaged when it was built: which runs
    /// those have, only they can say.
    pub(crate) fn read_runs_of(&self, disk: &dyn Disk, shard: u32) -> Result<(ShardRuns, Vec<u32>)> {
        if let Some((file, directory)) = self.read_directory(disk)? {
            let bytes = self.read_range(&*file, directory.runs_of(shard))?;
            return Ok((directory.decode_runs(shard, &bytes)?, Vec::new()));
        }
        let body = self.read_index_of(disk, |of| [shard, DAMAGED].contains(&of))?;
        let damaged = body.shards.iter().filter(|(of, _)| *of == DAMAGED).flat_map(|(_, places)| places);
        let damaged = damaged.map(|place| place.frame).collect();
        let mut places: Vec<_> = body.shards.into_iter().flat_map(|(_, places)| places).collect();
        places.sort_unstable_by_key(|place| (place.frame, place.run));
        Ok((ShardRuns { places, details: Vec::new() }, damaged))
    }

    fn read_waypoints(&self, disk: &dyn Disk) -> Result<Vec<Waypoint>> {
        match self.read_directory(disk)? {
            Some((_file, directory)) => Ok(directory.waypoints),
            None => self.read_index_of(disk, |_shard| false).map(|body| body.waypoints),
        }
    }

    fn read_index_of(&self, disk: &dyn Disk, wanted: impl Fn(u32) -> bool) -> Result<Body> {
        let (summary, body) = index::decode_of(&read_whole(disk, &index_path(&self.directory, self.index))?, wanted)?;
        self.check_incarnation(&summary).map(|()| body)
    }

    /// The index up to its runs, where it is one that describes them.
    fn read_directory(&self, disk: &dyn Disk) -> Result<Option<(Arc<dyn DiskFile>, Directory)>> {
        let file = disk.open(&index_path(&self.directory, self.index), Access::Read);
        let file = file.map_err(|error| self.failed("open the index of", error))?;
        let header = self.read_range(&*file, 0..INDEX_HEADER_BYTES)?;
        let Some(bytes) = Directory::bytes_of(&header)? else { return Ok(None) };
        let directory = Directory::decode(&self.read_range(&*file, 0..bytes)?)?;
        self.check_incarnation(&directory.summary)?;
        Ok(Some((file, directory)))
    }

    /// A part of the index file, which must have it: no memory is asked for on the word of a damaged length.
    fn read_range(&self, file: &dyn DiskFile, range: Range<usize>) -> Result<Vec<u8>> {
        let failed = |error| self.failed("read the index of", error);
        if range.end as u64 > file.bytes().map_err(failed)? {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let mut bytes = vec![0; range.len()];
        file.read_at(&mut bytes, range.start as u64).map_err(failed)?;
        Ok(bytes)
    }

    fn check_incarnation(&self, summary: &Summary) -> Result<()> {
        if summary.incarnation == self.incarnation {
            return Ok(());
        }
        let path = index_path(&self.directory, self.index);
        let message = format!("{} is the index of another incarnation of the segment", path.display());
        Err(Error::new(Kind::Corrupt, message))
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::io(format!("could not {what} segment {}", self.index), error)
    }

    /// The file, opened if nobody has it open.
    pub(crate) fn open(&self, disk: &dyn Disk) -> Result<Arc<SegmentFile>> {
        if let Some(file) = self.open.read().upgrade() {
            return Ok(file);
        }
        let mut open = self.open.write();
        if let Some(file) = open.upgrade() {
            return Ok(file);
        }
        let file = open_file(disk, &self.directory, self.index, self.incarnation, Access::Read)?;
        *open = Arc::downgrade(&file);
        Ok(file)
    }

    /// Gives the file away by `rename`, if nobody in any process has it open. Whoever comes meanwhile, with this
    /// segment from before it was taken out of the log, waits and then finds no file of its name.
    pub(crate) fn give_away(&self, file: &dyn DiskFile, rename: impl FnOnce() -> Result<()>) -> Result<bool> {
        let _nobody_opens_meanwhile = self.open.write();
        // A file system without locks cannot tell who maps a file: there, none is used again.
        if !file.claim().unwrap_or(false) {
            return Ok(false);
        }
        rename().map(|()| true)
    }
}

/// Opens the file of a segment whose incarnation is known.
pub(crate) fn open_file(
    disk: &dyn Disk,
    directory: &Path,
    segment: u32,
    incarnation: u64,
    access: Access,
) -> Result<Arc<SegmentFile>> {
    let path = segment_path(directory, segment);
    let failed = |error| Error::io(format!("could not open {}", path.display()), error);
    let file = disk.open(&path, access).map_err(failed)?;
    let bytes = file.bytes().map_err(failed)?;
    let bytes = u32::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= SEGMENT_BYTES_LIMIT)
        .ok_or_else(|| Error::new(Kind::Corrupt, format!("{} is {bytes} bytes long, not a segment", path.display())))?;
    Ok(Arc::new(SegmentFile::new(segment, incarnation, file, bytes)))
}

/// Reads the header page of a segment file.
pub(crate) fn read_header(disk: &dyn Disk, directory: &Path, segment: u32) -> Result<SegmentHeader> {
    let path = segment_path(directory, segment);
    let failed = |error| Error::io(format!("could not read the header of {}", path.display()), error);
    let file = disk.open(&path, Access::Read).map_err(failed)?;
    let mut page = vec![0; SEGMENT_HEADER_BYTES as usize];
    match file.read_at(&mut page, 0) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(Error::new(Kind::Corrupt, format!("{} is shorter than its header", path.display())))
        }
        Err(error) => Err(failed(error)),
        Ok(()) => {
            let header = SegmentHeader::decode(&page).map_err(|error| error.in_file(&path))?;
            if header.segment == segment {
                return Ok(header);
            }
            let message = format!("{} says that it is segment {}", path.display(), header.segment);
            Err(Error::new(Kind::Corrupt, message))
        }
    }
}

/// Reads a small file whole.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::io(format!("could not read {}", path.display()), error);
    let file = disk.open(path, Access::Read).map_err(failed)?;
    let bytes = usize::try_from(file.bytes().map_err(failed)?)
        .map_err(|_| Error::new(Kind::Corrupt, format!("{} is too long", path.display())))?;
    let mut content = vec![0; bytes];
    file.read_at(&mut content, 0).map_err(failed)?;
    Ok(content)
}

/// Writes a small file so that it is there whole, or not at all, whatever happens.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let failed = |error| Error::io(format!("could not write {}", path.display()), error);
    let file = disk.open(&temporary, Access::Create).map_err(failed)?;
    file.write_at(content, 0).map_err(failed)?;
    file.sync().map_err(failed)?;
    disk.rename(&temporary, path).map_err(failed)?;
    let directory = path.parent().expect("a file stands in a directory");
    disk.sync_directory(directory).map_err(failed)
}
