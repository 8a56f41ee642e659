// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// Errors of Feed. Both leave the runner as it was before the message.
var (
	// ErrNotAhead: the sequence does not rise, so the journal is not the one
	// folded so far.
	ErrNotAhead = errors.New("journal sequence does not rise")
	// ErrEpoch: the message opens an epoch that began before messages folded
	// already. Start over from a state at or before its boundary with every
	// opening known (Openings).
	ErrEpoch = errors.New("an epoch began before messages already folded")
)

// Outcome of feeding one message.
type Outcome uint8

// Outcomes.
const (
	// Folded: the decider saw it.
	Folded Outcome = iota
	// Repeated: a relayed fact that was folded before.
	Repeated
	// Unusable: not an event of this contract; the inspector dead-letters it.
	Unusable
)

// Step is what became of one message. Event and Outputs are valid until the
// next call of the runner.
type Step struct {
	// Outcome of the message.
	Outcome Outcome
	// Event folded; nil unless Outcome is Folded.
	Event *events.Event
	// Outputs of the fold in order.
	Outputs []Output
	// Speaks: the identity of this runner is the activated one at this event,
	// so its outputs are decisions; otherwise they are only thoughts.
	Speaks bool
	// Err says why a message was Unusable.
	Err error
}

// Counts of messages by outcome, since the beginning of the journal.
type Counts struct {
	Folded   uint64 `json:"folded"`
	Repeated uint64 `json:"repeated"`
	Unusable uint64 `json:"unusable"`
}

// Activation is who speaks for a decider name.
type Activation struct {
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
}

// Runner feeds one decider with the journal of one site and keeps what every
// decider needs besides its own state: the epoch, which relayed facts are
// folded already, who is activated, the chain over the journal. It is as pure
// as the decider it runs. Not safe for concurrent use.
type Runner struct {
	prefix, site string
	id           Identity
	d            Decider

	dec    events.Decoder
	lent   events.Event // of a shared message
	out    Outbox
	chain  chain
	epochs Epochs

	sequence uint64
	epoch    uint64
	counts   Counts
	origins  map[string]uint64
	tick     int64
	active   *Activation
}

// NewRunner returns a runner for d at the beginning of the journal of site.
func NewRunner(prefix, site string, d Decider) (*Runner, error) {
	id := d.Identity()
	err := errors.Join(events.CheckToken("prefix", prefix), events.CheckToken("site", site), events.CheckToken("decider", id.Name))
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	return &Runner{prefix: prefix, site: site, id: id, d: d, origins: make(map[string]uint64, 2)}, nil
}

// ReuseMemory lets the runner decode every message into the memory of the one
// before: the event of a step, its payload included, and the outputs must then
// not be kept beyond the next call. For replays, which do not.
func (r *Runner) ReuseMemory() { r.dec.Reuse = true }

// Opened tells the runner of an epoch. Hosts and audits tell it of every
// opening they know before they fold what came after; relayed copies tell it
// of the others. False means that messages of that epoch were folded under an
// older one: the caller must start over from a state at or before o.After.
func (r *Runner) Opened(o Opening) bool {
	if !r.epochs.Add(o) {
		return true
	}
	return r.epochs.At(r.sequence) == r.epoch
}

// Feed takes the next message of the journal. Messages of other sites are an
// error of the caller and come back as Unusable.
func (r *Runner) Feed(m *Raw) (Step, error) { return r.feed(m, nil) }

// feed takes the next message, which may be a shared one.
func (r *Runner) feed(m *Raw, shared *Shared) (Step, error) {
	if m.Sequence <= r.sequence {
		return Step{}, fmt.Errorf("%w: %d after %d", ErrNotAhead, m.Sequence, r.sequence)
	}
	var e *events.Event
	var err error
	if shared == nil {
		e, err = r.decode(m)
	} else {
		e, err = r.decodeShared(shared)
	}
	if err == nil {
		if err := r.opening(e); err != nil {
			return Step{}, err
		}
	}
	r.sequence, r.epoch = m.Sequence, r.epochs.At(m.Sequence)
	if shared == nil {
		r.chain.extend(r.epoch, m)
	} else {
		r.chain.extendShared(r.epoch, shared)
		shared.name(e)
	}
	if err != nil {
		r.counts.Unusable++
		return Step{Outcome: Unusable, Err: err}, nil
	}
	return r.fold(e), nil
}

// FeedEvent takes the next event, decoded already, for scenarios, simulations
// and benchmarks. Its Sequence and Arrived must be set; the chain stands still.
// The runner sets Stream, Epoch and, where empty, ID.
func (r *Runner) FeedEvent(e *events.Event) (Step, error) {
	if e.Sequence <= r.sequence {
		return Step{}, fmt.Errorf("%w: %d after %d", ErrNotAhead, e.Sequence, r.sequence)
	}
	if err := r.opening(e); err != nil {
		return Step{}, err
	}
	r.sequence, r.epoch = e.Sequence, r.epochs.At(e.Sequence)
	return r.fold(e), nil
}

func (r *Runner) decode(m *Raw) (*events.Event, error) {
	e, err := r.dec.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return nil, err
	}
	if e.Site != r.site {
		return nil, &events.DecodeError{Reason: events.DeadUnknownSite, Subject: m.Subject, Err: fmt.Errorf("site %q in the journal of %q", e.Site, r.site)}
	}
	if err := checkOrigin(m.Subject, e); err != nil {
		return nil, err
	}
	e.Sequence, e.Arrived = m.Sequence, m.Arrived.UTC()
	if err := CheckDate(e); err != nil {
		return nil, &events.DecodeError{Reason: events.DeadTooOld, Subject: m.Subject, Err: err}
	}
	return e, nil
}

// checkOrigin refuses a fact that ought to be a relayed copy but does not say
// of what: without an origin it could be folded twice. On anything else an
// origin is the sender's own invention and forgotten: believed, one status that
// claims a high sequence would pass all later signals off as folded already.
func checkOrigin(subject string, e *events.Event) error {
	info, _ := events.Info(e.Type)
	if !info.Relayed {
		e.OriginStream, e.OriginSequence, e.OriginArrived = "", 0, time.Time{}
		return nil
	}
	if e.OriginStream == info.Stream && e.OriginSequence > 0 {
		return nil
	}
	return &events.DecodeError{
		Reason: events.DeadInvalid, Subject: subject,
		Err: fmt.Errorf("%s in the journal is a copy and needs the header %s: %s/<sequence>", e.Type, events.HeaderOrigin, info.Stream),
	}
}

// opening learns an epoch from the relayed copy of its fact.
func (r *Runner) opening(e *events.Event) error {
	p, ok := e.Data.(*events.JournalOpened)
	if ok && !r.Opened(Opening{Epoch: p.Epoch, After: p.LastSequence}) {
		return fmt.Errorf("%w: epoch %d after sequence %d, folded %d", ErrEpoch, p.Epoch, p.LastSequence, r.sequence)
	}
	return nil
}

func (r *Runner) fold(e *events.Event) Step {
	if e.OriginStream != "" {
		if e.OriginSequence <= r.origins[e.OriginStream] {
			r.counts.Repeated++
			return Step{Outcome: Repeated}
		}
		r.origins[e.OriginStream] = e.OriginSequence
	}
	e.Stream, e.Epoch = events.StreamJournal, r.epoch
	if e.ID == "" {
		e.ID = events.DefaultID(events.StreamJournal, r.epoch, e.Sequence)
	}
	switch p := e.Data.(type) {
	case *events.ClockTick:
		r.tick = max(r.tick, p.Second)
	case *events.DeciderActivated:
		if p.Decider == r.id.Name {
			r.active = &Activation{Version: p.Version, ConfigHash: p.ConfigHash}
		}
	}
	r.out.Begin(e)
	r.d.Fold(e, &r.out)
	r.counts.Folded++
	return Step{Outcome: Folded, Event: e, Outputs: r.out.Outputs(), Speaks: r.Speaks()}
}

// Message writes output o of the step's event; see the function Message.
func (r *Runner) Message(s *Step, o *Output) (*nats.Msg, error) {
	return Message(r.prefix, r.id.Name, s.Event, o)
}

// Speaks reports whether the runner's identity is the activated one.
func (r *Runner) Speaks() bool {
	return r.active != nil && r.active.Version == r.id.Version && r.active.ConfigHash == r.id.ConfigHash
}

// Active is who speaks; ok is false when nobody was ever activated.
func (r *Runner) Active() (a Activation, ok bool) {
	if r.active == nil {
		return Activation{}, false
	}
	return *r.active, true
}

// Site and Identity of the runner.
func (r *Runner) Site() string       { return r.site }
func (r *Runner) Identity() Identity { return r.id }

// Sequence of the newest message fed, 0 at the beginning, and its Epoch.
func (r *Runner) Sequence() uint64 { return r.sequence }
func (r *Runner) Epoch() uint64    { return r.epoch }

// Openings known, oldest first.
func (r *Runner) Openings() []Opening { return r.epochs.Openings() }

// Origin is the highest sequence of stream whose relayed copy is folded.
func (r *Runner) Origin(stream string) uint64 { return r.origins[stream] }

// Tick is the second of the newest clock.tick folded, 0 before the first.
func (r *Runner) Tick() int64 { return r.tick }

// Counts so far.
func (r *Runner) Counts() Counts { return r.counts }

// Chain is the digest over every message fed.
func (r *Runner) Chain() Digest { return r.chain.sum }

// StateHash of the decider, 16 hex digits.
func (r *Runner) StateHash() string {
	return fmt.Sprintf("%016x", r.d.StateHash())
}

// Checkpoint is the state of the runner as replicas compare it.
func (r *Runner) Checkpoint() *events.DeciderCheckpoint {
	return &events.DeciderCheckpoint{
		Decider: r.id.Name, Version: r.id.Version, ConfigHash: r.id.ConfigHash,
		Epoch: r.epoch, Sequence: r.sequence, Folded: r.counts.Folded,
		StateHash: r.StateHash(), ChainHash: r.Chain().String(),
	}
}

// CheckpointID is the message id of c at site: equal at replicas of one
// identity, so that the first stored is the one the others compare with.
func CheckpointID(site string, c *events.DeciderCheckpoint) string {
	return site + "/" + c.Decider + "/checkpoint/" + c.Version + "-" + c.ConfigHash + "/" +
		strconv.FormatUint(c.Epoch, 10) + "/" + strconv.FormatUint(c.Sequence, 10)
}
