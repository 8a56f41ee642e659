// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Format is what the first line of an export says it is. formatPlain is read
// as well: one block, no index, no snapshots.
const (
	Format      = "ballast-export/2"
	formatPlain = "ballast-export/1"
)

// ErrFile is returned for an export that is damaged or cut off.
var ErrFile = errors.New("not a complete export")

// maxLine bounds one line of an export, bytes: the largest payload the bus
// takes, escaped, with headers. maxBlock bounds a block, decompressed.
const (
	maxLine  = 64 << 20
	maxBlock = blockBytes + maxLine
)

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

// ReadFile reads an export: the header, then the lines one by one. Iterating
// reads from r, once. A file that was cut off ends with ErrFile after its last
// whole line.
func ReadFile(r io.Reader) (*FileHeader, iter.Seq2[*Line, error], error) {
	h, sc, end, err := openLines(r)
	if err != nil {
		return nil, nil, err
	}
	return h, func(yield func(*Line, error) bool) {
		defer end()
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
				if err := ending(sc, n, l.Lines); err != nil {
					yield(nil, err)
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

// openLines reads the header and leaves the lines to the scanner.
func openLines(r io.Reader) (*FileHeader, *bufio.Scanner, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	var h FileHeader
	if !sc.Scan() {
		z.Close()
		return nil, nil, nil, fmt.Errorf("%w: no header line: %w", ErrFile, orEOF(sc.Err()))
	}
	if err := json.Unmarshal(sc.Bytes(), &h); err != nil {
		z.Close()
		return nil, nil, nil, fmt.Errorf("%w: header line: %w", ErrFile, err)
	}
	if h.Format != Format && h.Format != formatPlain {
		z.Close()
		return nil, nil, nil, fmt.Errorf("%w: format %q, this reads %s and %s", ErrFile, h.Format, Format, formatPlain)
	}
	if err := errors.Join(events.CheckToken("site", h.Site), events.CheckToken("prefix", h.Prefix)); err != nil {
		z.Close()
		return nil, nil, nil, fmt.Errorf("%w: header line: %w", ErrFile, err)
	}
	return &h, sc, z.Close, nil
}

// ending checks what the trailer says, and that nothing but the index is behind
// it.
func ending(sc *bufio.Scanner, n, said uint64) error {
	if said != n {
		return fmt.Errorf("%w: it ends after %d lines and says %d", ErrFile, n, said)
	}
	if sc.Scan() {
		return fmt.Errorf("%w: there are lines behind its last", ErrFile)
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%w: behind its last line: %w", ErrFile, err)
	}
	return nil
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
	h, _, end, err := openLines(f)
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", path, err)
	}
	end()
	x := &file{path: path, h: h}
	if h.Format == Format {
		if x.index, err = readIndex(f); err != nil {
			return nil, fmt.Errorf("export %s: %w", path, err)
		}
	}
	return x, nil
}

type file struct {
	path  string
	h     *FileHeader
	index *index // nil in a plain one
}

func (f *file) Site() string   { return f.h.Site }
func (f *file) Prefix() string { return f.h.Prefix }

func (f *file) Openings(context.Context) ([]decider.Opening, error) { return f.h.Openings, nil }

func (f *file) Newest(context.Context) (uint64, error) {
	newest := uint64(0)
	if f.index != nil {
		for _, b := range f.index.Blocks {
			if b.Stream == events.StreamJournal {
				newest = max(newest, b.Last)
			}
		}
	}
	return newest, nil
}

func (f *file) Read(ctx context.Context, stream string, from uint64) iter.Seq2[*decider.Raw, error] {
	return func(yield func(*decider.Raw, error) bool) {
		in, err := os.Open(f.path)
		if err != nil {
			yield(nil, fmt.Errorf("export: %w", err))
			return
		}
		defer in.Close()
		lines := f.whole(in)
		if f.index != nil {
			lines = f.blocks(in, stream, from)
		}
		var r lineReader
		for line, err := range lines {
			if err == nil {
				err = ctx.Err()
			}
			var at string
			var m *decider.Raw
			if err == nil {
				if at, m, err = r.read(line); err != nil {
					err = fmt.Errorf("%w: %w", ErrFile, err)
				}
			}
			if err != nil {
				yield(nil, fmt.Errorf("export %s: %w", f.path, err))
				return
			}
			if at == stream && m.Sequence >= from && !yield(m, nil) {
				return
			}
		}
	}
}

// whole yields every line of a plain export.
func (f *file) whole(in io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		_, sc, end, err := openLines(in)
		if err != nil {
			yield(nil, err)
			return
		}
		defer end()
		n := uint64(0)
		for sc.Scan() {
			line := sc.Bytes()
			if len(line) < 64 {
				var t struct {
					Stream string  `json:"stream"`
					Lines  *uint64 `json:"lines"`
				}
				if json.Unmarshal(line, &t) == nil && t.Stream == "" && t.Lines != nil {
					if err := ending(sc, n, *t.Lines); err != nil {
						yield(nil, err)
					}
					return
				}
			}
			n++
			if !yield(line, nil) {
				return
			}
		}
		yield(nil, fmt.Errorf("%w: it breaks off after %d lines: %w", ErrFile, n, orEOF(sc.Err())))
	}
}
