//! Retention: the trim horizon moves behind what has outlived its time, first in the control log, then on disk.

use super::StreamInner;
use crate::control::{Horizon, HorizonAdvanced};
use crate::error::{Kind, Result};
use crate::format::Position;

impl StreamInner {
    /// Advances the horizon behind what has outlived its retention by the store's expiry clock.
    pub(crate) fn expire(&self) -> Result<()> {
        let Some(retention_ms) = self.config.read().retention.ms() else { return Ok(()) };
        let expired_ms = self.engine.expiry.lock().expired_before_ms(retention_ms);
        self.advance_horizon(expired_ms)
    }

    /// Stores how far the expiry clock has come, so that the next open goes on there.
    pub(crate) fn store_expiry_clock(&self) -> Result<()> {
        let clock = &self.engine.environment.clock;
        // A stream that had nothing to expire yet has not looked at the time; a jump is reported by the next open.
        let _reported_by_the_next_open = self.engine.expiry.lock().tick(clock.wall_ms(), clock.monotonic_ms());
        let _one_at_a_time = self.expiring.lock();
        let horizon = *self.horizon.read();
        self.store_horizon(horizon)
    }

    fn advance_horizon(&self, expired_ms: u64) -> Result<()> {
        let _one_at_a_time = self.expiring.lock();
        let segments = self.log.segments();
        // Nothing is older than the first segment, so most calls end here.
        if segments.first().is_none_or(|first| first.first_arrival_ms >= expired_ms) {
            return Ok(());
        }
        let expired = self.log.position_of_time(expired_ms)?;
        if expired > self.log.durable() {
            // Under `os` nobody else syncs what an idle stream holds. Where it fails, the log is poisoned, and what it
            // has made durable goes on to expire.
            let _told_by_the_next_append = self.log.sync_all();
        }
        let position = expired.min(self.log.durable());
        let old = *self.horizon.read();
        let old_position = Position::new(u32::try_from(old.segment).unwrap_or(u32::MAX), old.offset);
        if position > old_position {
            let sequence = self.sequence_at(position)?.max(old.sequence);
            let new = Horizon { segment: u64::from(position.segment), offset: position.offset, sequence };
            self.store_horizon(new)?;
            *self.horizon.write() = new;
            self.forget_expired_shards();
        }
        self.log.trim(position.max(old_position))?;
        Ok(())
    }

    pub(super) fn sequence_at(&self, position: Position) -> Result<u64> {
        let limit = self.log.published();
        let Some(located) = self.log.locate(position, limit)? else { return Ok(self.log.next_sequence()) };
        let head = located.file.frame(located.offset, located.end)?;
        Ok(head.map_or(0, |head| head.header.first_sequence))
    }

    /// The sequence before which no record is kept.
    pub(crate) fn horizon_sequence(&self) -> u64 {
        self.horizon.read().sequence
    }

    /// A sequence that no record at or behind a place is below, the highest that is certain.
    pub(super) fn sequence_before(&self, position: Position) -> Result<u64> {
        let (end, next_sequence) = self.log.end();
        if position >= end { Ok(next_sequence) } else { self.sequence_at(position) }
    }

    fn store_horizon(&self, horizon: Horizon) -> Result<()> {
        let expiry_clock_ms = self.engine.expiry.lock().now_ms();
        let command = HorizonAdvanced { id: self.id, horizon, expiry_clock_ms }.into();
        match self.engine.command(&command) {
            // The stream is going anyway.
            Err(error) if error.kind() == Kind::StreamDeleting || error.kind() == Kind::StreamNotFound => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
