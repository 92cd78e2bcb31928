//! The life of a slot's tokens as a plot: made, renewed, overlap, expiry, each token in a lane of its own.
//!
//! Geometry only, in the units of the plot's view box; the template draws it, and a table says the same.

use std::time::Duration;

use mintkeep_protocol::keep::history::{Ending, HistoryEntry};
use mintkeep_protocol::keep::slot::TokenVersion;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::console::wording::told;

/// How wide the view box is: about as many units as a phone has pixels, so that its letters stay readable.
pub(super) const WIDTH: i64 = 340;
/// Where time begins: left of it stand the versions.
const LEFT: i64 = 34;
/// How high a lane is.
const LANE: i64 = 22;
/// Most lanes. Older tokens are in the table only.
const LANES_MAX: usize = 6;
/// How long it may be between two ticks of the axis; the shortest is taken that needs no more ticks than
/// [`TICKS_MAX`].
const STEPS: [Duration; 13] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(6),
    Duration::from_hours(12),
    DAY,
    Duration::from_hours(2 * 24),
    Duration::from_hours(7 * 24),
    Duration::from_hours(30 * 24),
    Duration::from_hours(90 * 24),
];
const DAY: Duration = Duration::from_hours(24);
/// Most ticks: their words must not meet on a phone.
const TICKS_MAX: u32 = 6;
/// How near to the right end a tick may stand: half of its words.
const TICK_MARGIN: i64 = 16;
/// The shortest time that the plot spans.
const SPAN_MIN: Duration = Duration::from_mins(1);

/// What is known of a slot's tokens.
pub(super) struct Life<'l> {
    /// What happened, the latest first.
    pub history: &'l [HistoryEntry],
    /// The token that is held: which, made when, good until when.
    pub kept: Option<(TokenVersion, Timestamp, Timestamp)>,
    /// When the keeper looks at it next.
    pub due_at: Option<Timestamp>,
    /// How long a replaced token lives on.
    pub overlap: Duration,
}

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub x: i64,
    pub width: i64,
}

/// A tick of the axis.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub x: i64,
    /// The time of day, or from a day's step on the day.
    pub label: String,
}

/// One token's life.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub version: i64,
    pub y: i64,
    /// While it was the one to use.
    pub life: Bar,
    /// While it lived on beside its successor.
    pub overlap: Option<Bar>,
    /// What is left of it.
    pub left: Option<Bar>,
    /// Where the platform gave the same token again.
    pub again: Vec<i64>,
}

/// The plot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plot {
    pub width: i64,
    pub height: i64,
    /// The latest token first.
    pub lanes: Vec<Lane>,
    /// Round times between both ends.
    pub ticks: Vec<Tick>,
    /// Where renewals failed.
    pub faults: Vec<i64>,
    /// Where the marks of failures stand.
    pub faults_y: i64,
    pub now_x: i64,
    pub due_x: Option<i64>,
    /// The instants at both ends.
    pub ends: (Timestamp, Timestamp),
}

/// A token between its making and its end.
struct Token {
    version: TokenVersion,
    made_at: Timestamp,
    /// When its successor came.
    replaced_at: Option<Timestamp>,
    /// As the platform said; known of the one that is held.
    expires_at: Option<Timestamp>,
}

/// From instants to places.
struct Scale {
    start: Timestamp,
    end: Timestamp,
}

impl Scale {
    fn x(&self, at: Timestamp) -> i64 {
        let at = at.clamp(self.start, self.end);
        let ms = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
        let (span, along) = (ms(self.end.since(self.start)), ms(at.since(self.start)));
        let room = WIDTH.saturating_sub(LEFT).saturating_sub(4);
        LEFT.saturating_add(along.saturating_mul(room).checked_div(span).unwrap_or(0))
    }

    fn bar(&self, from: Timestamp, until: Timestamp) -> Bar {
        let x = self.x(from);
        Bar { x, width: self.x(until).saturating_sub(x).max(1) }
    }
}

/// The round times, in UTC, between both ends.
fn ticks_of(scale: &Scale) -> Vec<Tick> {
    let span = scale.end.since(scale.start);
    let Some(step) = STEPS.into_iter().find(|step| span <= step.saturating_mul(TICKS_MAX)) else {
        return vec![];
    };
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let before = scale.start.unix_ms().checked_div(step_ms).unwrap_or(0).saturating_mul(step_ms);
    let letters = if step < DAY { 11..16 } else { 5..10 };
    (1..=i64::from(TICKS_MAX))
        .map(|n| Timestamp::from_unix_ms(before.saturating_add(step_ms.saturating_mul(n))))
        .take_while(|at| *at < scale.end)
        .map(|at| Tick {
            x: scale.x(at),
            label: told(at).get(letters.clone()).unwrap_or_default().to_owned(),
        })
        .filter(|tick| tick.x <= WIDTH.saturating_sub(TICK_MARGIN))
        .collect()
}

impl Life<'_> {
    /// The tokens that are known of, the latest first.
    fn tokens(&self) -> Vec<Token> {
        let mut tokens: Vec<Token> = Vec::new();
        if let Some((version, obtained_at, expires_at)) = self.kept {
            // A token that is given again is obtained again; its life began when it was new.
            let is_it = |entry: &&HistoryEntry| {
                entry.version == Some(version) && matches!(entry.ending, Ending::Renewed | Ending::Same)
            };
            let first = self.history.iter().rev().find(is_it).map_or(obtained_at, |entry| entry.at);
            let made_at = first.min(obtained_at);
            tokens.push(Token { version, made_at, replaced_at: None, expires_at: Some(expires_at) });
        }
        for entry in self.history {
            let (Ending::Renewed, Some(version)) = (entry.ending, entry.version) else { continue };
            if tokens.iter().any(|token| token.version <= version) {
                continue;
            }
            let replaced_at = tokens.last().map(|successor| successor.made_at);
            tokens.push(Token { version, made_at: entry.at, replaced_at, expires_at: None });
        }
        tokens.truncate(LANES_MAX);
        tokens
    }
}

impl Plot {
    /// The plot of a life; none if there was no token and no try for one.
    pub(super) fn of(life: &Life<'_>, now: Timestamp) -> Option<Self> {
        let tokens = life.tokens();
        let oldest = tokens.last().map(|token| token.made_at);
        let is_shown = |at: &Timestamp| oldest.is_none_or(|oldest| *at >= oldest);
        let faults_at: Vec<Timestamp> = life
            .history
            .iter()
            .filter(|entry| matches!(entry.ending, Ending::Failed { .. }))
            .map(|entry| entry.at)
            .filter(is_shown)
            .collect();
        let start = oldest.into_iter().chain(faults_at.iter().copied()).min()?.min(now);
        let ends = tokens
            .iter()
            .filter_map(|token| token.expires_at.or_else(|| Some(token.replaced_at?.after(life.overlap))));
        let end = ends.chain(life.due_at).fold(now, Timestamp::max).max(start.after(SPAN_MIN));
        let scale = Scale { start, end };
        let lanes: Vec<Lane> =
            tokens.iter().zip(0_i64..).map(|(token, row)| lane_of(token, row, (life, &scale, now))).collect();
        let faults_y =
            lanes.len().try_into().map_or(0, |rows: i64| rows.saturating_mul(LANE)).saturating_add(12);
        Some(Self {
            width: WIDTH,
            height: faults_y.saturating_add(42),
            lanes,
            ticks: ticks_of(&scale),
            faults: faults_at.into_iter().map(|at| scale.x(at)).collect(),
            faults_y,
            now_x: scale.x(now),
            due_x: life.due_at.filter(|due| *due > now).map(|due| scale.x(due)),
            ends: (start, end),
        })
    }
}

impl Plot {
    /// The instant at the left end, in words.
    pub(super) fn start(&self) -> String {
        told(self.ends.0)
    }

    /// The instant at the right end, in words.
    pub(super) fn end(&self) -> String {
        told(self.ends.1)
    }
}

fn lane_of(token: &Token, row: i64, (life, scale, now): (&Life<'_>, &Scale, Timestamp)) -> Lane {
    let used_until = match (token.replaced_at, token.expires_at) {
        (Some(replaced), _) => replaced,
        (None, Some(expires)) => expires.min(now),
        (None, None) => now,
    };
    let lives_on = token.replaced_at.filter(|_| !life.overlap.is_zero());
    let again = life.history.iter().filter(|entry| {
        entry.ending == Ending::Same && entry.version == Some(token.version) && entry.at >= token.made_at
    });
    Lane {
        version: token.version.0,
        y: row.saturating_mul(LANE).saturating_add(4),
        life: scale.bar(token.made_at, used_until),
        overlap: lives_on.map(|replaced| scale.bar(replaced, replaced.after(life.overlap))),
        left: token.expires_at.filter(|end| *end > now).map(|end| scale.bar(now, end)),
        again: again.map(|entry| scale.x(entry.at)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mintkeep_protocol::keep::history::Cause;
    use mintkeep_protocol::keep::slot::Trouble;

    /// The plot is 302 units of time wide; tests span 3,020 s so that ten seconds are a unit.
    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000).after(Duration::from_secs(second))
    }

    fn entry(second: u64, ending: Ending, version: Option<i64>) -> HistoryEntry {
        let version = version.map(TokenVersion);
        HistoryEntry { at: at(second), cause: Cause::Timetable, ending, version, code: None }
    }

    const FAILED: Ending = Ending::Failed { trouble: Trouble::NotSent };

    #[test]
    fn each_token_has_a_lane_with_its_life_its_overlap_and_what_is_left() {
        let history = [
            entry(1_500, FAILED, Some(2)),
            entry(1_000, Ending::Renewed, Some(2)),
            entry(500, Ending::Same, Some(1)),
            entry(0, Ending::Renewed, Some(1)),
        ];
        let life = Life {
            history: &history,
            kept: Some((TokenVersion(2), at(1_000), at(3_020))),
            due_at: Some(at(2_720)),
            overlap: Duration::from_mins(5),
        };
        let plot = Plot::of(&life, at(2_020)).unwrap();
        let bar = |x, width| Bar { x, width };
        assert_eq!(
            plot.lanes,
            [
                Lane {
                    version: 2,
                    y: 4,
                    life: bar(134, 102),
                    overlap: None,
                    left: Some(bar(236, 100)),
                    again: vec![]
                },
                Lane {
                    version: 1,
                    y: 26,
                    life: bar(34, 100),
                    overlap: Some(bar(134, 30)),
                    left: None,
                    again: vec![84]
                },
            ]
        );
        assert_eq!((plot.faults, plot.now_x, plot.due_x), (vec![184], 236, Some(306)));
        assert_eq!(plot.ends, (at(0), at(3_020)));
    }

    #[test]
    fn a_token_that_is_given_again_and_again_has_one_life() {
        let history = [
            entry(2_000, Ending::Same, Some(1)),
            entry(1_000, Ending::Same, Some(1)),
            entry(0, Ending::Renewed, Some(1)),
        ];
        let kept = Some((TokenVersion(1), at(2_000), at(3_020)));
        let life = Life { history: &history, kept, due_at: None, overlap: Duration::ZERO };
        let lanes = Plot::of(&life, at(2_000)).unwrap().lanes;
        assert_eq!(
            (lanes.len(), lanes[0].life, &lanes[0].again[..]),
            (1, Bar { x: 34, width: 200 }, &[234, 134][..])
        );
        let forgotten = Life { history: &history[..2], ..life };
        let lanes = Plot::of(&forgotten, at(2_000)).unwrap().lanes;
        assert_eq!(lanes[0].again.len(), 2, "its making is in the story no more");
    }

    #[test]
    fn a_life_is_plotted_from_the_first_try_on() {
        let none = Life { history: &[], kept: None, due_at: Some(at(0)), overlap: Duration::ZERO };
        assert_eq!(Plot::of(&none, at(0)), None, "nothing happened");
        let history = [entry(20, FAILED, None), entry(10, FAILED, None)];
        let tried = Life { history: &history, due_at: Some(at(40)), ..none };
        let plot = Plot::of(&tried, at(30)).unwrap();
        assert_eq!((plot.lanes.len(), plot.faults.len(), plot.ends), (0, 2, (at(10), at(70))));
    }

    #[test]
    fn an_expired_token_has_nothing_left_and_older_ones_are_not_drawn() {
        let history: Vec<HistoryEntry> =
            (0..16).rev().map(|n| entry(n * 100, Ending::Renewed, Some(i64::try_from(n).unwrap()))).collect();
        let life = Life {
            history: &history,
            kept: Some((TokenVersion(15), at(1_500), at(1_600))),
            due_at: None,
            overlap: Duration::ZERO,
        };
        let plot = Plot::of(&life, at(2_000)).unwrap();
        assert_eq!(plot.lanes.iter().map(|lane| lane.version).collect::<Vec<_>>(), [15, 14, 13, 12, 11, 10]);
        assert_eq!((plot.lanes[0].left, plot.ends), (None, (at(1_000), at(2_000))));
    }

    #[test]
    fn the_axis_has_a_few_ticks_at_round_times_none_beyond_its_end() {
        let at = |ms| Timestamp::from_unix_ms(1_800_000_000_000 + ms);
        let (minute, hour, day) = (60_000, 3_600_000, 86_400_000);
        #[rustfmt::skip]
        let cases: [(i64, i64, &[&str]); 6] = [
            (0,      minute,       &[]),
            (1,      2 * minute,   &["08:01"]),
            (0,      2 * hour,     &["08:30", "09:00", "09:30"]),
            (minute, 6 * hour + minute, &["09:00", "10:00", "11:00", "12:00", "13:00"]),
            (0,      10 * day,     &["01-16", "01-18", "01-20", "01-22", "01-24"]),
            (0,      1_000 * day,  &[]),
        ];
        for (start, end, told) in cases {
            let ticks = ticks_of(&Scale { start: at(start), end: at(end) });
            let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(labels, told, "from {start} to {end} ms");
        }
    }
}
