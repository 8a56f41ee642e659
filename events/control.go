// SPDX-License-Identifier: Apache-2.0

package events

// JournalOpened (journal.opened) hands out an epoch: whoever opens a journal
// whose continuity may have broken takes the next number by compare-and-set in
// INPUTS.
type JournalOpened struct {
	// Epoch taken, from 1, by one more than the last.
	Epoch uint64 `json:"epoch"`
	// LastSequence of JOURNAL when it was opened; what follows belongs to
	// the new epoch.
	LastSequence uint64 `json:"last_sequence"`
	// OpenedBy is the host that opened it.
	OpenedBy string `json:"opened_by"`
	// Reason for people: "server started", "journal shorter than commands".
	Reason string `json:"reason"`
}

// DeciderActivated (decider.activated) is the only authority on which version
// of a decider speaks.
type DeciderActivated struct {
	// Decider name, Version and hash of its configuration.
	Decider    string `json:"decider"`
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
	// StateHash of the activated replica when it asked, 16 hex digits, or
	// empty when it had folded nothing.
	StateHash string `json:"state_hash,omitempty"`
	// ActivatedBy is a person or a host.
	ActivatedBy string `json:"activated_by"`
}

// DeciderCheckpoint (decider.checkpoint) is a replica's state after Sequence;
// the first stored one is what the others compare with.
type DeciderCheckpoint struct {
	// Decider name, Version and hash of its configuration.
	Decider    string `json:"decider"`
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
	// Epoch and Sequence of the last event folded.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// Folded is how many events of the site have been folded in all.
	Folded uint64 `json:"folded"`
	// StateHash, 16 hex digits, and ChainHash over the journal, 64.
	StateHash string `json:"state_hash"`
	ChainHash string `json:"chain_hash"`
}

// Severity of an alert.
type Severity string

// Severities.
const (
	SeverityWarning  Severity = "warning"
	SeverityCritical Severity = "critical"
)

// AlertRaised (alert.raised) tells a person. One alert id is raised once until
// cleared.
type AlertRaised struct {
	// Alert id, stable while the condition lasts: "meter-stale/feeder-a".
	Alert string `json:"alert"`
	// Severity.
	Severity Severity `json:"severity"`
	// Message says what is wrong, Remedy what to do.
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// AlertCleared (alert.cleared) ends an alert.
type AlertCleared struct {
	// Alert id.
	Alert string `json:"alert"`
	// Message for people.
	Message string `json:"message"`
}

// DeadReason is why something went to the dead-letter stream, as a code.
type DeadReason string

// Dead-letter reasons.
const (
	DeadUnreadable  DeadReason = "unreadable"   // not JSON, or not of the type's shape
	DeadInvalid     DeadReason = "invalid"      // readable, but meaningless
	DeadSubject     DeadReason = "subject"      // no known type or bad tokens
	DeadUnknownSite DeadReason = "unknown-site" // no such site
	DeadExhausted   DeadReason = "exhausted"    // every try failed
	DeadTooOld      DeadReason = "time"         // dated impossibly
)

// DeadLetter (deadletter) keeps what could not be understood or done, with the
// reason: once, whatever the number of replicas.
type DeadLetter struct {
	// Subject, Stream and Sequence of the original.
	Subject  string `json:"subject"`
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	// Consumer that gave up: a decider or reactor.
	Consumer string `json:"consumer"`
	// Reason code and detail.
	Reason DeadReason `json:"reason"`
	Detail string     `json:"detail"`
	// Attempts made.
	Attempts int64 `json:"attempts"`
	// Payload as received, at most 64 KiB of it; Truncated when there was
	// more (the original stays in its stream).
	Payload   []byte `json:"payload,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
}
