// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Type names what an event is. The dots are subject tokens: a Type is the
// middle of every subject that carries it.
type Type string

// Event types. One constant, one schema in schemas/, one Go payload.
const (
	TypeMeterReading       Type = "meter.reading"
	TypeGridSignal         Type = "grid.signal"
	TypeAIJob              Type = "ai.job"
	TypeSiteConfig         Type = "site.config"
	TypeMarketQuote        Type = "market.quote"
	TypeWorkerStatus       Type = "worker.status"
	TypeClockTick          Type = "clock.tick"
	TypeJournalOpened      Type = "journal.opened"
	TypeDeciderActivated   Type = "decider.activated"
	TypeDeciderCheckpoint  Type = "decider.checkpoint"
	TypeCommandCurtail     Type = "command.curtail"
	TypeCommandRamp        Type = "command.ramp"
	TypeCommandOutlet      Type = "command.outlet"
	TypePermitRenewed      Type = "permit.renewed"
	TypeDispatchDecided    Type = "dispatch.decided"
	TypeHeadroomPublished  Type = "headroom.published"
	TypeCurtailmentMetered Type = "curtailment.metered"
	TypeUnitEscalated      Type = "unit.escalated"
	TypeOutletStatus       Type = "outlet.status"
	TypeOutletRequested    Type = "outlet.requested"
	TypeWorkAssigned       Type = "work.assigned"
	TypeGatewayStatus      Type = "gateway.status"
	TypeShareFound         Type = "share.found"
	TypeShareSubmitted     Type = "share.submitted"
	TypeShareAccepted      Type = "share.accepted"
	TypeShareRejected      Type = "share.rejected"
	TypeShareUnknown       Type = "share.unknown"
	TypeBlockFound         Type = "block.found"
	TypeBlockMatured       Type = "block.matured"
	TypeBlockOrphaned      Type = "block.orphaned"
	TypePoolStatement      Type = "pool.statement"
	TypeEnergySettled      Type = "energy.settled"
	TypeRevenueAccrued     Type = "revenue.accrued"
	TypeRevenueSettled     Type = "revenue.settled"
	TypeRevenueReconciled  Type = "revenue.reconciled"
	TypeCurtailmentSettled Type = "curtailment.settled"
	TypeProgrammePerformed Type = "programme.performed"
	TypeAlertRaised        Type = "alert.raised"
	TypeAlertCleared       Type = "alert.cleared"
	TypeDeadLetter         Type = "deadletter"
)

// Subjects read <prefix>.<site>.<type…>.<source>. Prefix, site and source are
// one token of [a-z0-9-]{1,64} each.
const (
	// DefaultPrefix is the first token of every subject unless configured.
	DefaultPrefix = "ballast"

	// BroadcastType stands where a type stands in the subject of a reduction
	// for a whole site: <prefix>.<site>.command.broadcast, without a source
	// token. The payload is a command.curtail.
	BroadcastType = "command.broadcast"

	// BroadcastSource is the Source of a decoded broadcast.
	BroadcastSource = "broadcast"

	// JournalToken follows the site in the subject of a relayed fact:
	// <prefix>.<site>.journal.<type…>.<source> (stream JOURNAL).
	JournalToken = "journal"

	// StoredToken follows the site in the subject under which the server
	// repeats a command after storing it:
	// <prefix>.<site>.stored.command.ramp.<agent>. Nobody may publish there;
	// a worker that hears a ramp there knows that it is in the stream.
	StoredToken = "stored"

	// SiteSource is the source token of events about a whole site.
	SiteSource = "site"

	// OperatorSource is the source token of acts of a person with the
	// operator role; only it may lift a stop or another issuer's signal.
	OperatorSource = "operator"
)

// Streams.
const (
	StreamInputs     = "INPUTS"     // rare facts, for ever, fsync
	StreamJournal    = "JOURNAL"    // all that deciders read, one total order
	StreamCommands   = "COMMANDS"   // what deciders decided
	StreamJobs       = "JOBS"       // mining work, minutes
	StreamShares     = "SHARES"     // proof of work and its verdicts
	StreamRevenue    = "REVENUE"    // energy and money; deletes refused
	StreamDeadLetter = "DEADLETTER" // what could not be understood or done
	StreamReplay     = "REPLAY"     // imported journals, never live

	// SnapshotBucket is the object store that holds decider snapshots.
	SnapshotBucket = "SNAPSHOTS"

	// SliceBucket is the key-value bucket in which gateways claim slices of
	// upstream sessions' search space.
	SliceBucket = "SLICES"
)

// Header names. The ce- names are CloudEvents 1.0 attributes as the NATS
// protocol binding writes them in binary mode; the Nats- names are the
// server's own.
const (
	HeaderCESpecVersion = "ce-specversion"
	HeaderCEID          = "ce-id"
	HeaderCEType        = "ce-type"
	HeaderCESource      = "ce-source"
	HeaderCETime        = "ce-time"
	HeaderCausation     = "ce-causationid"   // id of the event that caused this one
	HeaderCorrelation   = "ce-correlationid" // id of the first event of the chain
	HeaderContentType   = "content-type"

	HeaderMsgID       = "Nats-Msg-Id" // server-side duplicate window
	HeaderExpectLast  = "Nats-Expected-Last-Subject-Sequence"
	HeaderBatchID     = "Nats-Batch-Id" // atomic batch, ADR-50
	HeaderBatchSeq    = "Nats-Batch-Sequence"
	HeaderBatchCommit = "Nats-Batch-Commit"

	// HeaderOrigin of a relayed or imported message: "<stream>/<sequence>" of
	// the message it copies. HeaderOriginTime is the arrival there, RFC 3339.
	HeaderOrigin     = "Ballast-Origin"
	HeaderOriginTime = "Ballast-Origin-Time"

	// HeaderImport* are carried by messages of StreamReplay only.
	HeaderImportEpoch    = "Ballast-Import-Epoch"
	HeaderImportSequence = "Ballast-Import-Sequence"
	HeaderImportTime     = "Ballast-Import-Time"
	HeaderImportSubject  = "Ballast-Import-Subject"
)

// CESpecVersion is the CloudEvents version written in every envelope.
const CESpecVersion = "1.0"

// ContentTypeJSON is the only content type of this contract.
const ContentTypeJSON = "application/json"

// Timing that several rooms must agree on.
const (
	// TickPeriod is the distance of two clock.tick events of a site.
	TickPeriod = time.Second

	// MaxStep bounds the elapsed time that one journal step may contribute; a
	// longer or negative step is a discontinuity (DESIGN.md, Deciders).
	MaxStep = 5 * time.Second

	// DefaultLease is how long a permit lives, counted from the instant at
	// which the worker sent the status that the renewal answers.
	DefaultLease = 12 * time.Second

	// StatusPeriod is how often an agent publishes worker.status at least.
	StatusPeriod = 2 * time.Second
)

// MaxBatch is the most messages of one atomic batch (server limit).
const MaxBatch = 1000

// MaxInteger is the largest magnitude of an integer on the bus: 2^53−1, what
// every JSON reader holds exactly.
const MaxInteger = 1<<53 - 1
