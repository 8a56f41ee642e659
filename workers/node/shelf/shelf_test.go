// SPDX-License-Identifier: Apache-2.0

package shelf

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ballast-energy/ballast/hashengine"
)

// template of transactions that are told by numbers.
func template(behind int, numbers ...int) Template {
	t := Template{Key: sha256.Sum256(fmt.Append(nil, behind, numbers)), Previous: hashengine.DoubleSHA256(fmt.Append(nil, behind))}
	for _, n := range numbers {
		t.Data = append(t.Data, transaction(n))
		t.IDs = append(t.IDs, hashengine.DoubleSHA256(transaction(n)))
	}
	return t
}

// transaction of some hundred bytes that cannot be compressed.
func transaction(n int) []byte {
	r := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, "tx", n)))
	b := make([]byte, 200+n%300)
	_, _ = r.Read(b)
	return b
}

func count(from, to int) (n []int) {
	for i := from; i < to; i++ {
		n = append(n, i)
	}
	return n
}

func put(t *testing.T, s *Shelf, all ...Template) {
	t.Helper()
	for _, p := range all {
		if err := s.Put(p); err != nil {
			t.Fatal(err)
		}
	}
}

func kept(t *testing.T, s *Shelf, want Template) {
	t.Helper()
	got, err := s.Find(want.Key)
	if err != nil || !slices.EqualFunc(got, want.Data, bytes.Equal) {
		t.Errorf("%d transactions, %v; want %d", len(got), err, len(want.Data))
	}
}

func gone(t *testing.T, s *Shelf, not Template) {
	t.Helper()
	if _, err := s.Find(not.Key); !errors.Is(err, ErrNotKept) {
		t.Errorf("%v", err)
	}
}

func files(t *testing.T, dir string) (paths []string, size int64) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return paths, size
}

func TestTemplatesOutliveTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	s := New(Config{Dir: dir})
	gone(t, s, template(1, 1))
	all := []Template{
		template(1, count(0, 1000)...),
		template(1, append([]int{2000}, count(1, 1100)...)...), // one left out, one before, some behind
		template(1),
		template(1, 5, 4, 3, 5), // another order; what cannot be, twice, is kept as it is
		template(2, count(900, 1200)...),
	}
	put(t, s, all...)
	put(t, s, all[4], all[4]) // the same again takes no room
	for _, p := range all {
		kept(t, s, p)
	}
	// The process is killed: nothing is closed.
	for range 3 {
		s = New(Config{Dir: dir})
		for _, p := range all {
			kept(t, s, p)
		}
		gone(t, s, template(3, 1))
	}
	more := template(2, count(900, 1201)...)
	put(t, s, more)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range append(all, more) { // and closed, it can be used again
		kept(t, s, p)
	}
	if paths, _ := files(t, dir); len(paths) != 3 {
		t.Errorf("%v", paths)
	}
}

// What templates have in common is there once.
func TestTemplatesShareTransactions(t *testing.T) {
	dir := t.TempDir()
	s := New(Config{Dir: dir})
	put(t, s, template(1, count(0, 3000)...))
	_, first := files(t, dir)
	for i := 1; i <= 20; i++ {
		put(t, s, template(1, count(i, 3000+i)...))
	}
	if _, all := files(t, dir); all > first+first/5 {
		t.Errorf("%d bytes for one, %d for 21 that differ in a transaction each", first, all)
	}
	kept(t, s, template(1, count(20, 3020)...))
	kept(t, New(Config{Dir: dir}), template(1, count(7, 3007)...))
}

func TestOldTemplatesGo(t *testing.T) {
	dir := t.TempDir()
	s := New(Config{Dir: dir, Keep: 5})
	var all []Template
	for behind := range 20 {
		for i := range 2 {
			all = append(all, template(behind, i, behind))
			put(t, s, all[len(all)-1])
		}
		if behind == 10 { // a start in between
			s = New(Config{Dir: dir, Keep: 5})
		}
	}
	for _, p := range all[35:] {
		kept(t, s, p)
	}
	gone(t, s, all[33])
	gone(t, s, all[0])
	if paths, _ := files(t, dir); len(paths) > 3 {
		t.Errorf("%v", paths)
	}
	// One that comes back is the newest.
	put(t, s, all[35], template(30, 1), template(30, 2), template(30, 3))
	kept(t, s, all[35])
	gone(t, s, all[36])
	// By size, too, however many are to be kept; the newest is always.
	dir = t.TempDir()
	s = New(Config{Dir: dir, MaxBytes: 300_000})
	for behind := range 10 {
		put(t, s, template(behind, count(1000*behind, 1000*behind+300)...))
	}
	if _, size := files(t, dir); size > 500_000 {
		t.Errorf("%d bytes", size)
	}
	kept(t, s, template(9, count(9000, 9300)...))
	gone(t, s, template(5, count(5000, 5300)...))
}

func TestDamageCostsWhatIsDamaged(t *testing.T) {
	a, b, c := template(1, count(0, 50)...), template(1, count(10, 60)...), template(1, count(20, 70)...)
	fresh := func(t *testing.T) (dir, path string) {
		dir = t.TempDir()
		put(t, New(Config{Dir: dir}), a, b, c)
		paths, _ := files(t, dir)
		return dir, paths[0]
	}
	for name, test := range map[string]struct {
		harm func(raw []byte) []byte
		want []bool // which are kept
	}{
		"cut short":     {func(r []byte) []byte { return r[:len(r)-1] }, []bool{true, true, false}},
		"cut in a head": {func(r []byte) []byte { return append(r, 1, 2, 3) }, []bool{true, true, true}},
		"a bit flipped": {func(r []byte) []byte { r[len(r)-5] ^= 4; return r }, []bool{true, true, false}},
		"in the middle": {func(r []byte) []byte { r[500] ^= 4; return r }, []bool{false, false, false}},
		"another kind":  {func(r []byte) []byte { r[0] ^= 4; return r }, []bool{false, false, false}},
		"empty":         {func([]byte) []byte { return nil }, []bool{false, false, false}},
		"a long record": {func(r []byte) []byte { r[len(magic)+3] = 0xff; return r }, []bool{false, false, false}},
		"a short start": {func(r []byte) []byte { return r[:4] }, []bool{false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := fresh(t)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, test.harm(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s := New(Config{Dir: dir})
			for i, p := range []Template{a, b, c} {
				if test.want[i] {
					kept(t, s, p)
				} else {
					gone(t, s, p)
				}
			}
			d := template(2, 1, 2)
			put(t, s, d) // and it goes on
			kept(t, New(Config{Dir: dir}), d)
		})
	}
}

func TestAFolderThatCannotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(Config{Dir: filepath.Join(path, "below")})
	if err := s.Put(template(1, 1)); !errors.Is(err, ErrFolder) {
		t.Errorf("%v", err)
	}
	if _, err := s.Find(Key{}); !errors.Is(err, ErrFolder) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, s, template(1, 1)) // it can be now
	kept(t, s, template(1, 1))
	huge := template(1)
	huge.Data = make([][]byte, maxTransactions+1)
	if err := s.Put(huge); err == nil {
		t.Error("more transactions than a block can hold")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk that is full is not filled further with files that hold nothing.
func TestFilesThatHoldNothingGo(t *testing.T) {
	dir := t.TempDir()
	s := New(Config{Dir: dir})
	first := template(1, 1)
	put(t, s, first)
	for n := 2; n < 5; n++ {
		previous := template(n).Previous
		if err := errors.Join(s.finish(), s.begin(previous), s.now.f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(template(n, n)); !errors.Is(err, ErrFolder) {
			t.Errorf("%v", err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v", len(files), err)
	}
	kept(t, s, first)
	put(t, s, template(5, 5))
	kept(t, s, template(5, 5))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzBody(f *testing.F) {
	f.Add(appendBody(nil, []int{0, 0, 1}, [][]byte{{1, 2}, {3}, nil}))
	f.Add([]byte{0})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Add([]byte{2, 0, 200, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		known := [][]byte{{9}}
		data, all, err := parseBody(b, known)
		if err != nil {
			if !errors.Is(err, errDamaged) || data != nil {
				t.Errorf("%v", err)
			}
			return
		}
		if len(all) < len(known) || len(all) > len(known)+len(data) {
			t.Errorf("%d transactions known, %d of them read", len(all), len(data))
		}
		// What was read says the same when it is written.
		places := make([]int, len(data))
		written := slices.Clone(known)
		for i, d := range data {
			places[i] = 1 + slices.IndexFunc(written, func(k []byte) bool { return bytes.Equal(k, d) })
			if places[i] == 0 {
				written = append(written, d)
			}
		}
		again, _, err := parseBody(appendBody(nil, places, data), known)
		if err != nil || !slices.EqualFunc(again, data, bytes.Equal) {
			t.Errorf("%v: %x, %x", err, again, data)
		}
	})
}

func FuzzFile(f *testing.F) {
	whole := template(1, 1, 2, 3)
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendRecord([]byte(magic), whole.Key, c.pack(appendBody(nil, []int{0, 0, 0}, whole.Data))))
	f.Add([]byte(magic))
	f.Add(appendRecord([]byte(magic), whole.Key, []byte("no frame")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000007.templates"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := New(Config{Dir: dir})
		if _, err := s.Find(whole.Key); err != nil && !errors.Is(err, ErrNotKept) {
			t.Errorf("%v", err)
		}
		put(t, s, template(2, 4))
		kept(t, s, template(2, 4))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkPut(b *testing.B) {
	for _, share := range []int{0, 95} {
		b.Run(fmt.Sprintf("4MB/%dpercent-known", share), func(b *testing.B) {
			s := New(Config{Dir: b.TempDir()})
			const each = 11_500 // about 4 MB
			put := func(behind, from int) {
				if err := s.Put(template(behind, count(from, from+each)...)); err != nil {
					b.Fatal(err)
				}
			}
			put(0, 0)
			from := 0
			for i := range b.N {
				b.StopTimer()
				behind := 0
				if share == 0 {
					behind = i + 1
				}
				from += each * (100 - share) / 100
				t := template(behind, count(from, from+each)...)
				b.StartTimer()
				if err := s.Put(t); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_ = s.Close()
		})
	}
}
