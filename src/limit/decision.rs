//! What a controller says, and why.

/// The limit from now on, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Permits, between `min` and `max`.
    pub limit: u32,
    /// Why it is that.
    pub reason: Reason,
}

/// Why the limit is what it is. The words are stable: metrics, status and logs show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Too little was seen since the last decision.
    Gathering,
    /// The limit holds nobody back, so nothing can be learnt by moving it.
    Unused,
    /// At the knee, with small corrections.
    Steady,
    /// Response times rose significantly: down to what the bandwidth-delay product says.
    Slower,
    /// One request in five or more failed or was given up.
    Failing,
    /// Trying a little more, or further up where more was of use.
    TryingMore,
    /// As many more were done in the same time: keep it and try again, twice as far.
    Raised,
    /// More took longer instead of doing more: back.
    NoGain,
    /// A fifth less, to see what requests take when there are fewer.
    TryingLess,
    /// Fewer at a time are faster by as much: keep it, the knee is further down.
    Crowded,
    /// Fewer at a time take as long as before: back, and that is what they take.
    Confirmed,
    /// They take longer however few there are, so it is not load. As many more are needed to do the same (Little's law).
    Rescaled,
    /// An operator has frozen it.
    Frozen,
    /// An operator has set another limit, which is in force.
    Pinned,
}

impl Reason {
    /// All, in the order of the enum.
    pub const ALL: [Reason; 14] = [
        Reason::Gathering,
        Reason::Unused,
        Reason::Steady,
        Reason::Slower,
        Reason::Failing,
        Reason::TryingMore,
        Reason::Raised,
        Reason::NoGain,
        Reason::TryingLess,
        Reason::Crowded,
        Reason::Confirmed,
        Reason::Rescaled,
        Reason::Frozen,
        Reason::Pinned,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Gathering => "gathering",
            Reason::Unused => "unused",
            Reason::Steady => "steady",
            Reason::Slower => "slower",
            Reason::Failing => "failing",
            Reason::TryingMore => "trying_more",
            Reason::Raised => "raised",
            Reason::NoGain => "no_gain",
            Reason::TryingLess => "trying_less",
            Reason::Crowded => "crowded",
            Reason::Confirmed => "confirmed",
            Reason::Rescaled => "rescaled",
            Reason::Frozen => "frozen",
            Reason::Pinned => "pinned",
        }
    }
}
