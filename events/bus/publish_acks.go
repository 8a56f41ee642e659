// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	// publishWindow is how many messages of one Bus may await their
	// acknowledgement; publishers wait for a place beyond it.
	publishWindow = 4096
	// ackWait is how long an acknowledgement may take before the outcome
	// counts as unknown. A full window that does not move for as long fails
	// its publishers, too.
	ackWait = 10 * time.Second
	// ackSweep is how often unanswered messages are looked at.
	ackSweep = 500 * time.Millisecond
	// noStreamTries and noStreamPause bound how often a message that no
	// stream answered for is sent again: a replicated stream that elects a
	// leader answers to nobody for a moment.
	noStreamTries = 3
	noStreamPause = 250 * time.Millisecond
)

// Errors of publishing. Test for them with errors.Is.
var (
	// ErrNoStream: no stream takes this subject, nothing is stored.
	ErrNoStream = errors.New("no stream stores this subject (are the streams there? see EnsureStreams)")
	// ErrOutcomeUnknown: the message was sent and no acknowledgement came.
	// It may be stored; publish it again with the same id to be sure.
	ErrOutcomeUnknown = errors.New("no acknowledgement came: it may or may not be stored")
	// ErrTooLarge: the message is above the limit of the server and was not
	// sent.
	ErrTooLarge = errors.New("message is larger than the server takes")
	// ErrConflict: the stream or subject did not end where the publisher
	// expected, nothing is stored.
	ErrConflict = errors.New("the stream has moved on: last sequence is not the expected one")
	// ErrStalled: the server acknowledged nothing for ten seconds while the
	// window was full; the message was not sent.
	ErrStalled = errors.New("server acknowledges nothing: message not sent")
)

// Stored is where a stream put a message.
type Stored struct {
	// Stream that stored it, and its Sequence there. For a duplicate the
	// sequence is that of the message stored first, 0 if the server did not
	// say.
	Stream   string
	Sequence uint64
	// Duplicate: the id was known already, so nothing new was stored.
	Duplicate bool
}

// Ack is the future of one message: what the stream will have answered. Safe
// for concurrent use.
type Ack struct {
	msg   *nats.Msg
	group *ackGroup
	token uint64
	sent  int64 // Unix nanoseconds
	tries int
	slot  bool

	// Written under the inbox lock before the group is told.
	stored Stored
	err    error
	ended  bool
}

// Done is closed when the outcome is known. The acknowledgements of one call
// to PublishMsgs share it.
func (a *Ack) Done() <-chan struct{} { return a.group.done }

// Wait returns the outcome, or the context's error when that ends first (the
// message may then be stored or not).
func (a *Ack) Wait(ctx context.Context) (Stored, error) {
	select {
	case <-a.group.done:
		return a.stored, a.err
	case <-ctx.Done():
		return Stored{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

// ackGroup counts the open acknowledgements of one call.
type ackGroup struct {
	left atomic.Int64
	done chan struct{}
}

func newAckGroup(n int) *ackGroup {
	g := &ackGroup{done: make(chan struct{})}
	g.left.Store(int64(n))
	return g
}

func (g *ackGroup) add(n int64) {
	if g.left.Add(n) == 0 {
		close(g.done)
	}
}

// ackInbox matches the answers of streams with the messages sent. One
// subscription serves all publishers of a Bus. The zero value is ready.
type ackInbox struct {
	mu         sync.Mutex
	nc         *nats.Conn
	prefix     string
	next       uint64
	pending    map[uint64]*Ack
	slots      chan struct{}
	sweeping   bool
	reconnects uint64
	cutoff     int64 // what was sent before this lost its answer
}

// start subscribes on first use.
func (x *ackInbox) start(nc *nats.Conn) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.nc != nil {
		return nil
	}
	prefix := nc.NewInbox() + "." + nuid.Next() + "."
	sub, err := nc.Subscribe(prefix+"*", x.answer)
	if err != nil {
		return fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	// Never drop an answer for lack of room: the window bounds them.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	x.nc, x.prefix = nc, prefix
	x.pending = make(map[uint64]*Ack, publishWindow)
	x.slots = make(chan struct{}, publishWindow)
	x.reconnects = nc.Stats().Reconnects
	return nil
}

// acquire takes a place in the window.
func (x *ackInbox) acquire(ctx context.Context) error {
	select {
	case x.slots <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(ackWait + 2*ackSweep)
	defer t.Stop()
	select {
	case x.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return ErrStalled
	}
}

// send publishes a.msg and registers a for the answer. Whatever happens, a
// ends and its group is told.
func (x *ackInbox) send(a *Ack) {
	now := time.Now().UnixNano()
	x.mu.Lock()
	x.next++
	a.token, a.sent = x.next, now
	x.pending[a.token] = a
	if !x.sweeping {
		x.sweeping = true
		time.AfterFunc(ackSweep, x.sweep)
	}
	x.mu.Unlock()
	var buf [96]byte
	a.msg.Reply = string(strconv.AppendUint(append(buf[:0], x.prefix...), a.token, 36))
	if err := x.nc.PublishMsg(a.msg); err != nil {
		x.finish(a.token, Stored{}, sendError(err))
	}
}

func sendError(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("not sent: %w", err)
}

// finish ends the message of a token, once.
func (x *ackInbox) finish(token uint64, s Stored, err error) {
	x.mu.Lock()
	a, ok := x.pending[token]
	if ok {
		delete(x.pending, token)
		x.end(a, s, err)
	}
	x.mu.Unlock()
}

// end records the outcome. The lock is held.
func (x *ackInbox) end(a *Ack, s Stored, err error) {
	a.stored, a.err, a.ended = s, err, true
	if a.slot {
		a.slot = false
		<-x.slots
	}
	a.group.add(-1)
}

// abandon ends with err what is still open of acks.
func (x *ackInbox) abandon(acks []Ack, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range acks {
		a := &acks[i]
		if a.ended {
			continue
		}
		delete(x.pending, a.token)
		x.end(a, Stored{}, err)
	}
}

// answer handles one acknowledgement. It runs on the subscription's goroutine.
func (x *ackInbox) answer(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	if len(m.Data) == 0 && len(m.Header) > 0 && m.Header.Get("Status") == "503" {
		x.noStream(token)
		return
	}
	s, err := parseAck(m.Data)
	x.finish(token, s, err)
}

// noStream sends again, or gives up.
func (x *ackInbox) noStream(token uint64) {
	x.mu.Lock()
	a, ok := x.pending[token]
	again := false
	if ok {
		if a.tries++; a.tries >= noStreamTries {
			delete(x.pending, token)
			x.end(a, Stored{}, ErrNoStream)
		} else {
			again = true
		}
	}
	x.mu.Unlock()
	if !again {
		return
	}
	time.AfterFunc(noStreamPause, func() {
		x.mu.Lock()
		_, open := x.pending[token]
		x.mu.Unlock()
		if !open {
			return
		}
		if err := x.nc.PublishMsg(a.msg); err != nil {
			x.finish(token, Stored{}, sendError(err))
		}
	})
}

// sweep fails what will not be answered any more: everything once the
// connection is closed, what was in flight when the connection broke, and what
// is too old. It runs while anything is pending.
func (x *ackInbox) sweep() {
	now := time.Now().UnixNano()
	closed := x.nc.IsClosed()
	reconnects := x.nc.Stats().Reconnects
	x.mu.Lock()
	defer x.mu.Unlock()
	late := now - int64(ackWait)
	// Answers to what was sent before the connection broke are gone; one more
	// sweep lets those through that were sent right after it came back.
	cutoff := x.cutoff
	x.cutoff = 0
	if reconnects != x.reconnects {
		x.reconnects, x.cutoff = reconnects, now
	}
	for token, a := range x.pending {
		if closed || a.sent < late || a.sent < cutoff {
			delete(x.pending, token)
			x.end(a, Stored{}, ErrOutcomeUnknown)
		}
	}
	if x.sweeping = len(x.pending) > 0; x.sweeping {
		time.AfterFunc(ackSweep, x.sweep)
	}
}

// parseAck reads the answer of a stream. An empty one (the server took the
// message of an open batch) is no error.
func parseAck(data []byte) (Stored, error) {
	if len(data) == 0 {
		return Stored{}, nil
	}
	if s, ok := fastAck(data); ok {
		return s, nil
	}
	var r struct {
		Error     *jetstream.APIError `json:"error"`
		Stream    string              `json:"stream"`
		Sequence  uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return Stored{}, fmt.Errorf("acknowledgement is no JSON: %w", err)
	}
	if r.Error != nil {
		switch r.Error.ErrorCode {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return Stored{}, fmt.Errorf("%w: %w", ErrConflict, r.Error)
		}
		return Stored{}, fmt.Errorf("refused by stream %s: %w", r.Stream, r.Error)
	}
	if r.Stream == "" {
		return Stored{}, errors.New("acknowledgement names no stream")
	}
	return Stored{Stream: r.Stream, Sequence: r.Sequence, Duplicate: r.Duplicate}, nil
}

// Names of our streams, so that reading an acknowledgement allocates nothing.
var knownStreams = func() map[string]string {
	m := make(map[string]string)
	for _, s := range allStreams {
		m[s] = s
	}
	return m
}()

var (
	ackStart = []byte(`{"stream":"`)
	ackSeq   = []byte(`"seq":`)
)

// fastAck reads the two plain forms, {"stream":"S","seq":N} and the same with
// "domain"; everything else is left to the JSON reader.
func fastAck(data []byte) (Stored, bool) {
	rest, ok := bytes.CutPrefix(data, ackStart)
	if !ok {
		return Stored{}, false
	}
	i := bytes.IndexByte(rest, '"')
	if i < 1 || bytes.IndexByte(rest[:i], '\\') >= 0 {
		return Stored{}, false
	}
	name, rest := rest[:i], rest[i+1:]
	if rest, ok = bytes.CutPrefix(rest, []byte{','}); !ok {
		return Stored{}, false
	}
	rest = bytes.TrimLeft(rest, " ")
	if rest, ok = bytes.CutPrefix(rest, ackSeq); !ok {
		return Stored{}, false
	}
	rest = bytes.TrimLeft(rest, " ")
	var n uint64
	k := 0
	for k < len(rest) && k < 19 && rest[k] >= '0' && rest[k] <= '9' {
		n = n*10 + uint64(rest[k]-'0')
		k++
	}
	if k == 0 || len(rest) != k+1 || rest[k] != '}' {
		return Stored{}, false
	}
	s, known := knownStreams[string(name)]
	if !known {
		s = string(name)
	}
	return Stored{Stream: s, Sequence: n}, true
}
