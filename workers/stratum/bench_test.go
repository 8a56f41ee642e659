// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"testing"
	"time"
)

func TestHotPathsDoNotAllocate(t *testing.T) {
	var m Message
	var s Submit
	reply := []byte(`{"id":7,"result":true,"error":null}`)
	line, out := []byte(vectorSubmit), make([]byte, 0, 4096)
	n, err := ParseNotify(parse(t, vectorNotify).Params)
	if err != nil {
		t.Fatal(err)
	}
	en2 := make([]byte, 8)
	for name, f := range map[string]func(){
		"read a submit": func() {
			if ParseMessage(line, &m) != nil || s.Parse(m.Params) != nil {
				t.Error("refused")
			}
		},
		"write a submit": func() { out = AppendSubmit(out[:0], 1, "acct.rig1", "bf", en2, 1, 2, true, 3) },
		"write true":     func() { out = AppendTrue(out[:0], m.ID) },
		"write an error": func() { out = AppendError(out[:0], m.ID, CodeLowDifficulty, "above target") },
		"write a notify": func() { out = n.Append(out[:0]) },
		"read a reply": func() {
			if ParseMessage(reply, &m) != nil || !m.Succeeded() || m.Failure() != nil {
				t.Error("refused")
			}
		},
	} {
		if a := testing.AllocsPerRun(100, f); a != 0 {
			t.Errorf("%s: %v allocations", name, a)
		}
	}
}

// wireMessage and its use below are how the same would be done with
// encoding/json.
type wireMessage struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	Result json.RawMessage   `json:"result"`
	Error  json.RawMessage   `json:"error"`
}

func submitByJSON(line []byte, s *Submit) error {
	var m wireMessage
	if err := json.Unmarshal(line, &m); err != nil {
		return err
	}
	var texts [6]string
	for i := range texts {
		if err := json.Unmarshal(m.Params[i], &texts[i]); err != nil {
			return err
		}
	}
	s.Worker, s.JobID = []byte(texts[0]), []byte(texts[1])
	var err error
	if s.Extranonce2, err = hex.DecodeString(texts[2]); err != nil {
		return err
	}
	for i, to := range []*uint32{&s.NTime, &s.Nonce, &s.VersionBits} {
		v, err := strconv.ParseUint(texts[3+i], 16, 32)
		if err != nil {
			return err
		}
		*to = uint32(v)
	}
	return nil
}

// compare reports how many times faster ours is.
func compare(b *testing.B, ours, theirs func()) {
	b.ReportAllocs()
	for b.Loop() {
		ours()
	}
	each := b.Elapsed()
	from := time.Now()
	for range b.N {
		theirs()
	}
	b.ReportMetric(float64(time.Since(from))/float64(max(each, 1)), "times-encoding/json")
}

func BenchmarkReadSubmit(b *testing.B) {
	line := []byte(vectorSubmit)
	var m Message
	var s, o Submit
	compare(b, func() {
		if ParseMessage(line, &m) != nil || s.Parse(m.Params) != nil {
			b.Fatal("refused")
		}
	}, func() {
		if err := submitByJSON(line, &o); err != nil {
			b.Fatal(err)
		}
	})
	if s.Nonce != o.Nonce || string(s.Worker) != string(o.Worker) || s.VersionBits != o.VersionBits {
		b.Fatal("they differ")
	}
}

func BenchmarkReadNotify(b *testing.B) {
	line := []byte(vectorNotify)
	var m Message
	compare(b, func() {
		if ParseMessage(line, &m) != nil {
			b.Fatal("refused")
		}
		if _, err := ParseNotify(m.Params); err != nil {
			b.Fatal(err)
		}
	}, func() {
		var m wireMessage
		if err := json.Unmarshal(line, &m); err != nil {
			b.Fatal(err)
		}
		var texts [9]string
		var branches []string
		for i, p := range m.Params {
			switch i {
			case 4:
				if err := json.Unmarshal(p, &branches); err != nil {
					b.Fatal(err)
				}
				for _, t := range branches {
					if _, err := hex.DecodeString(t); err != nil {
						b.Fatal(err)
					}
				}
			case 8:
			default:
				if err := json.Unmarshal(p, &texts[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
		for _, i := range []int{1, 2, 3} {
			if _, err := hex.DecodeString(texts[i]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReadReply(b *testing.B) {
	line := []byte(`{"id":7,"result":true,"error":null}`)
	var m Message
	compare(b, func() {
		if ParseMessage(line, &m) != nil || !m.Succeeded() {
			b.Fatal("refused")
		}
	}, func() {
		var m wireMessage
		if json.Unmarshal(line, &m) != nil || string(m.Result) != "true" {
			b.Fatal("refused")
		}
	})
}

func BenchmarkWriteSubmit(b *testing.B) {
	en2 := make([]byte, 8)
	out := make([]byte, 0, 512)
	compare(b, func() { out = AppendSubmit(out[:0], 7, "acct.rig1", "bf", en2, 1, 2, true, 3) }, func() {
		if _, err := json.Marshal(map[string]any{"id": 7, "method": MethodSubmit, "params": []string{"acct.rig1", "bf", hex.EncodeToString(en2), "00000001", "00000002", "00000003"}}); err != nil {
			b.Fatal(err)
		}
	})
}

// again repeats a line for ever.
type again struct {
	line []byte
	at   int
}

func (a *again) Read(p []byte) (int, error) {
	n := copy(p, a.line[a.at:])
	a.at = (a.at + n) % len(a.line)
	return n, nil
}

func BenchmarkReader(b *testing.B) {
	line := []byte(vectorSubmit + "\n")
	r := NewReader(&again{line: line}, 0)
	d := json.NewDecoder(&again{line: line})
	var m Message
	compare(b, func() {
		if err := r.Next(&m); err != nil && !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}, func() {
		var m wireMessage
		if err := d.Decode(&m); err != nil {
			b.Fatal(err)
		}
	})
}
