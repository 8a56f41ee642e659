// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// codeBatchDuplicate is the server's "batch contains a known id".
const codeBatchDuplicate = 10201

// answer takes the answer of a stream to the last message of a group.
func (p *pipeline) answer(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	at, err := readAnswer(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.pending[token]
	if !ok || p.closed {
		return
	}
	if err == nil && at.Stream != "" && at.Stream != w.outs[0].Stream {
		err = fmt.Errorf("stored in %s instead: the stream's subjects are not as declared", at.Stream)
	}
	if err != nil {
		p.goBack(fmt.Errorf("%s: %w", w, err))
		return
	}
	delete(p.pending, token)
	p.retry.Reset()
	switch {
	case !at.Duplicate:
		p.stored(w, at)
	case len(w.outs) == 1:
		p.second = p.now()
		p.finish(w.outs[0], at)
	default:
		// Some of the group is known. The tail says which.
		p.second = p.now()
		for _, o := range w.outs {
			if o.seen {
				p.finish(o, at)
			} else if o.state == sent {
				o.state, o.alone = queued, true
			}
		}
		p.settle()
		p.pumpAfter(tailPause)
		return
	}
	p.settle()
	p.pump()
}

// stored finishes a group that was stored as a whole, ending at at.Sequence.
func (p *pipeline) stored(w *wire, at stored) {
	end := at.Sequence - uint64(w.msgs)
	for _, o := range w.outs {
		end += uint64(len(o.Messages))
		p.finish(o, stored{Stream: at.Stream, Sequence: end})
	}
}

func (p *pipeline) finish(o *outgoing, at stored) {
	if o.state == done {
		return
	}
	o.state = done
	o.cause.open--
	delete(p.byKey, o.First)
	p.m.confirm.Observe(p.now().Sub(o.cause.at).Seconds())
	if at.Duplicate {
		p.m.duplicates.Inc()
	}
	if o.answered != nil {
		o.answered(at)
	}
}

// seen tells the pipeline that an output is in its stream, whoever put it
// there. What is under way waits for its own answer all the same.
func (p *pipeline) seen(k events.OrderKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.byKey[k]
	if p.closed || o == nil {
		return
	}
	if o.state == sent {
		o.seen = true
		return
	}
	p.second = p.now()
	p.finish(o, stored{Stream: o.Stream, Duplicate: true})
	p.settle()
}

// stored is a positive answer of a stream.
type stored struct {
	// Stream and Sequence of the (last) message, of the first copy when
	// Duplicate; Sequence is 0 for a batch refused as known.
	Stream    string
	Sequence  uint64
	Duplicate bool
}

// readAnswer reads a publish acknowledgement. A batch refused because an id in
// it is known is stored: replicas cut equal batches, so all of it is known.
func readAnswer(m *nats.Msg) (stored, error) {
	if len(m.Data) == 0 {
		return stored{}, fmt.Errorf("no stream takes it (status %s): was the bus declared?", m.Header.Get("Status"))
	}
	var r struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Stream    string `json:"stream"`
		Sequence  uint64 `json:"seq"`
		Duplicate bool   `json:"duplicate"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return stored{}, fmt.Errorf("answer is no JSON: %w", err)
	}
	switch {
	case r.Error == nil:
		return stored{Stream: r.Stream, Sequence: r.Sequence, Duplicate: r.Duplicate}, nil
	case r.Error.Code == codeBatchDuplicate:
		return stored{Stream: r.Stream, Duplicate: true}, nil
	}
	return stored{}, fmt.Errorf("refused: %s (%d)", r.Error.Description, r.Error.Code)
}
