//! The list of faults: the one place where it stands.

macro_rules! faults {
    ($($(#[$doc:meta])+ $name:ident [$($case:ident),* $(,)?];)*) => {
        /// One way in which a transport, or the harness around it, breaks the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])+ $name),*
        }

        /// Every fault.
        pub const FAULTS: &[Fault] = &[$(Fault::$name),*];

        /// The names of cases that notice a fault, among others.
        pub fn breaks(fault: Fault) -> &'static [&'static str] {
            match fault {
                $(Fault::$name => &[$(stringify!($case)),*]),*
            }
        }
    };
}

faults! {
    /// Drops every hundredth cast, and says that it was sent.
    DropsHundredthCast [];
    /// Drops the first cast, and says that it was sent.
    DropsFirstCast [];
    /// Drops casts without a body.
    DropsEmptyBodies [];
    /// Drops what is sent during a cut, also a short one.
    DropsDuringCuts [];
    /// Sends every tenth cast twice.
    DuplicatesCasts [];
    /// Sends every tenth cast after the next one.
    SwapsCasts [];
    /// Sends casts a little later than calls.
    CallsOvertakeCasts [];
    /// Sends to all targets but the last, and says that all accepted.
    SendsToSome [];
    /// Sends to all nodes, whichever were named.
    SendsToAll [];
    /// Never sends to the local node.
    SkipsTheLocalNode [];
    /// Names nobody who did not accept.
    HidesRefused [];
    /// Names those who accepted in the wrong order.
    ReportsUnsorted [];
    /// Sends to those that have room although it refuses.
    RefuseSendsToOthers [];
    /// One full node keeps a cast from the others.
    SkipKeepsItFromOthers [];
    /// Queues without an end.
    NeverFull [];
    /// A sender that waits for one node makes all others wait.
    OneFullNodeBlocksAll [];
    /// Waits for room at one target after the other, so that a sender that gives up has sent to some.
    SendsOneByOne [];
    /// Waits for room at a target that is not linked.
    WaitsForTheDead [];
    /// Serves the sender that waits least.
    ServesTheLastWaiterFirst [];
    /// The twentieth cast never returns.
    TwentiethAbcastSticks [];
    /// Turns a bit of each body over.
    CorruptsBodies [];
    /// Every message is of version 0.
    LosesVersions [];
    /// Sends every fifth cast to the server of the cast before.
    MixesServers [];
    /// Accepts a message over the maximum, and drops it.
    AcceptsOversize [];
    /// Sends as much of a message over the maximum as is allowed.
    TruncatesOversize [];
    /// Names the wrong size of a message over the maximum.
    ForgetsSizes [];
    /// Refuses a message of the maximum itself.
    RefusesTheMaximum [];
    /// Accepts casts and servers after the shutdown.
    TakesMoreAfterShutdown [];
    /// Reports each answer of a call twice.
    AnswersTwice [];
    /// Leaves out targets that failed.
    FewerResults [];
    /// Leaves out the last answer.
    LosesAReply [];
    /// Reports a target that nobody asked for.
    MoreResults [];
    /// Gives calls fifty times their deadline.
    NeverTimesOut [];
    /// Gives calls a quarter of their deadline.
    GivesUpEarly [];
    /// Returns from a call at its deadline, also if all is known before.
    SitsOutTheDeadline [];
    /// A call to all leaves out the local node.
    CallsOthersOnly [];
    /// Turns a bit of each request over.
    CorruptsRequests [];
    /// Turns bits of each answer over.
    CorruptsReplies [];
    /// A call waits until the one before has ended.
    OneCallAtATime [];
    /// A call that is given up goes on.
    NoCancel [];
    /// A call that has timed out goes on.
    KeepsTrying [];
    /// Gives the answer of a call that timed out to the next one.
    LateReplyToNextCall [];
    /// Calls a node again when it comes back.
    CallAgainInNewSession [];
    /// Calls nodes that came after the call.
    ResolvesTargetsLate [];
    /// Names another incarnation in the results of calls.
    ReplyFromWrongNode [];
    /// Returns the results of calls in the wrong order.
    ResultsUnsorted [];
    /// Reports a passed deadline as a node that went down.
    DeadlineAsNodeDown [];
    /// Reports a node that went down as a passed deadline.
    NodeDownAsDeadline [];
    /// Says that a request was sent when it was not, and the other way round.
    WrongAboutSent [];
    /// Reports every failure of a call as a passed deadline.
    OneReasonForAll [];
    /// Reports a server that stopped as one that never was.
    StoppedIsNoServer [];
    /// Lists nodes in the wrong order.
    ListUnsorted [];
    /// Lists the local node as well.
    ListHasTheLocalNode [];
    /// Does not list the last node.
    ListLags [];
    /// Lists every node that was ever linked.
    ListKeepsTheDead [];
    /// A lost node takes all others out of the list.
    OneLossTakesAll [];
    /// A link that went down never returns.
    NoRedial [];
    /// All lives of a name look the same.
    HidesIncarnations [];
    /// A monitor that is not read keeps every event, without an end.
    MonitorBuffers [];
    /// An idle link goes down, and up again.
    FlapsWhenIdle [];
    /// Monitors go on after the shutdown.
    MonitorNeverEnds [];
    /// Reports a lost node many timeouts later.
    LateDowns [];
    /// Never reports `Down`.
    ForgetsDowns [];
    /// A monitor shows who was linked at its start, and nothing after.
    ForgetsLiveEvents [];
    /// Only the first monitor of a node gets live events.
    OnlyTheFirstMonitorLives [];
    /// A monitor does not show who was linked at its start.
    MonitorStartsEmpty [];
    /// Reports every `Up` twice.
    UpTwice [];
    /// Reports every `Down` as lost.
    OneReasonForAllDowns [];
    /// Reports a lost node as disconnected by command.
    LostIsDisconnected [];
    /// Reports every goodbye as flushed.
    AlwaysFlushed [];
    /// `Down` names an incarnation that was never up.
    DownNamesAnother [];
    /// Does not say that events were folded.
    FoldsSilently [];
    /// Folds a `Down` and the `Up` that follows, although they are read in time.
    FoldsRestarts [];
    /// Only one side of a link sees that a session ended.
    OneSidedDown [];
    /// Servers serve everybody.
    IgnoresAllowList [];
    /// Servers that name nodes serve only the local one.
    ServesNobodyElse [];
    /// Servers get node events that they did not ask for.
    EventsToEveryServer [];
    /// Servers get no node events.
    EventsToNoServer [];
    /// A server that is registered again gets nothing.
    SecondLifeIsDeaf [];
    /// A second server of a name is accepted, and gets nothing.
    AcceptsSecondServer [];
    /// Delivers the last messages again after `Down`.
    DeliversAfterDown [];
    /// Delivers the first messages before `Up`.
    DeliversBeforeUp [];
    /// Servers start on requests whose callers have given up.
    StartsExpiredCalls [];
    /// Servers get another incarnation as the sender.
    WrongSender [];
    /// A message that does not decode resets the link.
    UndecodableKillsLink [];
    /// A server that crashes takes all servers of its node along.
    CrashTakesAll [];
    /// Inboxes go on after the shutdown.
    InboxNeverEnds [];
    /// Calls to a server that crashed are not answered.
    LeavesCallsUnanswered [];
    /// Every failure of a handler becomes "stopped".
    LosesHandlersFailure [];
    /// Servers get `Down` without `Up`.
    NoFirstUps [];
    /// Servers are stopped long before the stall timeout.
    StopsSlowServers [];
    /// Mailboxes without an end.
    UnboundedMailbox [];
    /// What lay unhandled at `Down` is delivered after it.
    IgnoresSessionEnd [];
    /// The mailbox of a crashed server goes to its successor.
    MailboxToSuccessor [];
    /// `disconnect` does nothing.
    DisconnectDoesNothing [];
    /// `disconnect` returns before the `Down`.
    DisconnectDoesNotWait [];
    /// `disconnect` forgets the node.
    DisconnectForgets [];
    /// `forget` only resets the link.
    ForgetIsDisconnect [];
    /// A shutdown drops what is queued, and says that it was flushed.
    ShutdownDropsQueues [];
    /// A shutdown takes much longer than its deadline.
    ShutdownOverruns [];
    /// A shutdown says that everything was flushed, always.
    ShutdownSaysFlushed [];
    /// The second shutdown tells of another end than the first.
    SecondShutdownDiffers [];
    /// Says that it was replaced when it was not.
    StopsWithoutCause [];
    /// Does not say why it stopped.
    StopsWithoutReason [];
    /// All counters stay at 0.
    CountsNothing [];
    /// Replaces bounds that are out of range.
    AcceptsBadBounds [];
    /// Links with nodes of other clusters.
    IgnoresCluster [];
    /// Does not ask for a proof of the name.
    IgnoresIdentity [];
    /// Dials no seed.
    DialsNobody [];
    /// Dials neither last known addresses nor those that a neighbour told.
    DialsOnlySeeds [];
    /// A link needs a working address on both sides.
    NeedsBothToDial [];
    /// A second node at a place gets the first one's transport.
    AcceptsATakenPlace [];
    /// A node that was stopped keeps its place.
    KeepsThePlace [];
    /// A crash says goodbye.
    CrashSaysGoodbye [];
    /// Cuts and partitions do nothing.
    CutDoesNothing [];
    /// A cut ends the link at once.
    CutIsLoud [];
    /// A cut cuts off from all.
    CutsAll [];
    /// A one-way cut cuts both ways.
    CutOneWayCutsBoth [];
    /// A heal does nothing.
    HealDoesNothing [];
    /// A delay does nothing.
    DelayDoesNothing [];
    /// A delay cuts.
    DelayCuts [];
    /// A stall never ends.
    ResumeDoesNothing [];
    /// Talks to every version.
    AcceptsAnyVersion [];
    /// Talks to no version, and does not say why.
    RefusesEveryVersion [];
}
