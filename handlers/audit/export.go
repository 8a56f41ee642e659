// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// headerImportStream of a message in REPLAY names the stream it was exported
// from.
const headerImportStream = "Ballast-Import-Stream"

// importChunk messages are published at a time.
const importChunk = 500

// ErrImported: the name is taken in REPLAY. Nothing was changed.
var ErrImported = errors.New("stream REPLAY holds an import of that name: choose another name, or forget that one")

// Export writes what JOURNAL, COMMANDS and REVENUE hold of a site and what
// arrived from from until before to (zero means open) into w, compressed.
// version says who wrote it, for people. It returns how many messages were
// written.
//
// The streams are read one after the other. Outputs of causes that arrived after
// the end of the journal in the file are left out: there they would be of causes
// that nobody knows.
//
// The snapshots of the hosts are added where this connection may read them. An
// export that begins in the middle can only be verified from a snapshot
// taken there.
func Export(ctx context.Context, b *bus.Bus, site, version string, from, to time.Time, w io.Writer) (uint64, error) {
	src := &live{b, site}
	known, err := src.Openings(ctx)
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	var epochs decider.Epochs
	for _, o := range known {
		epochs.Add(o)
	}
	head := FileHeader{Site: site, Prefix: b.Prefix(), ExportedAt: time.Now().UTC(), Version: version, Openings: epochs.Openings()}
	if !from.IsZero() {
		head.From = &from
	}
	if !to.IsZero() {
		head.To = &to
	}
	x, err := NewWriter(w, head)
	e := &export{b: b, request: events.ReadRequest{Site: site, Since: from, Until: to}, epochs: &epochs, began: serverTime(ctx, b), x: x}
	if err == nil {
		err = exportSnapshots(ctx, src, x)
	}
	for _, stream := range exported {
		if err != nil {
			break
		}
		err = e.stream(ctx, stream)
	}
	if err == nil {
		err = x.Close()
	}
	if err != nil {
		return e.n, fmt.Errorf("export of %s broke off after %d messages, the file is of no use: %w", site, e.n, err)
	}
	return e.n, nil
}

// serverTime is the present time by the clock of the server, which dates what is
// stored; by ours where it does not tell.
func serverTime(ctx context.Context, b *bus.Bus) time.Time {
	s, err := b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return time.Now()
	}
	return s.CachedInfo().TimeStamp
}

// exportSnapshots writes what the hosts keep, so that a file can be verified
// from there, too. Whoever may not read them exports without.
func exportSnapshots(ctx context.Context, src Source, x *Writer) error {
	all, err := src.Snapshots(ctx)
	if err != nil {
		return ctx.Err()
	}
	for _, s := range all {
		data, err := s.Load(ctx)
		if err != nil {
			return err
		}
		if data == nil {
			continue // replaced meanwhile
		}
		if err := x.WriteSnapshot(data); err != nil {
			return err
		}
	}
	return nil
}

// export is one on its way into a file.
type export struct {
	b       *bus.Bus
	request events.ReadRequest
	epochs  *decider.Epochs
	began   time.Time // by the clock of the server
	last    uint64    // sequence of the journal in the file
	x       *Writer
	n       uint64 // messages written
}

// stream writes what one stream holds; the journal is the first.
func (e *export) stream(ctx context.Context, stream string) error {
	r := e.request
	r.Stream = stream
	for m, err := range e.b.RawEvents(ctx, r) {
		if err != nil {
			return err
		}
		raw := decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, Arrived: m.Arrived}
		epoch := uint64(0)
		if stream == events.StreamJournal {
			epoch, e.last = e.epochs.At(m.Sequence), m.Sequence
		} else if e.tooNew(&raw) {
			continue
		}
		if err := e.x.Write(stream, epoch, &raw); err != nil {
			return err
		}
		e.n++
	}
	return nil
}

// tooNew reports whether an output is of a cause that came into the journal after
// it was read. A cause of earlier is missing there, and its output tells of that.
func (e *export) tooNew(m *decider.Raw) bool {
	_, _, key, ok := decider.ParseMessageID(m.Header.Get(events.HeaderMsgID))
	if !ok || key.Sequence <= e.last && key.Epoch <= e.epochs.Newest() {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(events.HeaderCETime))
	return err == nil && at.After(e.began)
}

// importSubject is where a message of an import goes: below the replay prefix,
// which no live subscription matches.
func importSubject(prefix, name, subject string) string {
	_, rest, _ := strings.Cut(subject, ".")
	return bus.ReplayPrefix(prefix) + "." + name + "." + rest
}

// Import stores an export in stream REPLAY under name, a token of [a-z0-9-],
// and returns how many messages it holds. Every message carries the place it
// had as headers (events.HeaderImport*). When it breaks off, what is stored
// stays and is of no use: Forget it.
func Import(ctx context.Context, b *bus.Bus, name string, r io.Reader) (uint64, error) {
	if err := events.CheckToken("import name", name); err != nil {
		return 0, err
	}
	_, lines, err := ReadFile(r)
	if err != nil {
		return 0, fmt.Errorf("import %s: %w", name, err)
	}
	s, err := b.JetStream().Stream(ctx, events.StreamReplay)
	if err != nil {
		return 0, fmt.Errorf("import %s: stream %s: %w", name, events.StreamReplay, err)
	}
	_, err = s.GetLastMsgForSubject(ctx, importSubject(b.Prefix(), name, ".>"))
	switch {
	case err == nil:
		return 0, fmt.Errorf("import %s: %w", name, ErrImported)
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, fmt.Errorf("import %s: %w", name, err)
	}
	n := uint64(0)
	chunk := make([]*nats.Msg, 0, importChunk)
	flush := func() error {
		if _, err := b.PublishMsgs(ctx, chunk...); err != nil {
			return fmt.Errorf("import %s broke off after %d messages: %w", name, n, err)
		}
		n += uint64(len(chunk))
		chunk = chunk[:0]
		return nil
	}
	for l, err := range lines {
		if err != nil {
			return n, fmt.Errorf("import %s broke off after %d messages: %w", name, n, err)
		}
		if l.Stream == streamSnapshots {
			continue
		}
		m, err := importMessage(b.Prefix(), name, l)
		if err != nil {
			return n, fmt.Errorf("import %s broke off after %d messages: %w", name, n, err)
		}
		if chunk = append(chunk, m); len(chunk) == importChunk {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}

func importMessage(prefix, name string, l *Line) (*nats.Msg, error) {
	data, err := l.payload()
	if err != nil {
		return nil, fmt.Errorf("%w: payload of %s/%d: %w", ErrFile, l.Stream, l.Sequence, err)
	}
	if !isExported(l.Stream) {
		return nil, fmt.Errorf("%w: stream %q", ErrFile, l.Stream)
	}
	m := &nats.Msg{Subject: importSubject(prefix, name, l.Subject), Data: data, Header: make(nats.Header, len(l.Headers)+5)}
	for k, v := range l.Headers {
		// An id or condition of the original must not work on the copy.
		if strings.HasPrefix(k, "Nats-") {
			k = headerKept + k
		}
		m.Header[k] = v
	}
	m.Header[headerImportStream] = []string{l.Stream}
	m.Header[events.HeaderImportEpoch] = []string{strconv.FormatUint(l.Epoch, 10)}
	m.Header[events.HeaderImportSequence] = []string{strconv.FormatUint(l.Sequence, 10)}
	m.Header[events.HeaderImportTime] = []string{l.Arrived.UTC().Format(time.RFC3339Nano)}
	m.Header[events.HeaderImportSubject] = []string{l.Subject}
	return m, nil
}

func isExported(stream string) bool {
	for _, s := range exported {
		if s == stream {
			return true
		}
	}
	return false
}

// Forget removes an import from REPLAY.
func Forget(ctx context.Context, b *bus.Bus, name string) error {
	if err := events.CheckToken("import name", name); err != nil {
		return err
	}
	s, err := b.JetStream().Stream(ctx, events.StreamReplay)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(importSubject(b.Prefix(), name, ".>")))
	}
	if err != nil {
		return fmt.Errorf("forget import %s: %w", name, err)
	}
	return nil
}
