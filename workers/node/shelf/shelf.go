// SPDX-License-Identifier: Apache-2.0

package shelf

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/ballast-energy/ballast/hashengine"
)

// Defaults of a Config.
const (
	DefaultKeep     = 64
	DefaultMaxBytes = 256 << 20
)

// Bounds of one file: reading one template reads those before it, too.
const (
	maxPerFile   = 64
	maxFileBytes = 64 << 20
)

// Config of a Shelf.
type Config struct {
	// Dir is the folder, made when it is not there.
	Dir string
	// Keep is the number of templates that are kept at least, as long as they
	// fit into MaxBytes. 0 means the defaults.
	Keep     int
	MaxBytes int64
}

// Key of a template.
type Key [sha256.Size]byte

// Template is what is kept of one.
type Template struct {
	Key Key
	// Previous block.
	Previous hashengine.Hash
	// IDs tell transactions apart (hashes with witness), and Data are their
	// bytes, one for one, in the order of the block.
	IDs  []hashengine.Hash
	Data [][]byte
}

// ErrNotKept: there is no such template.
var ErrNotKept = errors.New("the transactions of the template are not kept")

// ErrFolder is wrapped by what goes wrong with the folder.
var ErrFolder = errors.New("folder of block templates")

// Shelf keeps templates in a folder.
type Shelf struct {
	config Config

	mu     sync.Mutex
	opened bool
	codec  *codec
	// order of the keys, oldest first, and where each is.
	order []Key
	at    map[Key]place
	files []*file // oldest first
	next  uint64  // number of the next file
	now   *writing
}

// place of a template: a file, and how many records come before it.
type place struct {
	in     *file
	before int
}

// file of templates.
type file struct {
	path  string
	size  int64
	count int // of records
}

// writing is the file that records are added to.
type writing struct {
	*file
	f        *os.File
	previous hashengine.Hash
	places   map[hashengine.Hash]int // of transactions, from 1
}

// New makes a shelf. The folder is not touched before Put or Find.
func New(c Config) *Shelf {
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	return &Shelf{config: c, at: make(map[Key]place)}
}

var fileName = regexp.MustCompile(`^([0-9a-f]{16})\.templates$`)

// open reads what is in the folder, once.
func (s *Shelf) open() error {
	if s.opened {
		return nil
	}
	if s.codec == nil {
		c, err := newCodec()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFolder, err)
		}
		s.codec = c
	}
	if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	entries, err := os.ReadDir(s.config.Dir) // sorted by name
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	for _, e := range entries {
		m := fileName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		number, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			continue // 16 digits fit
		}
		s.next = max(s.next, number+1)
		s.list(filepath.Join(s.config.Dir, e.Name()))
	}
	s.opened = true
	return nil
}

// list takes in a file of an earlier start. What cannot be read of it is left
// out; it is removed in its turn.
func (s *Shelf) list(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return
	}
	l := &file{path: path, size: info.Size()}
	s.files = append(s.files, l)
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(f, begin); err != nil || string(begin) != magic {
		return
	}
	for at := int64(len(magic)); ; {
		k, length, _, err := readHead(f)
		if at += int64(headBytes) + length; err != nil || at > l.size {
			return // the end, or cut short
		}
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return
		}
		s.enter(k, place{l, l.count})
		l.count++
	}
}

// enter a template as the newest.
func (s *Shelf) enter(k Key, p place) {
	if _, ok := s.at[k]; ok {
		s.order = slices.DeleteFunc(s.order, func(o Key) bool { return o == k })
	}
	s.order = append(s.order, k)
	s.at[k] = p
}

// Put keeps a template. When it fails the template is not kept, and all others
// are.
func (s *Shelf) Put(t Template) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(t.Data) > maxTransactions || len(t.IDs) != len(t.Data) {
		return fmt.Errorf("%d transactions with %d ids, %d at most", len(t.Data), len(t.IDs), maxTransactions)
	}
	if err := s.open(); err != nil {
		return err
	}
	if n := len(s.order); n > 0 && s.order[n-1] == t.Key {
		return nil
	}
	if w := s.now; w != nil && (w.previous != t.Previous || w.count >= maxPerFile || w.size >= maxFileBytes) {
		if err := s.finish(); err != nil {
			return fmt.Errorf("%w: %w", ErrFolder, err)
		}
	}
	if s.now == nil {
		if err := s.begin(t.Previous); err != nil {
			return fmt.Errorf("%w: %w", ErrFolder, err)
		}
	}
	w := s.now
	places := make([]int, len(t.Data))
	fresh := make(map[hashengine.Hash]int)
	for i, id := range t.IDs {
		if places[i] = w.places[id]; places[i] == 0 {
			if places[i] = fresh[id]; places[i] == 0 {
				fresh[id] = len(w.places) + len(fresh) + 1
			}
		}
	}
	body := appendBody(nil, places, t.Data)
	if len(body) > maxRecord {
		return fmt.Errorf("a template of %d bytes, %d at most", len(body), maxRecord)
	}
	if err := w.add(appendRecord(nil, t.Key, s.codec.pack(body))); err != nil {
		// What is in the file before stays; nobody writes behind a torn end.
		_ = s.finish()
		s.prune() // a full disk is not filled with beginnings of files
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	for id, place := range fresh {
		w.places[id] = place
	}
	s.enter(t.Key, place{w.file, w.count})
	w.count++
	s.prune()
	return nil
}

// begin a file.
func (s *Shelf) begin(previous hashengine.Hash) error {
	for {
		path := filepath.Join(s.config.Dir, fmt.Sprintf("%016x.templates", s.next))
		s.next++
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		w := &writing{file: &file{path: path}, f: f, previous: previous, places: make(map[hashengine.Hash]int)}
		if err := w.add([]byte(magic)); err != nil {
			_ = f.Close()
			_ = os.Remove(path)
			return err
		}
		syncFolder(s.config.Dir)
		s.files, s.now = append(s.files, w.file), w
		return nil
	}
}

// add bytes at the end, and see them to the disk.
func (w *writing) add(b []byte) error {
	if _, err := w.f.Write(b); err != nil {
		return err
	}
	w.size += int64(len(b))
	return w.f.Sync()
}

// syncFolder makes names last over a loss of power, where the system lets it.
func syncFolder(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	_ = f.Sync() // not everywhere allowed
	_ = f.Close()
}

// finish the file that is being written.
func (s *Shelf) finish() error {
	w := s.now
	if w == nil {
		return nil
	}
	s.now = nil
	return w.f.Close()
}

// prune removes files of which nothing is wanted any more.
func (s *Shelf) prune() {
	if n := len(s.order) - s.config.Keep; n > 0 {
		for _, k := range s.order[:n] {
			delete(s.at, k)
		}
		s.order = slices.Clone(s.order[n:])
	}
	total := int64(0)
	wanted := make(map[*file]bool)
	for _, p := range s.at {
		wanted[p.in] = true
	}
	for _, f := range s.files {
		total += f.size
	}
	s.files = slices.DeleteFunc(s.files, func(f *file) bool {
		if s.now != nil && f == s.now.file || wanted[f] && total <= s.config.MaxBytes {
			return false
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return false // tried again with the next template
		}
		total -= f.size
		for k, p := range s.at {
			if p.in == f {
				delete(s.at, k)
			}
		}
		return true
	})
	s.order = slices.DeleteFunc(s.order, func(k Key) bool { _, ok := s.at[k]; return !ok })
}

// Find the transactions of a template, in the order of the block. The error
// wraps ErrNotKept when they are not there, and tells what is damaged.
func (s *Shelf) Find(k Key) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	p, ok := s.at[k]
	if !ok {
		return nil, ErrNotKept
	}
	data, err := s.load(k, p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return data, nil
}

// load a template and, as it refers to them, those before it in its file.
func (s *Shelf) load(k Key, p place) ([][]byte, error) {
	f, err := os.Open(p.in.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	if _, err := r.Discard(len(magic)); err != nil {
		return nil, err
	}
	var known, data [][]byte
	for i := range p.before + 1 {
		key, length, sum, err := readHead(r)
		if err != nil {
			return nil, fmt.Errorf("%s: record %d: %w", p.in.path, i, err)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, fmt.Errorf("%s: record %d: %w", p.in.path, i, err)
		}
		if checksum(key, body) != sum || i == p.before && key != k {
			return nil, fmt.Errorf("%s: record %d: %w", p.in.path, i, errDamaged)
		}
		if body, err = s.codec.unpack(body); err == nil {
			data, known, err = parseBody(body, known)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: record %d: %w", p.in.path, i, err)
		}
	}
	return data, nil
}

// Close ends writing. The shelf can be used again.
func (s *Shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.finish()
	if s.codec != nil {
		s.codec.close()
		s.codec, s.opened = nil, false
		s.order, s.at, s.files = nil, make(map[Key]place), nil
	}
	return err
}
