// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Format is what the first line of an export says it is.
const Format = "ballast-export/1"

// ErrFile is returned for an export that is damaged or cut off.
var ErrFile = errors.New("not a complete export")

// maxLine bounds one line of an export, bytes: the largest payload the bus
// takes, escaped, with headers.
const maxLine = 64 << 20

// FileHeader is the first line of an export.
type FileHeader struct {
	// Format, see the constant.
	Format string `json:"format"`
	// Site and Prefix of the subjects.
	Site   string `json:"site"`
	Prefix string `json:"prefix"`
	// ExportedAt is when it was written, and by which Version of Ballast.
	ExportedAt time.Time `json:"exported_at"`
	Version    string    `json:"version,omitempty"`
	// From and To bound the arrival times asked for; nil means open.
	From *time.Time `json:"from,omitempty"`
	To   *time.Time `json:"to,omitempty"`
	// Openings of journal epochs known when it was written.
	Openings []decider.Opening `json:"openings"`
}

// Line is one message of an export.
type Line struct {
	// Stream, Epoch (of the journal, 0 elsewhere), Sequence and Arrived are
	// where and when it was stored.
	Stream   string    `json:"stream"`
	Epoch    uint64    `json:"epoch,omitempty"`
	Sequence uint64    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
	// Subject and Headers as stored.
	Subject string              `json:"subject"`
	Headers map[string][]string `json:"headers,omitempty"`
	// Payload is the exact bytes as text; PayloadBase64 instead when they are
	// no UTF-8.
	Payload       string `json:"payload,omitempty"`
	PayloadBase64 string `json:"payload_base64,omitempty"`
}

// trailer is the last line: without it the file was cut off.
type trailer struct {
	Lines uint64 `json:"lines"`
}

func (l *Line) setPayload(data []byte) {
	if utf8.Valid(data) {
		l.Payload = string(data)
	} else {
		l.PayloadBase64 = base64.StdEncoding.EncodeToString(data)
	}
}

func (l *Line) payload() ([]byte, error) {
	if l.PayloadBase64 == "" {
		return []byte(l.Payload), nil
	}
	return base64.StdEncoding.DecodeString(l.PayloadBase64)
}

func (l *Line) raw() (*decider.Raw, error) {
	data, err := l.payload()
	if err != nil {
		return nil, fmt.Errorf("%w: payload of %s/%d: %w", ErrFile, l.Stream, l.Sequence, err)
	}
	return &decider.Raw{Subject: l.Subject, Header: nats.Header(l.Headers), Data: data, Sequence: l.Sequence, Arrived: l.Arrived.UTC()}, nil
}

// ReadFile reads an export: the header, then the lines one by one. Iterating
// reads from r, once. A file that was cut off ends with ErrFile after its last
// whole line.
func ReadFile(r io.Reader) (*FileHeader, iter.Seq2[*Line, error], error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	var h FileHeader
	if !sc.Scan() {
		z.Close()
		return nil, nil, fmt.Errorf("%w: no header line: %w", ErrFile, orEOF(sc.Err()))
	}
	if err := json.Unmarshal(sc.Bytes(), &h); err != nil {
		z.Close()
		return nil, nil, fmt.Errorf("%w: header line: %w", ErrFile, err)
	}
	if h.Format != Format {
		z.Close()
		return nil, nil, fmt.Errorf("%w: format %q, this reads %s", ErrFile, h.Format, Format)
	}
	if err := errors.Join(events.CheckToken("site", h.Site), events.CheckToken("prefix", h.Prefix)); err != nil {
		z.Close()
		return nil, nil, fmt.Errorf("%w: header line: %w", ErrFile, err)
	}
	return &h, func(yield func(*Line, error) bool) {
		defer z.Close()
		n := uint64(0)
		for sc.Scan() {
			var l struct {
				Line
				trailer
			}
			if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
				yield(nil, fmt.Errorf("%w: line %d: %w", ErrFile, n+2, err))
				return
			}
			if l.Stream == "" {
				if l.Lines != n {
					yield(nil, fmt.Errorf("%w: it ends after %d lines and says %d", ErrFile, n, l.Lines))
				}
				return
			}
			n++
			if !yield(&l.Line, nil) {
				return
			}
		}
		yield(nil, fmt.Errorf("%w: it breaks off after %d lines: %w", ErrFile, n, orEOF(sc.Err())))
	}, nil
}

func orEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// File is the source of an export that lies at path. Every read opens it anew.
func File(path string) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	defer f.Close()
	h, _, err := ReadFile(f)
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", path, err)
	}
	return &file{path, h}, nil
}

type file struct {
	path string
	h    *FileHeader
}

func (f *file) Site() string   { return f.h.Site }
func (f *file) Prefix() string { return f.h.Prefix }

func (f *file) Openings(context.Context) ([]decider.Opening, error) { return f.h.Openings, nil }

func (f *file) Read(ctx context.Context, stream string) iter.Seq2[*decider.Raw, error] {
	return func(yield func(*decider.Raw, error) bool) {
		in, err := os.Open(f.path)
		if err != nil {
			yield(nil, fmt.Errorf("export: %w", err))
			return
		}
		defer in.Close()
		_, lines, err := ReadFile(in)
		if err != nil {
			yield(nil, fmt.Errorf("export %s: %w", f.path, err))
			return
		}
		for l, err := range lines {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, fmt.Errorf("export %s: %w", f.path, err))
				return
			}
			if l.Stream != stream {
				continue
			}
			raw, err := l.raw()
			if err != nil {
				yield(nil, fmt.Errorf("export %s: %w", f.path, err))
				return
			}
			if !yield(raw, nil) {
				return
			}
		}
	}
}
