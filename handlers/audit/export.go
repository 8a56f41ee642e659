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
	n := uint64(0)
	if err == nil {
		err = exportSnapshots(ctx, src, x)
	}
	for _, stream := range exported {
		if err != nil {
			break
		}
		var lines uint64
		lines, err = exportStream(ctx, b, site, stream, from, to, &epochs, x)
		n += lines
	}
	if err == nil {
		err = x.Close()
	}
	if err != nil {
		return n, fmt.Errorf("export of %s broke off after %d messages, the file is of no use: %w", site, n, err)
	}
	return n, nil
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

func exportStream(ctx context.Context, b *bus.Bus, site, stream string, from, to time.Time, epochs *decider.Epochs, x *Writer) (uint64, error) {
	n := uint64(0)
	for m, err := range b.RawEvents(ctx, events.ReadRequest{Stream: stream, Site: site, Since: from, Until: to}) {
		if err != nil {
			return n, err
		}
		raw := decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, Arrived: m.Arrived}
		epoch := uint64(0)
		if stream == events.StreamJournal {
			epoch = epochs.At(m.Sequence)
		}
		if err := x.Write(stream, epoch, &raw); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
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
