//! The service of a binding: moved by streams, the supervisor and the clock.

use bincode::{Decode, Encode};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum End {
    /// The service says that it is finished.
    Done,
    /// The units of the package are used up.
    UnitsUsed,
    /// `deliver_by` passed with the service there.
    DeliverBy,
    /// The consumer ended it.
    UnboundByConsumer,
    /// The provider ended it, its service stopped by itself, or its escrow is over without paying it in full.
    UnboundByProvider,
    /// The consumer gave no sign of life for the grace time.
    ConsumerGone,
    /// The provider gave no sign of life for the grace time.
    ProviderGone,
    /// The service never got healthy.
    StartFailed,
    /// The provider's node was stopped.
    Drained,
    /// The consumer ended it before the service ran.
    UnboundUnstarted,
}

impl End {
    /// Every way.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::UnitsUsed,
        Self::DeliverBy,
        Self::UnboundByConsumer,
        Self::UnboundByProvider,
        Self::ConsumerGone,
        Self::ProviderGone,
        Self::StartFailed,
        Self::Drained,
        Self::UnboundUnstarted,
    ];

    /// Whether the provider has earned the escrow of a package by it.
    pub const fn earned(self) -> bool {
        match self {
            Self::Done | Self::UnitsUsed | Self::DeliverBy | Self::UnboundByConsumer | Self::ConsumerGone => true,
            Self::UnboundByProvider | Self::ProviderGone | Self::StartFailed => false,
            Self::Drained | Self::UnboundUnstarted => false,
        }
    }

    /// Whether the consumer ended it by its own word.
    pub const fn is_by_consumer(self) -> bool {
        matches!(self, Self::UnboundByConsumer | Self::UnboundUnstarted)
    }

    /// The words for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::UnitsUsed => "units used",
            Self::DeliverBy => "delivered until deliver_by",
            Self::UnboundByConsumer => "unbound by the consumer",
            Self::UnboundByProvider => "unbound by the provider",
            Self::ConsumerGone => "consumer gone",
            Self::ProviderGone => "provider gone",
            Self::StartFailed => "start failed",
            Self::Drained => "provider stopped",
            Self::UnboundUnstarted => "unbound by the consumer before it ran",
        }
    }
}

/// The states of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Session {
    /// Nothing runs yet.
    Idle,
    /// The escrow is verified (or the binding free) and the service is starting.
    Starting,
    /// The service runs and the other side is there.
    Active,
    /// The other side missed heartbeats; the service still runs.
    Away,
    /// Over.
    Ended(End),
}

/// What moves a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionEvent {
    /// The escrow was verified field by field, or a free binding confirmed.
    MayStart,
    /// The service is healthy (provider), or its access details arrived (consumer).
    ServiceRuns,
    /// The service failed to start or to get healthy.
    ServiceFailed,
    /// The service that ran stopped by itself.
    ServiceStopped,
    /// `start_by` passed.
    StartByPassed,
    /// `deliver_by` passed.
    DeliverByPassed,
    /// A heartbeat of the other side came.
    Heartbeat,
    /// Heartbeats are missing, not yet for the grace time.
    HeartbeatMissing,
    /// The consumer was silent for the grace time.
    ConsumerSilent,
    /// The provider was silent for the grace time.
    ProviderSilent,
    /// The package is used up.
    UnitsUsed,
    /// The service says that it is done.
    ServiceDone,
    /// The consumer unbound.
    ConsumerUnbinds,
    /// The provider unbound.
    ProviderUnbinds,
    /// The provider's node is stopping.
    Drain,
}

impl SessionEvent {
    /// Every event.
    pub const ALL: [Self; 15] = [
        Self::MayStart,
        Self::ServiceRuns,
        Self::ServiceFailed,
        Self::ServiceStopped,
        Self::StartByPassed,
        Self::DeliverByPassed,
        Self::Heartbeat,
        Self::HeartbeatMissing,
        Self::ConsumerSilent,
        Self::ProviderSilent,
        Self::UnitsUsed,
        Self::ServiceDone,
        Self::ConsumerUnbinds,
        Self::ProviderUnbinds,
        Self::Drain,
    ];
}

impl Session {
    /// Every state, each way of having ended among them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Idle, Self::Starting, Self::Active, Self::Away].into_iter().chain(End::ALL.map(Self::Ended))
    }

    /// Whether a service runs or is about to.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Starting | Self::Active | Self::Away)
    }

    /// How it ended, if it did.
    pub const fn end(self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// The table: the next state, or `None` where the event changes nothing here.
    pub const fn on(self, event: SessionEvent) -> Option<Self> {
        use SessionEvent::*;
        Some(match (self, event) {
            (Self::Ended(_), _) => return None,

            (Self::Idle | Self::Starting, ConsumerUnbinds) => Self::Ended(End::UnboundUnstarted),
            (_, ConsumerUnbinds) => Self::Ended(End::UnboundByConsumer),
            (_, ProviderUnbinds) => Self::Ended(End::UnboundByProvider),
            (_, Drain) => Self::Ended(End::Drained),

            (Self::Idle, MayStart) => Self::Starting,
            (Self::Idle | Self::Starting, StartByPassed | ServiceFailed | DeliverByPassed) => {
                Self::Ended(End::StartFailed)
            }
            (Self::Idle, _) => return None,

            (Self::Starting, ServiceRuns) => Self::Active,
            (Self::Starting, ServiceStopped) => Self::Ended(End::StartFailed),
            (Self::Starting, _) => return None,

            (Self::Active, HeartbeatMissing) => Self::Away,
            (Self::Away, Heartbeat) => Self::Active,
            (Self::Active | Self::Away, ConsumerSilent) => Self::Ended(End::ConsumerGone),
            (Self::Active | Self::Away, ProviderSilent) => Self::Ended(End::ProviderGone),
            (Self::Active | Self::Away, DeliverByPassed) => Self::Ended(End::DeliverBy),
            (Self::Active | Self::Away, UnitsUsed) => Self::Ended(End::UnitsUsed),
            (Self::Active | Self::Away, ServiceDone) => Self::Ended(End::Done),
            (Self::Active | Self::Away, ServiceStopped | ServiceFailed) => Self::Ended(End::UnboundByProvider),
            (Self::Active, Heartbeat) | (Self::Away, HeartbeatMissing) => return None,
            (Self::Active | Self::Away, MayStart | ServiceRuns | StartByPassed) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each state that isn't an end with what each event makes of it; events that change nothing are left out.
    const TABLE: &str = "\
Idle: MayStart → Starting, ServiceFailed → StartFailed, StartByPassed → StartFailed, DeliverByPassed → StartFailed, \
ConsumerUnbinds → UnboundUnstarted, ProviderUnbinds → UnboundByProvider, Drain → Drained
Starting: ServiceRuns → Active, ServiceFailed → StartFailed, ServiceStopped → StartFailed, \
StartByPassed → StartFailed, DeliverByPassed → StartFailed, ConsumerUnbinds → UnboundUnstarted, \
ProviderUnbinds → UnboundByProvider, Drain → Drained
Active: ServiceFailed → UnboundByProvider, ServiceStopped → UnboundByProvider, DeliverByPassed → DeliverBy, \
HeartbeatMissing → Away, ConsumerSilent → ConsumerGone, ProviderSilent → ProviderGone, UnitsUsed → UnitsUsed, \
ServiceDone → Done, ConsumerUnbinds → UnboundByConsumer, ProviderUnbinds → UnboundByProvider, Drain → Drained
Away: ServiceFailed → UnboundByProvider, ServiceStopped → UnboundByProvider, DeliverByPassed → DeliverBy, \
Heartbeat → Active, ConsumerSilent → ConsumerGone, ProviderSilent → ProviderGone, UnitsUsed → UnitsUsed, \
ServiceDone → Done, ConsumerUnbinds → UnboundByConsumer, ProviderUnbinds → UnboundByProvider, Drain → Drained
";

    #[test]
    fn every_state_and_event_is_as_the_table_says() {
        let mut table = String::new();
        for state in Session::all().filter(|s| s.end().is_none()) {
            let moves: Vec<String> = SessionEvent::ALL
                .into_iter()
                .filter_map(|event| {
                    let next = state.on(event)?;
                    let name = next.end().map_or_else(|| format!("{next:?}"), |end| format!("{end:?}"));
                    Some(format!(" {event:?} → {name}"))
                })
                .collect();
            table += &format!("{state:?}:{}\n", moves.join(","));
        }
        assert_eq!(table, TABLE);
    }

    #[test]
    fn an_end_is_final_and_every_end_can_be_reached() {
        assert_eq!(Session::all().count(), 4 + End::ALL.len());
        for end in End::ALL {
            assert!(SessionEvent::ALL.iter().all(|event| Session::Ended(end).on(*event).is_none()), "{end:?}");
            let reached =
                Session::all().any(|s| SessionEvent::ALL.iter().any(|e| s.on(*e) == Some(Session::Ended(end))));
            assert!(reached, "{end:?}");
        }
    }

    #[test]
    fn who_earned_the_escrow_follows_from_the_end() {
        let earned: Vec<End> = End::ALL.into_iter().filter(|end| end.earned()).collect();
        assert_eq!(earned, [End::Done, End::UnitsUsed, End::DeliverBy, End::UnboundByConsumer, End::ConsumerGone]);
    }
}
