// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// take reads everything and notes methods, ids and errors.
func take(t *testing.T, r *Reader) []string {
	t.Helper()
	var got []string
	var m Message
	for range 1000 {
		err := r.Next(&m)
		switch {
		case errors.Is(err, io.EOF):
			return got
		case errors.Is(err, ErrLineTooLong):
			got = append(got, "long")
		case errors.Is(err, ErrMalformed):
			got = append(got, "bad")
		case err != nil:
			return append(got, err.Error())
		default:
			got = append(got, fmt.Sprintf("%s#%s", m.Method, m.ID))
		}
	}
	t.Fatal("does not end")
	return nil
}

func TestReader(t *testing.T) {
	long := `{"method":"` + strings.Repeat("x", 300) + `"}`
	for _, c := range []struct{ name, in, want string }{
		{"lines", "{\"method\":\"a\",\"id\":1}\n{\"method\":\"b\"}\n", "a#1 b#"},
		{"crlf, empty lines, blanks", "\r\n\n {\"method\":\"a\"} \r\n\r\n\t\n{\"method\":\"b\"}\r\n", "a# b#"},
		{"several objects in a line", "{\"id\":1}{\"id\":2} {\"id\":3}\n{\"id\":4}\n", "#1 #2 #3 #4"},
		{"no end of the last line", "{\"id\":1}\n{\"id\":2}", "#1 #2"},
		{"cut off at the end", "{\"id\":1}\n{\"id\":", "#1 bad"},
		{"not JSON, then on", "{\"id\":1}\nHTTP/1.1 400 Bad Request\n{\"id\":2}\n", "#1 bad #2"},
		{"no object", "[1]\n5\nnull\n\"x\"\n{}\n", "bad bad bad bad #"},
		{"bad after good in a line", "{\"id\":1}junk\n{\"id\":2}\n", "#1 bad #2"},
		{"too long, then on", "{\"id\":1}\n" + long + "\n{\"id\":2}\n", "#1 long #2"},
		{"too long, twice", long + "\n" + long + "\n{\"id\":2}\n", "long long #2"},
		{"too long without end", "{\"id\":1}\n" + long, "#1 long"},
		{"far too long", strings.Repeat(long, 500) + "\n{\"id\":2}\n", "long #2"},
		{"nothing", "", ""},
		{"empty lines only", "\n\n\r\n", ""},
		{"zero bytes", "\x00\x00\n{\"id\":2}\n", "bad #2"},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with the end": iotest.DataErrReader,
		} {
			got := strings.Join(take(t, NewReader(wrap(strings.NewReader(c.in)), 256)), " ")
			if got != c.want {
				t.Errorf("%s, %s: %q, want %q", c.name, name, got, c.want)
			}
		}
	}
}

func TestReaderAtTheLimit(t *testing.T) {
	fill := func(n int) string { return `{"method":"` + strings.Repeat("x", n-13) + `"}` }
	for _, c := range []struct {
		n    int
		want bool
	}{{255, true}, {256, true}, {257, false}, {258, false}, {259, false}, {600, false}} {
		r := NewReader(strings.NewReader(fill(c.n)+"\n{\"id\":2}\n"), 256)
		var m Message
		err := r.Next(&m)
		if (err == nil) != c.want || err != nil && !Recoverable(err) {
			t.Errorf("%d bytes: %v", c.n, err)
		}
		if err := r.Next(&m); err != nil || string(m.ID) != "2" {
			t.Errorf("%d bytes: after it %s, %v", c.n, m.ID, err)
		}
	}
}

func TestReaderKeepsWhatItHasOverATimeout(t *testing.T) {
	first, second := `{"id":`, "7}\n"
	r := NewReader(io.MultiReader(strings.NewReader(first), iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(second)))), 0)
	var m Message
	if err := r.Next(&m); !errors.Is(err, iotest.ErrTimeout) {
		t.Fatalf("%v", err)
	}
	if err := r.Next(&m); err != nil || string(m.ID) != "7" {
		t.Fatalf("%s, %v", m.ID, err)
	}
}

func TestReaderGivesBackALargeBuffer(t *testing.T) {
	in := `{"method":"` + strings.Repeat("x", 60000) + "\"}\n"
	r := NewReader(io.MultiReader(strings.NewReader(in), strings.NewReader("{\"id\":1}\n")), 0)
	var m Message
	for range 2 {
		if err := r.Next(&m); err != nil {
			t.Fatal(err)
		}
	}
	if cap(r.buf) > keptBuffer {
		t.Errorf("still holds %d bytes", cap(r.buf))
	}
	if r.Buffered() {
		t.Error("says that there is more")
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestReaderOfNothing(t *testing.T) {
	var m Message
	if err := NewReader(idle{}, 0).Next(&m); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
}
