// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/host/replica"
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
			if o.Seen {
				p.finish(o, at)
			} else if o.State == replica.Sent {
				p.queue.Again(o)
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
func (p *pipeline) stored(w *wire, at replica.Answer) {
	end := at.Sequence - uint64(w.msgs)
	for _, o := range w.outs {
		end += uint64(len(o.Messages))
		p.finish(o, replica.Answer{Stream: at.Stream, Sequence: end})
	}
}

func (p *pipeline) finish(o *replica.Outgoing, at replica.Answer) {
	if !p.queue.Store(o, at) {
		return
	}
	p.m.confirm.Observe(p.now().Sub(o.Cause.At).Seconds())
	if at.Duplicate {
		p.m.duplicates.Inc()
	}
}

// seen tells the pipeline that an output is in its stream, whoever put it
// there. What is under way waits for its own answer all the same.
func (p *pipeline) seen(k events.OrderKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.queue.Find(k)
	if p.closed || o == nil {
		return
	}
	if o.State == replica.Sent {
		o.Seen = true
		return
	}
	p.second = p.now()
	p.finish(o, replica.Answer{Stream: o.Stream, Duplicate: true})
	p.settle()
}

// readAnswer reads a publish acknowledgement. A batch refused because an id in
// it is known is stored: replicas cut equal batches, so all of it is known.
func readAnswer(m *nats.Msg) (replica.Answer, error) {
	if len(m.Data) == 0 {
		return replica.Answer{}, fmt.Errorf("no stream takes it (status %s): was the bus declared?", m.Header.Get("Status"))
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
		return replica.Answer{}, fmt.Errorf("answer is no JSON: %w", err)
	}
	switch {
	case r.Error == nil:
		return replica.Answer{Stream: r.Stream, Sequence: r.Sequence, Duplicate: r.Duplicate}, nil
	case r.Error.Code == codeBatchDuplicate:
		return replica.Answer{Stream: r.Stream, Duplicate: true}, nil
	}
	return replica.Answer{}, fmt.Errorf("refused: %s (%d)", r.Error.Description, r.Error.Code)
}
